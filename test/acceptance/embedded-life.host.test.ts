import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isAlive } from '../support/child.ts';
import { withPrivateMounts } from '../support/private-mounts.ts';
import { keepsOneCall } from '../support/stopped-vault.ts';
import { newVaultFolder } from '../support/vault.ts';
import { databaseProcesses } from '../support/vault-inspection.ts';

/** Life of the embedded database where the machine itself is changed for it, in mounts that nobody else sees. */
const ROOT = join(import.meta.dirname, '../..');

const kept = keepsOneCall();

describe('after the vault was killed', () => {
  test('alone, where nothing ties its database to it: that is left running, and ended by the next start', async () => {
    const hidden = 'mount --bind /bin/false "$(command -v setpriv)"; exec "$@"';
    const vault = await kept.folder.start({}, withPrivateMounts(hidden));
    const left = await databaseProcesses(kept.folder);
    await vault.kill();
    const [postmaster] = (
      await readFile(join(kept.folder.dataDir, 'postgres/cluster/postmaster.pid'), 'utf8')
    ).split('\n');
    expect(left).toContain(Number(postmaster));
    expect(isAlive(Number(postmaster))).toBe(true);
    await kept.expectSound();
    expect(left.filter(isAlive)).toEqual([]);
  });
});

describe('where the folders lie', () => {
  test('data and program in a home that nobody but its owner may enter', async () => {
    const home = await newVaultFolder();
    const script = 'mkdir "$2"; mount --bind "$1" "$2"; exec "$3" "$2/src/main.ts"';
    try {
      const program = withPrivateMounts(script, ROOT, join(home.home, 'checkout'), process.execPath);
      const vault = await home.start({}, program);
      expect((await fetch(`${vault.url}/readyz`)).status).toBe(200);
      expect(await vault.stop()).toBe(0);
    } finally {
      await home.remove();
    }
  });
});
