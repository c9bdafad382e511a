import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';

let home: string;
let server: EmbeddedPostgres;
const log: string[] = [];

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'embedded-'));
  for (const folder of ['postgres', 'run']) mkdirSync(join(home, folder), { mode: 0o700 });
  server = await startEmbeddedPostgres({
    folder: join(home, 'postgres'),
    socketDir: join(home, 'run'),
    log: (line) => void log.push(line),
  });
});
afterAll(async () => {
  await server.stop();
  rmSync(home, { recursive: true });
});

const query = async (settings: PostgresSettings, statement: string): Promise<Record<string, unknown>[]> => {
  const client = new pg.Client(settings);
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
};

test('is reached through an owner-only socket and nothing else, with a password', async () => {
  const { superuser, pid } = server;
  const [shown] = await query(
    superuser,
    `SELECT current_setting('listen_addresses') AS tcp, current_setting('unix_socket_directories') AS socket`,
  );
  expect(shown).toEqual({ tcp: '', socket: join(home, 'run') });
  expect(statSync(join(home, 'run', '.s.PGSQL.5432')).mode & 0o777).toBe(0o700);
  const listening =
    execFileSync('ls', ['-l', `/proc/${pid}/fd`], { encoding: 'utf8' }).match(/socket:\[(\d+)\]/g) ?? [];
  for (const table of ['tcp', 'tcp6'])
    for (const socket of listening)
      expect(readFileSync(`/proc/net/${table}`, 'utf8')).not.toContain(` ${socket.slice(8, -1)} `);
  const rules = await query(
    superuser,
    'SELECT type, database, user_name, auth_method FROM pg_hba_file_rules',
  );
  expect(rules.map(({ type, auth_method }) => `${type} ${auth_method}`)).toEqual([
    'local scram-sha-256',
    'local scram-sha-256',
  ]);
  for (const password of ['', 'postgres', superuser.password.slice(1)])
    await expect(query({ ...superuser, password }, 'SELECT 1')).rejects.toThrow(/password/);
});

test('keeps what it has acknowledged, notices rot, and sorts the same everywhere', async () => {
  const { superuser } = server;
  const settings = ['fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums', 'server_encoding'];
  const [row] = await query(
    superuser,
    `SELECT ${settings.map((name) => `current_setting('${name}') AS ${name}`).join(', ')}`,
  );
  expect(row).toEqual({
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    data_checksums: 'on',
    server_encoding: 'UTF8',
  });
  const [order] = await query(
    superuser,
    `SELECT string_agg(x, '' ORDER BY x) AS o FROM unnest(ARRAY['ä','b','B','a']) x`,
  );
  expect(order).toEqual({ o: 'Babä' });
});

test('leaves nothing open to others on disk', async () => {
  const { clusterDir } = server;
  for (const path of [
    clusterDir,
    join(home, 'postgres', 'superuser.password'),
    join(clusterDir, 'pg_hba.conf'),
  ])
    expect(statSync(path).mode & 0o077, path).toBe(0);
});

test('writes neither statements nor values into its log', async () => {
  const { superuser } = server;
  const client = new pg.Client(superuser);
  await client.connect();
  await client.query('CREATE TABLE call (number text PRIMARY KEY CHECK (length(number) < 9))');
  await client.query('INSERT INTO call VALUES ($1)', ['0701canary'.slice(0, 8)]);
  for (const statement of [
    `INSERT INTO call VALUES ('0701canary')`,
    `INSERT INTO call VALUES ('0701cana')`,
    `SELECT '0701canary'::int`,
    `SELECT '0701canary' FROM`,
  ])
    await expect(client.query(statement)).rejects.toThrow();
  await expect(client.query('INSERT INTO call VALUES ($1)', ['0701canary'])).rejects.toThrow();
  await client.end();
  expect(log.join('\n')).toContain('ready to accept connections');
  expect(log.join('\n')).not.toContain('cana');
});

test('has a session of its own, so that Ctrl-C in a terminal reaches the vault alone', async () => {
  const { pid } = server;
  const group = (id: number) =>
    readFileSync(`/proc/${id}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[2];
  expect(group(pid)).toBe(String(pid));
  expect(group(pid)).not.toBe(group(process.pid));
});

test('does not inherit the environment', async () => {
  const { pid } = server;
  const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
    .split('\0')
    .map((line) => line.split('=')[0]);
  expect(names.filter((name) => name !== '' && !name?.startsWith('PG')).sort()).toEqual(
    ['LC_ALL', 'LD_LIBRARY_PATH', 'PATH', 'TZ'].sort(),
  );
});
