import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { bareEnvironment, type Ran } from '../support/vault.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** `callvault verify` on exports, a running vault and kept checkpoints, as an officer and a stranger have it. */
const LAUNCHER = join(import.meta.dirname, '../../bin/callvault.js');

let world: CareLineVault;
/** A stranger's folder: no vault, no settings. */
let elsewhere: string;
let file: string;
let logKey: string;
let token: string;

/** The command as somebody runs it who has nothing but the file. */
const stranger = (args: readonly string[], { env = {}, input = '' }: { env?: object; input?: string } = {}) =>
  new Promise<Ran>((resolve) => {
    const child = execFile(
      process.execPath,
      [LAUNCHER, 'verify', ...args],
      { cwd: elsewhere, env: { ...bareEnvironment(), ...env }, maxBuffer: 64e6 },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
    child.stdin?.end(input);
  });

const exported = async (query = ''): Promise<Buffer> =>
  (await world.line.http.get(`/v1/audit/export${query}`, { token })).body;
const save = async (name: string, bytes: Buffer | string): Promise<string> => {
  const path = join(elsewhere, name);
  await writeFile(path, bytes);
  return path;
};

/** The log's own name with a key that never signed: its id is the beginning of SHA-256(name ‖ line feed ‖ type ‖ key). */
const otherKey = (): string => {
  const name = logKey.slice(0, logKey.indexOf('+'));
  const key = Buffer.concat([Buffer.of(1), Buffer.alloc(32, 9)]);
  const id = createHash('sha256').update(`${name}\n`).update(key).digest('hex').slice(0, 8);
  return `${name}+${id}+${key.toString('base64')}`;
};

const onServer = <T>(text: string, values: readonly unknown[] = []): Promise<T[]> =>
  inDatabase(
    world.folder,
    async (client) => (await client.query(text, [...values])).rows as T[],
    'superuser',
  );

beforeAll(async () => {
  world = await startCareLine();
  elsewhere = await mkdtemp(join(tmpdir(), 'cvs-'));
  const recording = await world.line.store(newCall(20_000));
  await world.line.hear(recording);
  token = await world.line.compliance.token();
  logKey = (await world.folder.cli('log-key')).stdout.trim();
  file = await save('all.ndjson', await exported());
});
afterAll(async () => {
  await world?.folder.remove();
  await rm(elsewhere, { recursive: true, force: true });
});

describe('H-5 a file, with nothing but the file', () => {
  test('verifies, with the log’s key: 0', async () => {
    const { code, stdout } = await stranger([file, '--key', logKey]);
    expect(stdout).toMatch(
      /^ok\t.*all\.ndjson\tentries 0 to (\d+) of \1, \d+ bodies\troot [0-9a-f]{64}\tcheckpoint of \d+ signed\n$/,
    );
    expect(code).toBe(0);
    const { stdout: json } = await stranger([file, '--key', logKey, '--json']);
    expect(JSON.parse(json)).toMatchObject({
      ok: true,
      files: [{ file, ok: true, signed: true, faults: [] }],
    });
  });

  test('from the standard input', async () => {
    const input = (await readFile(file)).toString();
    expect(await stranger(['-', '--key', logKey], { input })).toMatchObject({ code: 0 });
  });

  test('an entry edited: 1, its place and what is wrong', async () => {
    const lines = (await readFile(file)).toString().split('\n');
    const place = lines.findIndex((line) => line.includes('"action":"recording.stored"'));
    const edited = lines.with(place, lines[place]!.replace('"success"', '"denied"')).join('\n');
    const { code, stdout } = await stranger([await save('edited.ndjson', edited), '--key', logKey]);
    expect(stdout).toMatch(new RegExp(`^NOT OK\\t.*\\n${place - 1}\\tbody\\t`));
    expect(code).toBe(1);
  });

  test('cut, another key, another log: 1', async () => {
    const cut = await save('cut.ndjson', (await readFile(file)).subarray(0, -200));
    const told = expect.stringContaining('export\tThe export is cut');
    expect(await stranger([cut])).toMatchObject({ code: 1, stdout: told });
    expect(await stranger([file, '--key', otherKey()])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('\tsignature\t'),
    });
  });

  test('two exports of one log agree; one that does not is named', async () => {
    const later = await save('later.ndjson', await exported('?from=3'));
    expect(await stranger([file, later, '--key', logKey])).toMatchObject({ code: 0 });
    const lines = (await readFile(file)).toString().split('\n');
    const header = JSON.parse(lines[0]!) as { root: string };
    const forged = lines.with(0, JSON.stringify({ ...header, root: Buffer.alloc(32).toString('base64') }));
    const { code, stdout } = await stranger([file, await save('forged.ndjson', forged.join('\n'))]);
    expect(code).toBe(1);
    expect(stdout.split('\n').filter((line) => line.startsWith('NOT OK'))).toHaveLength(2);
  });

  test.each([
    [['--key', 'nonsense'], 2],
    [['--quorum', '-1'], 2],
    [['--quorum', '0'], 2],
    [['--head', '12'], 2],
    [['--live', 'https://vault.example.org'], 2],
    [['--nonsense'], 2],
  ] as const)('what is not understood: %j', async (args, code) => {
    expect(await stranger([file, ...args])).toMatchObject({ code, stdout: '' });
  });

  test('no network and no file but these is opened', async () => {
    const env = { DATABASE_URL: 'postgresql://nobody@192.0.2.1/none', DATA_DIR: join(elsewhere, 'made') };
    expect(await stranger([file, '--key', logKey], { env })).toMatchObject({ code: 0 });
    expect(await readdir(elsewhere)).not.toContain('made');
  });
});

test('H-5 a body taken out of a file, and its last line computed anew: the later export tells', async () => {
  const honest = (await exported()).toString();
  const lines = honest.split('\n').slice(0, -2);
  const place = lines.findIndex((line) => line.includes('"action":"playback.opened"'));
  const hidden = lines.with(place, `${lines[place]!.slice(0, lines[place]!.indexOf(',"salt"'))}}`);
  const ended = (text: readonly string[]): string => {
    const start = `${text.join('\n')}\n`;
    const end = createHash('sha256').update(start).digest('hex');
    return `${start}${JSON.stringify({ end, entries: text.length - 1 })}\n`;
  };
  const cut = await save('hidden.ndjson', ended(hidden));
  // Alone it agrees with itself, and is told to be uncounted.
  const alone = await stranger([cut, '--key', logKey]);
  expect([alone.code, alone.stderr]).toEqual([
    0,
    expect.stringMatching(/is the count of entry \d+, in a later/),
  ]);
  const beside = await stranger([cut, await save('honest.ndjson', honest), '--key', logKey]);
  expect(beside.stdout).toMatch(
    new RegExp(`^NOT OK\\t.*\\n${place - 1}\\texport\\tEntry ${place - 1} has no body here.*\\nok\\t`),
  );
  expect(beside.code).toBe(1);
  const { entry } = JSON.parse(lines[0]!) as { entry: number };
  const later = await save('later-tail.ndjson', await exported(`?from=${entry}`));
  const counted = await stranger([cut, later, '--key', logKey]);
  expect(counted.stdout).toMatch(
    new RegExp(`^NOT OK\\t.*\\n${entry}\\texport\\tThe file shows \\d+ bodies; entry ${entry}`),
  );
  expect(counted.code).toBe(1);
  // Under the name of another entry: one of its own tree is a finding, any other is not taken for its own.
  const named = (other: number): string =>
    ended(hidden.with(0, hidden[0]!.replace(`"entry":${entry},`, `"entry":${other},`)));
  const within = await stranger([await save('within.ndjson', named(place - 1)), later, '--key', logKey]);
  expect([within.code, within.stdout]).toEqual([
    1,
    expect.stringContaining(`\n${place - 1}\texport\tThe header names entry ${place - 1} `),
  ]);
  const beyond = await stranger([await save('beyond.ndjson', named(999_999)), later, '--key', logKey]);
  expect([beyond.code, beyond.stderr]).toEqual([0, expect.stringContaining('is the count of entry 999999,')]);
  expect(beyond.stderr).toMatch(new RegExp(`Entry ${entry} in \\S+ tells of an export of the same entries`));
  expect(await stranger([join(elsewhere, 'honest.ndjson'), later, '--key', logKey])).toMatchObject({
    code: 0,
  });
});

describe('what cannot be read, and what is no checkpoint', () => {
  test.each([
    ['none.ndjson', 'is not there.'],
    ['.', 'is a folder, and a file is wanted.'],
    ['all.ndjson/x', 'is not there: a part of its path is no folder.'],
  ])('%s %s 3, in a sentence', async (name, sentence) => {
    const path = join(elsewhere, name);
    const alone = await stranger([path]);
    expect(alone).toMatchObject({ code: 3, stdout: '' });
    expect(alone.stderr).toBe(`callvault: ${path} ${sentence}\n`);
    expect((await stranger([file, path])).stderr).toBe(alone.stderr);
  });

  test('a stray file among the checkpoints: the file is ok, the folder is not', async () => {
    const folder = join(elsewhere, 'kept');
    await cp(join(world.folder.dataDir, 'checkpoints'), folder, { recursive: true });
    const { code, stdout } = await stranger([file, '--key', logKey, '--against', folder]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^ok\t[^\n]*\n$/)]);
    await writeFile(join(folder, 'foo.txt'), 'shopping list');
    const stray = await stranger([file, '--key', logKey, '--against', folder]);
    expect(stray.stdout).toMatch(
      /\nNOT OK\t.*kept\t\d+ checkpoints\n-\tsignature\tfoo\.txt is no signed checkpoint\.\n$/,
    );
    expect(stray.code).toBe(1);
  });
});

describe('H-5 a running vault, as an officer sees it', () => {
  const live = (env: object, args: readonly string[] = [], input = '') =>
    stranger(['--live', world.vault.url, ...args], { env, input });

  test('with her token in the environment, or on the standard input: 0', async () => {
    expect(await live({ CALLVAULT_TOKEN: token }, ['--key', logKey])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok\t/),
    });
    expect(await live({}, ['--key', logKey, '--json'], `${token}\n`)).toMatchObject({ code: 0 });
  });

  test('a head that was kept elsewhere is in it; another is not', async () => {
    const { files } = JSON.parse((await stranger([file, '--json'])).stdout) as {
      files: [{ size: number; root: string }];
    };
    const [{ size, root }] = files;
    const env = { CALLVAULT_TOKEN: token };
    expect(await live(env, ['--head', `${size}:${root}`])).toMatchObject({ code: 0 });
    expect(await live(env, ['--head', `${size}:${'0'.repeat(64)}`])).toMatchObject({ code: 1 });
    expect(await live(env, ['--head', `999999:${root}`])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('its tail is missing'),
    });
  });

  test('without a token, or with nonsense: 2; refused by the vault, or nobody there: 3', async () => {
    expect(await live({})).toMatchObject({ code: 2, stdout: '' });
    expect(await live({ CALLVAULT_TOKEN: 'a b' })).toMatchObject({ code: 2 });
    expect(await live({ CALLVAULT_TOKEN: 'nonsense' })).toMatchObject({ code: 3 });
    const nurse = await world.line.nurse.token();
    const { code, stderr } = await live({ CALLVAULT_TOKEN: nurse });
    expect([code, stderr.includes(nurse)]).toEqual([3, false]);
    const gone = await stranger(['--live', 'http://127.0.0.1:9'], { env: { CALLVAULT_TOKEN: token } });
    expect(gone.code).toBe(3);
  });

  test('a search column edited by a superuser, which no file that leaves the vault could tell: 1', async () => {
    const seq = await onServer<{ seq: number }>(
      `SELECT seq::int FROM audit.entry WHERE (facts).action = 'recording.stored'`,
    );
    // Whoever does this keeps the log growing, so that nobody looks.
    await onServer('ALTER TABLE audit.entry ALTER COLUMN facts DROP EXPRESSION');
    await onServer(`CREATE FUNCTION audit.derive() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN NEW.facts := audit.facts_of(NEW.body); RETURN NEW; END'`);
    await onServer(
      'CREATE TRIGGER derive BEFORE INSERT ON audit.entry FOR EACH ROW EXECUTE FUNCTION audit.derive()',
    );
    await onServer('ALTER TABLE audit.entry DISABLE TRIGGER refuse_change');
    await onServer(`UPDATE audit.entry SET facts.actor = 'somebody' WHERE seq = $1`, [seq[0]?.seq]);
    const { code, stdout } = await live({ CALLVAULT_TOKEN: token }, ['--key', logKey]);
    expect(stdout).toMatch(new RegExp(`\\n${seq[0]?.seq}\\tcolumns\\t.*actor`));
    expect(code).toBe(1);
  });
});
