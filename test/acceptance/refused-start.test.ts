import { type ExecFileOptions, execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { flipBit, type KeptRecording, keepRecording } from '../support/kept-recording.ts';
import { bareEnvironment, newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';
import { databaseProcesses } from '../support/vault-inspection.ts';
import { expectNothing } from '../support/ways-to-hear.ts';

let world: CareLineVault;
let folder: VaultFolder;
let kept: KeptRecording;
let backup: string;
let rootKey: string;
let vault: RunningVault | null = null;

beforeAll(async () => {
  world = await startCareLine();
  folder = world.folder;
  kept = await keepRecording(world, 20_000);
  await world.line.nurse.token();
  await world.vault.stop();
  backup = join(folder.home, 'backup');
  rootKey = join(folder.keysDir, 'root.key');
  await cp(folder.keysDir, backup, { recursive: true });
});
beforeEach(async () => {
  await rm(folder.keysDir, { recursive: true, force: true });
  await cp(backup, folder.keysDir, { recursive: true });
  for (const closed of [folder.keysDir, folder.dataDir]) await chmod(closed, 0o700);
});
afterEach(async () => {
  await vault?.stop();
  vault = null;
});
afterAll(() => world?.folder.remove());

const names = (path: string) => readdir(path, { recursive: true }).catch(() => null);

/** It ends with 3 and a sentence; no process stays, and nothing was made in the place of what is missing. */
const expectNoStart = async (said: RegExp, env: Readonly<Record<string, string>> = {}): Promise<void> => {
  const before = await names(folder.keysDir);
  const error = await folder.start(env).then(
    () => new Error('it started'),
    (reason: Error) => reason,
  );
  expect(error.message).toMatch(/^the vault ended with 3 before it listened/);
  expect(error.message).toMatch(said);
  expect(await databaseProcesses(folder)).toEqual([]);
  expect(await names(folder.keysDir)).toEqual(before);
};

/** The operator's way to a key is closed as well. */
const expectNoKey = async (): Promise<void> => {
  const { code, stdout, stderr } = await folder.cli('open-key', kept.id, '--json');
  expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
  expect(stderr).toMatch(/^callvault: /);
};

const expectPlays = async (): Promise<void> =>
  expect((await world.line.hear(kept.id)).equals(kept.audio)).toBe(true);

test('with its own keys it starts and plays', async () => {
  vault = await folder.start();
  await expectPlays();
});

test('the root key missing', async () => {
  await rm(rootKey);
  await expectNoStart(/root\.key is missing beside keys that it wraps/);
  await expectNoKey();
});

test('root key and key ring missing: none are made anew', async () => {
  await rm(folder.keysDir, { recursive: true });
  await expectNoStart(/The keys in .*data\.keys are not there or cannot be read/);
  await expectNoKey();
});

test('the key ring emptied', async () => {
  const ring = join(folder.keysDir, 'keyring');
  await rm(ring, { recursive: true });
  await mkdir(ring, { mode: 0o700 });
  await expectNoStart(/The key ring in .*data\.keys is damaged or not whole: restore it from its backup/);
});

test("another vault's root key beside our key ring, and another vault's whole key folder", async () => {
  const stranger = await newVaultFolder();
  try {
    await (await stranger.start()).stop();
    await rm(rootKey);
    await copyFile(join(stranger.keysDir, 'root.key'), rootKey);
    await chmod(rootKey, 0o400);
    await expectNoStart(/another root key/);
    await rm(folder.keysDir, { recursive: true });
    await cp(stranger.keysDir, folder.keysDir, { recursive: true });
    await expectNoStart(/is not the key folder this database was made with/);
    await expectNoKey();
  } finally {
    await stranger.remove();
  }
});

test('the root key damaged, and cut', async () => {
  await chmod(rootKey, 0o600);
  await flipBit(rootKey, 20);
  await expectNoStart(/callvault: .*root/);
  await truncate(rootKey, 30);
  await expectNoStart(/callvault: .*root/);
});

test.each([[0o644], [0o640], [0o604]])('the root key readable by others (%d)', async (mode) => {
  await chmod(rootKey, mode);
  await expectNoStart(/root\.key is open to others \(mode wider than 0600\)/);
});

test('the key folder open to others', async () => {
  await chmod(folder.keysDir, 0o755);
  await expectNoStart(/data\.keys .*Keys must be readable by the vault's own user alone/);
});

test('the data folder open to others', async () => {
  await chmod(folder.dataDir, 0o755);
  await expectNoStart(/is open to other users of this machine \(mode 755\).*chmod 700/);
});

test('keys inside the data, data inside the keys', async () => {
  const { dataDir, keysDir } = folder;
  await expectNoStart(/KEYS_DIR lies inside DATA_DIR/, { KEYS_DIR: join(dataDir, 'keys') });
  await expectNoStart(/DATA_DIR lies inside KEYS_DIR/, {
    DATA_DIR: join(keysDir, 'data'),
    KEYS_DIR: keysDir,
  });
  await expectNoStart(/KEY_FILE lies inside DATA_DIR/, { KEY_FILE: join(dataDir, 'root.key') });
});

test('a folder for checkpoints that is not there, or is none: nothing is made, of the vault neither', async () => {
  const stranger = await newVaultFolder();
  try {
    const place = join(stranger.home, 'share', 'checkpoints');
    const start = () => stranger.start({ CHECKPOINT_DIR: place });
    await expect(start()).rejects.toThrow(
      new RegExp(`ended with 3.*\\n.*CHECKPOINT_DIR \\(${place}\\) is not there: .*mount.*mkdir`),
    );
    await mkdir(join(stranger.home, 'share'));
    await writeFile(place, '');
    await expect(start()).rejects.toThrow(/CHECKPOINT_DIR \(\S+\) is not a folder/);
    expect((await readdir(stranger.home, { recursive: true })).sort()).toEqual([
      'share',
      'share/checkpoints',
    ]);
  } finally {
    await stranger.remove();
  }
});

test('an object store that is away: it says which, and makes nothing', async () => {
  const stranger = await newVaultFolder();
  try {
    const keys = { S3_ACCESS_KEY_ID: 'AKIDEXAMPLE', S3_SECRET_ACCESS_KEY: '9f2c41d07be35a68b1' };
    const env = { S3_ENDPOINT: 'http://127.0.0.1:9', S3_BUCKET: 'calls', ...keys };
    await expect(stranger.start(env)).rejects.toThrow(
      /ended with 3.*\n.*127\.0\.0\.1:9 \(S3_ENDPOINT\), bucket calls \(S3_BUCKET\), ECONNREFUSED\. Check/,
    );
    expect(await readdir(stranger.home)).toEqual([]);
  } finally {
    await stranger.remove();
  }
});

test('the folder of the checkpoints gone under a log that was made with it', async () => {
  const place = join(folder.home, 'elsewhere');
  await mkdir(place, { mode: 0o700 });
  vault = await folder.start({ CHECKPOINT_DIR: place });
  await vault.stop();
  vault = null;
  await rename(place, `${place}.away`);
  await expectNoStart(/CHECKPOINT_DIR \(\S+elsewhere\) is not there/, { CHECKPOINT_DIR: place });
  await rename(`${place}.away`, place);
  vault = await folder.start({ CHECKPOINT_DIR: place });
  await expectPlays();
});

test('a second vault on the same data is told who has it; the first goes on', async () => {
  vault = await folder.start();
  const who = `Another Callvault \\(process ${vault.pid}, ${vault.url}, since \\S+\\) works on ${folder.dataDir}`;
  await expect(folder.start({ PORT: '0' })).rejects.toThrow(new RegExp(`${who}: stop it first`));
  await expectPlays();
});

/** Somebody else who listens, until `use` has ended; it is told the port. */
const withTakenPort = async (use: (port: string) => Promise<void>): Promise<void> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(String((server.address() as AddressInfo).port));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
};

test('a port in use, its own or that of the metrics: it says which, and makes nothing', async () => {
  const stranger = await newVaultFolder();
  try {
    await withTakenPort(async (port) => {
      for (const name of ['PORT', 'METRICS_PORT'])
        await expect(stranger.start({ [name]: port })).rejects.toThrow(
          `ended with 3 before it listened:\ncallvault: Port ${port} on 127.0.0.1 is in use: set ${name} to a free one.\n`,
        );
    });
    expect(await readdir(stranger.home)).toEqual([]);
  } finally {
    await stranger.remove();
  }
});

test('an address of another machine, 192.0.2.9 of the documentation: it says so, and makes nothing', async () => {
  const stranger = await newVaultFolder();
  try {
    await expect(stranger.start({ HOST: '192.0.2.9', TRUSTED_PROXY: '10.0.0.5' })).rejects.toThrow(
      'callvault: HOST is no address of this machine: ',
    );
    expect(await readdir(stranger.home)).toEqual([]);
  } finally {
    await stranger.remove();
  }
});

test('on the port and the data of a vault that runs, it is the vault that is named', async () => {
  vault = await folder.start();
  const { port } = new URL(vault.url);
  await expect(folder.start({ PORT: port })).rejects.toThrow(`Another Callvault (process ${vault.pid}, `);
  await expectPlays();
});

test('everything that is wrong with settings and with what they name is told at once, and nothing is made', async () => {
  await chmod(folder.dataDir, 0o777);
  await chmod(folder.keysDir, 0o755);
  await chmod(join(folder.keysDir, 'keyring'), 0o750);
  await chmod(rootKey, 0o644);
  const places = [
    /^ {2}\S+data is open to other users of this machine \(mode 777\)/m,
    /^ {2}\S+data\.keys is open to others \(mode wider than 0700\)/m,
    /^ {2}\S+keyring is open to others \(mode wider than 0700\)/m,
    /^ {2}\S+root\.key is open to others \(mode wider than 0600\)/m,
    /^ {2}CHECKPOINT_DIR \(\/nope\) is not there: /m,
  ];
  const told = (faults: readonly RegExp[]) =>
    new RegExp(
      [`has ${faults.length} faults; nothing was started`, ...faults.map(({ source }) => source)].join(
        '[^]*',
      ),
      'm',
    );
  const host = /^ {2}HOST is 0\.0\.0\.0, beyond this machine/m;
  await expectNoStart(told([host, ...places]), { HOST: '0.0.0.0', CHECKPOINT_DIR: '/nope' });
  await withTakenPort((port) =>
    expectNoStart(told([...places, /^ {2}Port \d+ on 127\.0\.0\.1 is in use: set PORT/m]), {
      PORT: port,
      CHECKPOINT_DIR: '/nope',
    }),
  );
  for (const [path, mode] of [
    [join(folder.keysDir, 'keyring'), 0o700],
    [rootKey, 0o400],
  ] as const)
    await chmod(path, mode);
});

test("the organisation's key gone: it starts, and plays and takes nothing of that organisation", async () => {
  const ring = join(folder.keysDir, 'keyring');
  const keks = (await readdir(ring)).filter((name) => /\.kek\.\d+\.key$/.test(name));
  expect(keks.length).toBeGreaterThan(0);
  for (const name of keks) await rm(join(ring, name));
  vault = await folder.start();
  const token = await world.line.nurse.token();
  const audioUrl = await world.line.openPlayback(kept.id);
  for (const headers of [{ range: 'bytes=0-99' }, {}])
    expectNothing(await world.line.http.get(audioUrl, { token, headers }), kept.audio, 502);
  const refused = newCall(10_000);
  expectNothing(await world.line.deliver(refused), refused.audio, 500, 503);
});

test('the root key taken away while it runs: readiness fails; put back, all is well', async () => {
  vault = await folder.start();
  const isReady = async () => (await world.line.http.get('/readyz')).status === 200;
  await rename(rootKey, `${rootKey}.away`);
  await until(async () => !(await isReady()));
  await rename(`${rootKey}.away`, rootKey);
  await until(isReady);
  await expectPlays();
});

/** `npm start` with this behind it: the program itself, in a folder of its own. */
const startWith = (args: readonly string[], options: ExecFileOptions) =>
  new Promise<{ code: unknown; said: string }>((resolve) => {
    const program = join(import.meta.dirname, '../../src/main.ts');
    execFile(process.execPath, [program, ...args], { timeout: 120_000, ...options }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, said: `${out}${err}` }),
    );
  });

test.each([['--port'], ['--help'], ['8081']])(
  'npm start -- %s: nothing is started, for it takes none',
  async (arg) => {
    const cwd = await mkdtemp(join(folder.home, 'args-'));
    const { code, said } = await startWith([arg], { cwd, env: { ...bareEnvironment(), PORT: '0' } });
    expect({ code, said }).toEqual({
      code: 2,
      said: expect.stringMatching(/^callvault: npm start takes no arguments: .*PORT=8081 npm start/),
    });
    expect(await readdir(cwd)).toEqual([]);
  },
);

/** Whether every user may go to the program: not from a checkout in root's own home. */
const isOpenToAll = (path: string): boolean =>
  (statSync(path).mode & 0o001) !== 0 && (dirname(path) === path || isOpenToAll(dirname(path)));
const mayActAsAnother = process.getuid?.() === 0 && isOpenToAll(dirname(process.execPath));

test.runIf(mayActAsAnother)('in a folder that its user may not enter', async () => {
  const cwd = await mkdtemp('/tmp/cvn-');
  const { code, said } = await startWith([], { cwd, uid: 65_534, gid: 65_534, env: bareEnvironment() });
  await rm(cwd, { recursive: true });
  expect(code).toBe(3);
  expect(said).toContain(`.env cannot be looked for in ${cwd}, which this user may not enter: start from`);
});
