import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { until } from '../support/child.ts';
import { cutLog } from '../support/cut-log.ts';
import { createHttpClient } from '../support/http-client.ts';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';
import { inDatabase } from '../support/vault-inspection.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';

/** A vault and a witness as two processes: what one shows, the other remembers. */
let home: string;
let folder: VaultFolder;
let logKey: string;
let witness: WitnessProcess;

/** The key of some log. */
const SOME_LOG = 'log.example+b487124c+AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g';

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvw-'));
});
afterEach(async () => {
  await witness?.stop();
  await rm(home, { recursive: true, force: true });
});

const named = () => ({ WITNESSES: `${witness.key} ${witness.url}` });
/** Lines of what the witness remembers: size, root, origin. The first of the file is its key's. */
const remembered = async (): Promise<string[]> =>
  (await readFile(join(home, 'state'), 'utf8')).split('\n').slice(1, -1);
const seenSize = async (): Promise<number> => Number((await remembered())[0]?.split(' ')[0] ?? 0);
const place = () => join(folder.dataDir, 'checkpoints');
const cosigned = async (): Promise<string[]> =>
  (await readdir(place())).filter((name) => name.includes('.')).sort();
const keptSize = async (): Promise<number> =>
  Number(
    (await readdir(place()))
      .filter((name) => !name.includes('.'))
      .sort()
      .at(-1),
  );

describe('beside a vault', () => {
  beforeEach(async () => {
    folder = await newVaultFolder();
    const first = await folder.start();
    logKey = (await folder.cli('log-key')).stdout.trim();
    await first.stop();
    witness = await startWitness(home, [logKey]);
  });
  afterEach(() => folder.remove());

  test('honest growth: each checkpoint is cosigned, kept with its cosignature, and no entry waits for it', async () => {
    const vault = await folder.start(named());
    await until(async () => (await cosigned()).length > 0);
    const first = await seenSize();
    await folder.cli('verify');
    await vault.stop();
    // The last checkpoint, made while the vault ended, was shown too.
    expect(await seenSize()).toBe(await keptSize());
    expect(await seenSize()).toBeGreaterThan(first);
    const name = (await cosigned()).at(-1) as string;
    const note = await readFile(join(place(), name), 'utf8');
    expect(note.split('\n')[1]).toBe(String(await seenSize()));
    expect(note).toMatch(/\n— witness\.example\/w1 [A-Za-z0-9+/]{102}==\n$/);
    expect(name.split('.')[1]).toBe(witness.key.split('+')[1]);
    const { stdout } = await folder.cli('doctor');
    expect(stdout).not.toContain('witness\t');
  });

  test('a witness that is away blocks nothing, is told of, and is shown all when it is back', async () => {
    const { port } = new URL(witness.url);
    const env = named();
    await witness.stop();
    const vault = await folder.start({ ...env, METRICS_PORT: '0' });
    await until(async () => (await keptSize()) > 0 && vault.output().includes('cannot be reached'));
    const metrics = createHttpClient(`http://127.0.0.1:${/metrics on port (\d+)/.exec(vault.output())?.[1]}`);
    const under = async (what: string): Promise<number> =>
      Number(
        new RegExp(`callvault_log_entries\\{under="${what}"\\} (\\d+)`).exec(
          (await metrics.get('/metrics')).text,
        )?.[1],
      );
    expect(await under('witness witness.example/w1')).toBe(0);
    expect(await under('checkpoint')).toBeGreaterThan(0);
    expect(await cosigned()).toEqual([]);
    witness = await startWitness(home, [logKey], [], `127.0.0.1:${port}`);
    await until(async () => (await seenSize()) === (await keptSize()));
    await until(async () => (await under('witness witness.example/w1')) === (await keptSize()));
    metrics.close();
    await vault.stop();
  });

  test('H-5 a log that was cut and has grown again, with every checkpoint of its own removed, is refused', async () => {
    const vault = await folder.start(named());
    await folder.cli('verify');
    await vault.stop();
    const seen = await seenSize();
    // Somebody who has the database, the folder of checkpoints and the key: within the vault nothing contradicts him.
    const forged = await folder.start();
    await inDatabase(folder, (client) => cutLog(client, 1), 'superuser');
    await forged.kill();
    await rm(place(), { recursive: true });
    const again = await folder.start(named());
    for (let i = 0; i < seen; i += 1) await folder.cli('verify');
    await until(() => again.output().includes('ALARM: a witness refuses the access log'));
    expect(await seenSize()).toBe(seen);
    expect(await cosigned()).toEqual([]);
    // What a witness states is nobody's proof: entries are still written.
    expect((await folder.cli('verify', '--json')).stdout).toMatch(/"entry":\d+/);
    await again.stop();
  });
});

const run = (...args: string[]) =>
  new Promise<{ code: number; said: string }>((resolve) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, '../../src/cli/main.ts'), 'witness', ...args],
      { cwd: home, timeout: 120_000 },
      (error, _stdout, stderr) => resolve({ code: Number(error?.code ?? 0), said: stderr }),
    );
  });
const files = (folderOf = home) => [
  '--state',
  join(folderOf, 'state'),
  '--key',
  join(folderOf, 'key'),
  '--listen',
  '127.0.0.1:0',
];

describe('its memory', () => {
  beforeEach(async () => {
    logKey = SOME_LOG;
    witness = await startWitness(home, [logKey]);
  });

  test('does not begin anew beside a key that has cosigned', async () => {
    await witness.stop();
    await rm(join(home, 'state'));
    const { code, said } = await run(...files(), '--log', logKey);
    expect(code).toBe(3);
    expect(said).toContain('what this witness has seen');
  });

  test('does not begin with a damaged state', async () => {
    await witness.stop();
    for (const text of ['x', '5 x y\n', '5\n', `5 ${'A'.repeat(43)}= a\n5 ${'A'.repeat(43)}= a\n`, 'x\n']) {
      await writeFile(join(home, 'state'), text);
      expect(await run(...files(), '--log', logKey)).toMatchObject({
        code: 3,
        said: expect.stringContaining('not the state'),
      });
    }
  });

  test('does not begin with a state that was emptied or shortened, or is another key’s', async () => {
    await witness.stop();
    const whole = await readFile(join(home, 'state'), 'utf8');
    for (const text of ['', '\n', whole.slice(0, -1), `${whole}\n`]) {
      await writeFile(join(home, 'state'), text);
      expect(await run(...files(), '--log', logKey), text).toMatchObject({
        code: 3,
        said: expect.stringContaining('not the state'),
      });
      expect(await readFile(join(home, 'state'), 'utf8')).toBe(text);
    }
    const other = await mkdtemp(join(tmpdir(), 'cvw-'));
    await (await startWitness(other, [logKey])).stop();
    await copyFile(join(other, 'state'), join(home, 'state'));
    await rm(other, { recursive: true });
    expect(await run(...files(), '--log', logKey)).toMatchObject({
      code: 3,
      said: expect.stringContaining('of another key'),
    });
    await writeFile(join(home, 'state'), whole);
    witness = await startWitness(home, [logKey], []);
  });

  test('killed between its state and its key: the next start makes both whole', async () => {
    const other = await mkdtemp(join(tmpdir(), 'cvw-'));
    await (await startWitness(other, [logKey])).stop();
    await rm(join(other, 'key'), { force: true });
    const again = await startWitness(other, [logKey]);
    await again.stop();
    const third = await startWitness(other, [logKey], []);
    expect(third.key).toBe(again.key);
    await third.stop();
    await rm(other, { recursive: true });
  });
});

describe('the program', () => {
  beforeEach(async () => {
    logKey = SOME_LOG;
    witness = await startWitness(home, [logKey]);
  });

  test('keeps its key to itself, and has the same one after a restart', async () => {
    expect((await stat(join(home, 'key'))).mode & 0o777).toBe(0o400);
    const { key } = witness;
    expect(await witness.stop()).toBe(0);
    witness = await startWitness(home, [logKey], []);
    expect(witness.key).toBe(key);
  });

  test('beyond this machine it says what it lacks; on loopback it says nothing', async () => {
    expect(witness.said()).not.toContain('plain HTTP');
    await witness.stop();
    witness = await startWitness(home, [logKey], [], '0.0.0.0:0');
    expect(witness.said()).toMatch(
      /0\.0\.0\.0 .*beyond this machine, in plain HTTP.*proxy that ends TLS.*127\.0\.0\.1/,
    );
  });

  test('two on one state: the second does not start', async () => {
    const { code, said } = await run(...files(), '--log', logKey);
    expect(code).toBe(3);
    expect(said).toContain('Another witness works on');
  });

  test.each([[['--log', 'x']], [['--listen', 'nowhere']], [['--listen', '127.0.0.1:99999']]])(
    '%j is not understood: 2',
    async (args) => {
      expect((await run(...files(), ...args)).code).toBe(2);
    },
  );

  test('a new one has a name, and witnesses something', async () => {
    const other = await mkdtemp(join(tmpdir(), 'cvw-'));
    expect(await run(...files(other), '--log', logKey)).toMatchObject({
      code: 3,
      said: expect.stringContaining('--name'),
    });
    expect(await run(...files(other), '--name', 'a b', '--log', logKey)).toMatchObject({ code: 3 });
    expect((await run(...files(other), '--name', 'a')).said).toContain('at least one log');
    await rm(other, { recursive: true });
  });
});
