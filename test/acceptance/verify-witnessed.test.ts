import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { cutLog } from '../support/cut-log.ts';
import { inDatabase } from '../support/vault-inspection.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';

// A command a second, and many of them.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 240_000 });

/** `callvault verify --live` with witnesses: those who see all, one that is away, those who have seen another log. One story. */
let world: CareLineVault;
let token: string;
let logKey: string;
let homes: readonly [string, string];
let witnesses: [WitnessProcess, WitnessProcess];

const NAMES = ['witness.example/w1', 'witness.example/w2'] as const;
const named = () => ({ WITNESSES: witnesses.map(({ key, url }) => `${key} ${url}`).join(',') });

/** As an officer runs it. Witnesses by number; all of them must have seen what is shown unless `quorum` says otherwise. */
const live = (seenBy: readonly (0 | 1)[], ...args: string[]) => {
  const asked = seenBy.flatMap((n) => ['--witness', witnesses[n].key]);
  return world.folder.cliTold(token, 'verify', '--live', world.vault.url, '--key', logKey, ...asked, ...args);
};

const restart = async (env: Record<string, string> = {}): Promise<void> => {
  await world.vault.stop();
  world = { ...world, vault: await world.folder.start(env) };
};

/** Size and root of the tree that a witness remembers. */
const remembered = async (home: string): Promise<readonly [size: number, root: string]> => {
  const [size, root] = ((await readFile(join(home, 'state'), 'utf8')).split('\n')[1] ?? '').split(' ');
  return [Number(size), root as string];
};

beforeAll(async () => {
  world = await startCareLine();
  token = await world.line.compliance.token();
  logKey = (await world.folder.cli('log-key')).stdout.trim();
  homes = [await mkdtemp(join(tmpdir(), 'cvw-')), await mkdtemp(join(tmpdir(), 'cvw-'))];
  witnesses = [
    await startWitness(homes[0], [logKey], ['--name', NAMES[0]]),
    await startWitness(homes[1], [logKey], ['--name', NAMES[1]]),
  ];
  await restart(named());
});
afterAll(async () => {
  await world?.folder.remove();
  for (const witness of witnesses ?? []) await witness.stop();
  for (const home of homes ?? []) await rm(home, { recursive: true, force: true });
});

/** Asking makes entries, and of the checkpoint that they bring the witnesses are told in a moment: asked again until then. */
const livesTo = (
  { code, stdout }: { readonly code: number; readonly stdout: RegExp },
  ...asked: Parameters<typeof live>
): Promise<void> =>
  until(async () => {
    const said = await live(...asked);
    return said.code === code && stdout.test(said.stdout);
  });

test('two that see all: 0, and how many have seen it', async () => {
  const seenByBoth = { code: 0, stdout: /^ok\t.*\tcheckpoint of \d+ signed, seen by 2\n$/ };
  await livesTo(seenByBoth, [0, 1]);
  await livesTo(seenByBoth, [0, 1], '--quorum', '2');
  expect(await live([])).toMatchObject({ code: 0, stdout: expect.stringMatching(/ signed\n$/) });
});

test('signed, and a witness has not answered yet: waited for, in silence', async () => {
  const { process: child } = witnesses[1];
  for (let n = 0; n < 2; n += 1) {
    const before = (await remembered(homes[0]))[0];
    child.kill('SIGSTOP');
    try {
      await world.folder.cli('verify');
      await until(async () => (await remembered(homes[0]))[0] > before);
      const told = live([0, 1]);
      setTimeout(() => child.kill('SIGCONT'), 2_500);
      expect(await told).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('seen by 2') });
    } finally {
      child.kill('SIGCONT');
    }
  }
});

test('more witnesses asked for than were named: 1', async () => {
  await livesTo({ code: 1, stdout: /was seen by 1 of the witnesses, 2 are asked/ }, [0], '--quorum', '2');
});

describe('one is away', () => {
  let port: string;
  beforeAll(async () => {
    port = new URL(witnesses[1].url).port;
    await witnesses[1].stop();
    // Something that it has not seen.
    await world.folder.cli('verify');
  });

  test('what only the other has seen is no more than that: 1, and 0 where one is enough', async () => {
    await livesTo({ code: 1, stdout: /^NOT OK\t.*was seen by 1 of the witnesses, 2 are asked for/s }, [0, 1]);
    expect(await live([1])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('was seen by 0 of the witnesses, 1 are asked for'),
    });
    await livesTo({ code: 0, stdout: / signed, seen by 1\n$/ }, [0, 1], '--quorum', '1');
    await livesTo({ code: 0, stdout: /^\{/ }, [0, 1], '--quorum', '1', '--json');
  });

  test('back again, it is shown what it missed: 0', async () => {
    witnesses[1] = await startWitness(homes[1], [logKey], [], `127.0.0.1:${port}`);
    await restart(named());
    await until(async () => (await live([0, 1])).code === 0);
  });
});

describe('H-5 they have seen another log', () => {
  let seen: readonly [size: number, root: string];
  beforeAll(async () => {
    seen = await remembered(homes[0]);
    // Somebody with the database, its folder of checkpoints and the key: nothing within the vault contradicts him.
    await inDatabase(world.folder, (client) => cutLog(client, 1), 'superuser');
    await world.vault.kill();
    await rm(join(world.folder.dataDir, 'checkpoints'), { recursive: true });
    world = { ...world, vault: await world.folder.start(named()) };
    // Whoever asks for something makes an entry: it grows beyond what was seen.
    for (let size = 0; size <= seen[0]; size += 1)
      await world.line.http.get('/v1/audit/export?from=0&to=1', { token });
  });

  test('nobody who asks for witnesses takes the fork for the log: 1, 0 of them', async () => {
    expect(await live([])).toMatchObject({ code: 0 });
    for (const quorum of ['1', '2'])
      expect(await live([0, 1], '--quorum', quorum)).toMatchObject({
        code: 1,
        stdout: expect.stringContaining(`was seen by 0 of the witnesses, ${quorum} are asked for`),
      });
    await until(() => world.vault.output().includes('ALARM: a witness'));
  });

  test('what a witness remembers is a head that the fork does not contain: 1', async () => {
    const [size, root] = seen;
    const { code, stdout } = await live([], '--head', `${size}:${root}`);
    expect(stdout).toMatch(/\n\d+\tanchor\tThe first \d+ entries are not those of the known head/);
    expect(code).toBe(1);
    expect(await remembered(homes[0])).toEqual(seen);
  });
});
