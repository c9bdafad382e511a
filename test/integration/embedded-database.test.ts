import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataFolder, openDataFolder } from '../../src/storage/data-folder.ts';
import { openDatabase } from '../../src/storage/database.ts';
import {
  attachEmbeddedDatabase,
  type EmbeddedDatabase,
  openEmbeddedDatabase,
} from '../../src/storage/embedded-database.ts';
import { readMigrations } from '../../src/storage/migrate.ts';
import { serverProcesses } from '../../src/storage/postgres-leftovers.ts';

let home: string;
let path: string;
let folder: DataFolder;
let database: EmbeddedDatabase | null;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'embedded-'));
  path = join(home, 'data');
  database = null;
});
afterEach(async () => {
  await database?.stop();
  await folder.close();
  rmSync(home, { recursive: true, force: true });
});

const start = async (): Promise<EmbeddedDatabase> => {
  folder = await openDataFolder(path);
  database = await openEmbeddedDatabase(folder, () => undefined);
  return database;
};

const stop = async (): Promise<void> => {
  await database?.stop();
  database = null;
  await folder.close();
};

const file = (name: string): string => join(path, 'postgres', name);

test('the first start makes everything, the next ones only start', async () => {
  const migrations = await readMigrations();
  const first = await start();
  expect(first.did).toEqual([
    'Made the database.',
    `Applied to the database: ${migrations.map(({ name }) => name).join(', ')}.`,
    'Created role callvault.',
    'Made callvault a member of callvault_app_callvault.',
  ]);
  for (const secret of ['superuser.password', 'application.password'])
    expect(statSync(file(secret)).mode & 0o777).toBe(0o600);
  const { settings } = first;
  await stop();
  const second = await start();
  expect(second.did).toEqual([]);
  expect(second.settings).toEqual(settings);
});

test('its role is fit to serve, and is not the superuser', async () => {
  const { settings } = await start();
  const opened = await openDatabase(settings);
  expect((await opened.pool.query('SELECT current_user AS me')).rows).toEqual([{ me: 'callvault' }]);
  await opened.close();
});

test('a command beside it reaches it by what the vault announces', async () => {
  const { settings, socketDir } = await start();
  expect(await attachEmbeddedDatabase(path, socketDir)).toEqual(settings);
  await expect(attachEmbeddedDatabase(path, '')).rejects.toThrow(/give this command its DATABASE_URL/);
});

test('a lost or foreign application password is replaced', async () => {
  const { settings } = await start();
  await stop();
  rmSync(file('application.password'));
  const again = await start();
  expect(again.did).toEqual(['Gave role callvault its password.']);
  expect(again.settings.password).not.toBe(settings.password);
  await (await openDatabase(again.settings)).close();
});

test('a data folder too deep for a socket starts all the same', async () => {
  path = join(home, 'x'.repeat(60), 'y'.repeat(60), 'data');
  const { settings, socketDir } = await start();
  expect(socketDir).not.toContain(home);
  await (await openDatabase(settings)).close();
  await stop();
  expect(existsSync(socketDir)).toBe(false);
});

test('a data folder with spaces, quotes and letters of all kinds starts', async () => {
  path = join(home, `it's a (vault) – ärligt ~ #1 %20 \\ *`);
  await (await openDatabase((await start()).settings)).close();
});

test.each([':', ';', ',', '"', '$'])('one with %s is refused with a sentence', async (character) => {
  path = join(home, `a${character}b`);
  await expect(start()).rejects.toThrow(/choose a DATA_DIR without colon/);
});

/** Something that only the superuser can do to the server that runs. */
const asSuperuser = async (name: string, ...statements: string[]): Promise<void> => {
  const { settings } = database as EmbeddedDatabase;
  const password = readFileSync(file('superuser.password'), 'utf8');
  const client = new pg.Client({ ...settings, user: 'postgres', password, database: name });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
};

test('a start that was killed between its steps goes on where it stopped', async () => {
  await start();
  await asSuperuser('postgres', 'DROP DATABASE callvault', 'CREATE DATABASE callvault');
  await stop();
  const again = await start();
  expect(again.did).toEqual([
    expect.stringMatching(/^Applied to the database/),
    'Gave role callvault its password.',
  ]);
  await (await openDatabase(again.settings)).close();
});

test('a database of a newer release is refused, and no server is left behind', async () => {
  await start();
  const row = `gen_random_uuid(), repeat('0', 64), now(), '29990101000000_later'`;
  await asSuperuser(
    'callvault',
    `INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name) VALUES (${row})`,
  );
  await stop();
  await expect(start()).rejects.toThrow(/migrated by another release \(29990101000000_later/);
  expect(await serverProcesses(file('cluster'))).toEqual([]);
});
