import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { type PostgresIdentity, possibleIdentities } from '../../src/storage/postgres-identity.ts';
import { serverProcesses } from '../../src/storage/postgres-leftovers.ts';
import { isAlive, runChild, until } from '../support/child.ts';

let home: string;
let servers: EmbeddedPostgres[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'embedded-'));
  for (const folder of ['postgres', 'run']) mkdirSync(join(home, folder), { mode: 0o700 });
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.stop();
  rmSync(home, { recursive: true, force: true });
});

const options = () => ({
  folder: join(home, 'postgres'),
  socketDir: join(home, 'run'),
  log: () => undefined,
});

const start = async (identities?: readonly PostgresIdentity[]): Promise<EmbeddedPostgres> => {
  const server = await startEmbeddedPostgres({
    ...options(),
    ...(identities === undefined ? {} : { identities }),
  });
  servers.push(server);
  return server;
};

const query = async (
  settings: PostgresSettings,
  ...statements: string[]
): Promise<Record<string, unknown>[]> => {
  const client = new pg.Client(settings);
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) ({ rows } = await client.query(statement));
    return rows;
  } finally {
    await client.end();
  }
};

/** Starts a server from a process of its own, as a vault does, and tells that process's and the server's ids. */
const startElsewhere = async (identities = 'undefined') => {
  const child = runChild(`
    import { startEmbeddedPostgres } from './src/storage/embedded-postgres.ts';
    const identities: any = ${identities};
    const server = await startEmbeddedPostgres({
      folder: ${JSON.stringify(join(home, 'postgres'))}, socketDir: ${JSON.stringify(join(home, 'run'))}, log: () => undefined,
      ...(identities === undefined ? {} : { identities }),
    });
    console.log(server.pid);
    setInterval(() => undefined, 1000);
  `);
  return { child, server: Number(await child.nextLine()) };
};

describe('starting again', () => {
  test('after an orderly stop the data and the password are the same', async () => {
    const first = await start();
    await query(first.superuser, 'CREATE TABLE kept AS SELECT 1 AS one');
    await first.stop();
    await first.stop();
    const second = await start();
    expect(second.superuser).toEqual(first.superuser);
    expect(second.recovered).toBe(false);
    expect(await query(second.superuser, 'SELECT * FROM kept')).toEqual([{ one: 1 }]);
  });

  test('after SIGKILL to every server process what was committed is there', async () => {
    const first = await start();
    await query(first.superuser, 'CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n');
    for (const pid of await serverProcesses(first.clusterDir)) process.kill(pid, 'SIGKILL');
    await first.exited;
    const second = await start();
    expect(second.recovered).toBe(true);
    expect(await query(second.superuser, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
  });

  test('a stale pid file and socket lock whose process id now belongs to somebody else do not matter', async () => {
    const first = await start();
    await first.stop();
    const file = (pid: number) =>
      `${pid}\n${first.clusterDir}\n1700000000\n5432\n${join(home, 'run')}\n\n  1 1\nready   \n`;
    writeFileSync(join(first.clusterDir, 'postmaster.pid'), file(process.pid), { mode: 0o600 });
    writeFileSync(join(home, 'run', '.s.PGSQL.5432.lock'), file(process.pid), { mode: 0o600 });
    writeFileSync(join(home, 'run', '.s.PGSQL.5432'), '');
    const second = await start();
    expect(await query(second.superuser, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('a pid file of garbage does not matter either', async () => {
    const first = await start();
    await first.stop();
    writeFileSync(join(first.clusterDir, 'postmaster.pid'), 'garbage', { mode: 0o600 });
    expect((await start()).pid).toBeGreaterThan(0);
  });

  test('a first start that was killed while it made the cluster leaves nothing in the way', async () => {
    mkdirSync(join(home, 'postgres', 'cluster.new', 'cluster', 'base'), { recursive: true });
    writeFileSync(join(home, 'postgres', 'cluster.new', 'cluster', 'PG_VERSION'), '18\n');
    expect((await start()).pid).toBeGreaterThan(0);
  });
});

describe('when the vault is killed', () => {
  test('the server ends by itself', async () => {
    const { child, server } = await startElsewhere();
    const clusterDir = join(home, 'postgres', 'cluster');
    expect(await serverProcesses(clusterDir)).toContain(server);
    await child.kill('SIGKILL');
    await until(async () => (await serverProcesses(clusterDir)).length === 0);
    const next = await start();
    expect(next.recovered).toBe(false);
  });

  test('a server that could not be tied to its life is ended by the next start, and its data are whole', async () => {
    const untied = possibleIdentities(process.getuid?.() ?? -1, readFileSync('/etc/passwd', 'utf8')).filter(
      ({ prefix }) => !prefix.includes('setpriv'),
    );
    const { child, server } = await startElsewhere(JSON.stringify(untied));
    await child.kill('SIGKILL');
    expect(isAlive(server)).toBe(true);
    const next = await start();
    expect(isAlive(server)).toBe(false);
    expect(next.recovered).toBe(true);
    expect(await query(next.superuser, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('nobody but servers of this very cluster is ended', async () => {
    const first = await start();
    await first.stop();
    const shell = spawn('sleep', ['60'], { cwd: first.clusterDir, stdio: 'ignore' });
    try {
      await until(() => isAlive(shell.pid as number));
      writeFileSync(join(first.clusterDir, 'postmaster.pid'), `${shell.pid}\n${first.clusterDir}\n`, {
        mode: 0o600,
      });
      await start();
      expect(isAlive(shell.pid as number)).toBe(true);
    } finally {
      shell.kill('SIGKILL');
    }
  });

  test('two servers side by side do not touch each other', async () => {
    const first = await start();
    const other = mkdtempSync(join(tmpdir(), 'embedded-'));
    for (const folder of ['postgres', 'run']) mkdirSync(join(other, folder), { mode: 0o700 });
    const second = await startEmbeddedPostgres({
      folder: join(other, 'postgres'),
      socketDir: join(other, 'run'),
      log: () => undefined,
    });
    servers.push(second);
    expect(await query(first.superuser, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(second.superuser.password).not.toBe(first.superuser.password);
    await second.stop();
    rmSync(other, { recursive: true });
  });
});

describe('what it refuses', () => {
  test('a data folder of another PostgreSQL', async () => {
    mkdirSync(join(home, 'postgres', 'cluster'), { mode: 0o700 });
    writeFileSync(join(home, 'postgres', 'cluster', 'PG_VERSION'), '17\n');
    await expect(start()).rejects.toThrow(/made by PostgreSQL 17.*brings 18/);
  });

  test('a folder that is none', async () => {
    mkdirSync(join(home, 'postgres', 'cluster'), { mode: 0o700 });
    writeFileSync(join(home, 'postgres', 'cluster', 'thing'), '');
    await expect(start()).rejects.toThrow(/is not a PostgreSQL data folder/);
  });

  test('a password file that others could read', async () => {
    await (await start()).stop();
    chmodSync(join(home, 'postgres', 'superuser.password'), 0o640);
    await expect(start()).rejects.toThrow(/superuser\.password can be read by others \(mode 640\)/);
  });

  test('a damaged password file', async () => {
    await (await start()).stop();
    writeFileSync(join(home, 'postgres', 'superuser.password'), 'short');
    await expect(start()).rejects.toThrow(/does not hold a password/);
  });

  test('a damaged cluster, telling what the server said', async () => {
    const { clusterDir, stop } = await start();
    await stop();
    writeFileSync(join(clusterDir, 'global', 'pg_control'), 'x'.repeat(8192));
    const error = (await start().catch((caught: unknown) => caught)) as Error;
    expect(error).toMatchObject({ code: 'database_unavailable' });
    expect(String((error.cause as Error).message)).toMatch(/incompatible|control file|pg_control/);
    expect(await serverProcesses(clusterDir)).toEqual([]);
  });

  test('to run when no identity works, saying what can be done', async () => {
    const impossible: PostgresIdentity[] = [{ kind: 'namespace', prefix: ['/bin/false'], owner: null }];
    const error = (await start(impossible).catch((caught: unknown) => caught)) as Error;
    expect(error.message).toMatch(/ordinary user.*DATABASE_URL/);
    expect(String((error.cause as Error).message)).toContain('/bin/false postgres');
  });
});

/** These need what only root has; run as another user they say so by their name. */
const asRoot = process.getuid?.() === 0;
describe(
  asRoot ? 'as root' : 'as root (this run is not: only the refusal of foreign identities is tried)',
  () => {
    const account = possibleIdentities(0, readFileSync('/etc/passwd', 'utf8')).filter(
      ({ kind }) => kind === 'account',
    );
    const [first] = account;

    test('an account of the machine serves where namespaces are off, or the reason is told', async () => {
      const node = { uid: first?.owner?.uid, gid: first?.owner?.gid };
      const reachable =
        asRoot && spawnSync('test', ['-x', import.meta.dirname], { ...(node as object) }).status === 0;
      chmodSync(home, 0o700);
      if (!reachable) {
        await expect(start(account)).rejects.toThrow();
        return;
      }
      const server = await start(account);
      expect(server.identity).toBe('account');
      expect(statSync(server.clusterDir).uid).toBe(first?.owner?.uid);
      // Passing through is all that the account may do, and nobody else may do even that.
      for (const folder of [home, join(home, 'postgres')]) {
        expect(statSync(folder)).toMatchObject({ uid: 0, gid: first?.owner?.gid });
        expect(statSync(folder).mode & 0o777).toBe(0o710);
      }
      expect(await query(server.superuser, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await server.stop();
      // Once its own, the cluster is served by that account again, whatever else would work.
      expect((await start()).identity).toBe('account');
    });
  },
);
