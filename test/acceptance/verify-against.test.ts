import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** `callvault verify --against`: the database beside checkpoints that were carried off, after what its superuser did. */
let world: CareLineVault;
let kept: string;
let logKey: string;
let copies = 0;

const onServer = <T>(text: string, values: readonly unknown[] = []): Promise<T[]> =>
  inDatabase(
    world.folder,
    async (client) => (await client.query(text, [...values])).rows as T[],
    'superuser',
  );

const against = (folder: string, ...args: string[]) =>
  world.folder.cli('verify', '--against', folder, ...args);

const copyOfKept = async (): Promise<string> => {
  copies += 1;
  const folder = `${kept}-${copies}`;
  await cp(kept, folder, { recursive: true, preserveTimestamps: true });
  return folder;
};

/** A checkpoint signed by a key of one's own, for the log's own name. */
const forgedNote = (size: number): string => {
  const name = logKey.slice(0, logKey.indexOf('+'));
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const id = createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.of(1))
    .update(raw)
    .digest()
    .subarray(0, 4);
  const text = `${name}\n${size}\n${createHash('sha256').update('forged').digest('base64')}\n`;
  const line = Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]).toString('base64');
  return `${text}\n— ${name} ${line}\n`;
};

const namesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => /^\d{16}$/.test(name)).sort();

beforeAll(async () => {
  world = await startCareLine();
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  world = { ...world, vault: await world.folder.start() };
  await world.line.compliance.token().catch(() => undefined);
  await world.vault.stop();
  kept = join(await mkdtemp(join(tmpdir(), 'cvk-')), 'kept');
  await cp(join(world.folder.dataDir, 'checkpoints'), kept, { recursive: true, preserveTimestamps: true });
  logKey = (await world.folder.cli('log-key')).stdout.trim();
});
afterAll(async () => {
  await world?.folder.remove();
  await rm(join(kept, '..'), { recursive: true, force: true });
});

test('every checkpoint that was carried off is in the log: 0', async () => {
  expect((await namesIn(kept)).length).toBeGreaterThanOrEqual(2);
  const { code, stdout, stderr } = await against(kept, '--key', logKey);
  expect(stdout).toMatch(/^ok\t/);
  expect(stderr).toMatch(/holds \d+ checkpoints/);
  expect(code).toBe(0);
  expect(await against(kept)).toMatchObject({ code: 0, stderr: expect.stringContaining('Without --key') });
});

test('a folder that is empty, as a share that is not mounted is, and one that is none: 3', async () => {
  const empty = `${kept}-empty`;
  await mkdir(empty);
  // A draft is none.
  await writeFile(join(empty, '.0000000000000004'), 'half');
  expect(await against(empty)).toMatchObject({
    code: 3,
    stdout: '',
    stderr: expect.stringContaining('There is no checkpoint in'),
  });
  expect(await against(empty, '--live', 'http://127.0.0.1:9')).toMatchObject({ code: 3, stdout: '' });
  const file = join(empty, '..', 'export.ndjson');
  await writeFile(file, '{}\n');
  expect(await world.folder.cli('verify', file, '--against', empty)).toMatchObject({ code: 3, stdout: '' });
  const none = await against(`${kept}-none`);
  expect(none).toMatchObject({ code: 3, stdout: '' });
  expect(none.stderr).toMatch(/-none is not there\.$/m);
  expect(none.stderr).not.toContain('ENOENT');
});

test('a stray file is named, and nobody is told that the log does not agree with itself: 1', async () => {
  const folder = await copyOfKept();
  await writeFile(join(folder, 'foo.txt'), 'shopping list');
  const { code, stdout, stderr } = await against(folder, '--key', logKey);
  expect(stdout).toMatch(/^NOT OK\t.*\n-\tsignature\tfoo\.txt is no signed checkpoint\.\n$/);
  expect(stderr).toMatch(/not all that lies in .* is a checkpoint of this log/i);
  expect(stderr).not.toContain('agree with');
  expect(code).toBe(1);
});

describe('H-5 what is wrong with the checkpoints is named', () => {
  test('one signed by another key', async () => {
    const folder = await copyOfKept();
    const [name] = await namesIn(folder);
    await rm(join(folder, name!), { force: true });
    await writeFile(join(folder, name!), forgedNote(Number(name)));
    const { code, stdout } = await against(folder, '--key', logKey);
    expect(stdout).toMatch(
      new RegExp(`^NOT OK\\t.*\\n-\\tsignature\\t${name} is not signed by a key of the log`),
    );
    expect(code).toBe(1);
  });

  test('one that was edited', async () => {
    const folder = await copyOfKept();
    const [name] = await namesIn(folder);
    const text = await readFile(join(folder, name!), 'utf8');
    await rm(join(folder, name!), { force: true });
    await writeFile(
      join(folder, name!),
      text.replace(/\n.{44}\n/, `\n${Buffer.alloc(32).toString('base64')}\n`),
    );
    expect(await against(folder)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('its signature is wrong'),
    });
  });
});

describe('H-5 what its superuser did to the log is found from outside', () => {
  const tables = ['leaf', 'entry', 'batch', 'node', 'checkpoint'];
  const cutTo = async (size: number): Promise<void> => {
    for (const table of tables) await onServer(`ALTER TABLE audit.${table} DISABLE TRIGGER refuse_change`);
    for (const [table, column] of [
      ['entry', 'seq'],
      ['leaf', 'seq'],
      ['batch', 'first_seq'],
    ])
      await onServer(`DELETE FROM audit.${table} WHERE ${column} >= $1`, [size]);
    await onServer('DELETE FROM audit.checkpoint WHERE size > $1', [size]);
    for (const table of tables)
      await onServer(`ALTER TABLE audit.${table} ENABLE ALWAYS TRIGGER refuse_change`);
  };

  test('the tail is cut off, in the database and in the folder beside it; then regrown', async () => {
    const attacked = await world.folder.start();
    const [{ first } = { first: 0 }] = await onServer<{ first: number }>(
      'SELECT first_seq::int AS first FROM audit.batch WHERE first_seq < $1 ORDER BY first_seq DESC LIMIT 1',
      [Number((await namesIn(kept)).at(-1)) - 2],
    );
    await cutTo(first);
    await attacked.kill();
    await rm(join(world.folder.dataDir, 'checkpoints'), { recursive: true, force: true });
    const cut = await against(kept, '--key', logKey);
    expect(cut.stdout).toMatch(
      /\tanchor\tThe log has \d+ entries, but \d+ are known to have been in it in \d{16}: its tail is missing/,
    );
    expect(cut.code).toBe(1);

    // The vault itself sees a log that agrees with itself, and goes on.
    const again = await world.folder.start();
    await again.stop();
    for (let i = 0; i < 4; i += 1) await world.folder.cli('verify');
    const fork = await against(kept, '--key', logKey);
    expect(fork.stdout).toMatch(
      /\tanchor\tThe first \d+ entries are not those of the known head of that size in \d{16}\./,
    );
    expect(fork.code).toBe(1);
  });
});
