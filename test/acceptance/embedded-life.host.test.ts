import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Call, type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { isAlive } from '../support/child.ts';
import { withPrivateMounts } from '../support/private-mounts.ts';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';
import { databaseProcesses } from '../support/vault-inspection.ts';

/** Life of the embedded database where the machine itself is changed for it, in mounts that nobody else sees. */
const ROOT = join(import.meta.dirname, '../..');

let world: CareLineVault;
let folder: VaultFolder;
let call: Call;
let recording: string;

beforeAll(async () => {
  world = await startCareLine();
  folder = world.folder;
  call = newCall(700_000);
  recording = await world.line.store(call);
  await world.line.nurse.token();
  await world.vault.stop();
});
afterAll(() => world?.folder.remove());

/** Starts, plays, stops: what is there is whole. */
const expectSound = async (): Promise<void> => {
  const vault = await folder.start();
  expect((await world.line.hear(recording)).equals(call.audio)).toBe(true);
  expect(await vault.stop()).toBe(0);
};

describe('after the vault was killed', () => {
  test('alone, where nothing ties its database to it: that is left running, and ended by the next start', async () => {
    const hidden = 'mount --bind /bin/false "$(command -v setpriv)"; exec "$@"';
    const vault = await folder.start({}, withPrivateMounts(hidden));
    const left = await databaseProcesses(folder);
    await vault.kill();
    const [postmaster] = (
      await readFile(join(folder.dataDir, 'postgres/cluster/postmaster.pid'), 'utf8')
    ).split('\n');
    expect(left).toContain(Number(postmaster));
    expect(isAlive(Number(postmaster))).toBe(true);
    await expectSound();
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
