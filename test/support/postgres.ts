import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { ensureLoginRole } from '../../src/storage/login-role.ts';
import { migrate, readMigrations } from '../../src/storage/migrate.ts';
import { serverProcesses } from '../../src/storage/postgres-leftovers.ts';
import { cachedFolder, copyFolder } from './cached-folder.ts';

export type TestDatabase = AsyncDisposable & {
  /** Login role `callvault`, member of callvault_app_callvault: what the serving process is. */
  readonly app: PostgresSettings;
  /** Login role `callvault_owner`: owns the database, has CREATEROLE, is no superuser; it ran the migrations. */
  readonly owner: PostgresSettings;
  readonly superuser: PostgresSettings;
  /** The server's data folder, for tests that look at raw files. */
  readonly clusterDir: string;
  /** An open client; ended by close(). A server that goes away does not throw through it. */
  connect(as: 'app' | 'owner' | 'superuser'): Promise<pg.Client>;
  /** `fast`: orderly; `immediate`: recovery at the next start; `kill`: SIGKILL to every server process. */
  stopServer(how?: 'fast' | 'immediate' | 'kill'): Promise<void>;
  /** Starts it again: same data, same settings but for those given. */
  startServer(changed?: Readonly<Record<string, string>>): Promise<void>;
  close(): Promise<void>;
};

/** As a setting of the vault names it. */
export const urlOf = ({ host, user, password, database }: PostgresSettings): string =>
  `postgresql://${user}:${encodeURIComponent(password)}@/${database}?host=${encodeURIComponent(host)}`;

export type TestDatabaseOptions = {
  /** False: the empty database and its owner only. */
  readonly migrated?: boolean;
  /** fsync on, as in production; off by default because tests do not cut the power. */
  readonly durable?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
};

const DATABASE = 'callvault';

const quick = { fsync: 'off', shared_buffers: '32MB', io_method: 'sync', max_connections: '120' };

const rolesOf = (superuser: PostgresSettings) => {
  const on = { host: superuser.host, port: superuser.port, database: DATABASE };
  return {
    superuser: { ...superuser, database: DATABASE },
    owner: { ...on, user: 'callvault_owner', password: 'owner-in-a-test-0123456789' },
    app: { ...on, user: 'callvault', password: 'application-in-a-test-0123' },
  };
};

const withClient = async (
  settings: PostgresSettings,
  use: (client: pg.Client) => Promise<unknown>,
): Promise<void> => {
  const client = new pg.Client(settings);
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
};

const startIn = (home: string, settings: Readonly<Record<string, string>>): Promise<EmbeddedPostgres> =>
  startEmbeddedPostgres({
    folder: join(home, 'postgres'),
    socketDir: join(home, 'run'),
    log: () => undefined,
    settings,
  });

/** A server's home with an empty database of its owner, migrated on demand, not running. */
const buildHome = async (home: string, migrated: boolean): Promise<void> => {
  for (const folder of ['postgres', 'run']) await mkdir(join(home, folder), { recursive: true, mode: 0o700 });
  const server = await startIn(home, quick);
  try {
    const { superuser, owner, app } = rolesOf(server.superuser);
    await withClient(server.superuser, async (client) => {
      await client.query(`CREATE ROLE ${owner.user} LOGIN CREATEROLE PASSWORD '${owner.password}'`);
      await client.query(`CREATE DATABASE ${DATABASE} OWNER ${owner.user}`);
    });
    if (migrated) {
      await migrate(owner);
      await withClient(owner, (client) => ensureLoginRole(client, app));
    }
    await withClient(superuser, (client) => client.query('CHECKPOINT'));
  } finally {
    await server.stop();
  }
};

/** Builds a home once per state of the migrations; every test file starts from a copy of it. */
const cachedHome = async (migrated: boolean): Promise<string> => {
  const hash = createHash('sha256').update('1');
  for (const { name, script } of migrated ? await readMigrations() : []) hash.update(name).update(script);
  const name = `postgres-${migrated ? 'migrated' : 'empty'}-${hash.digest('hex').slice(0, 16)}`;
  return cachedFolder(name, (draft) => buildHome(draft, migrated));
};

const stopBy = async (server: EmbeddedPostgres, how: 'fast' | 'immediate' | 'kill'): Promise<void> => {
  if (how === 'fast') return server.stop();
  const processes = how === 'kill' ? await serverProcesses(server.clusterDir) : [server.pid];
  for (const pid of processes) process.kill(pid, how === 'kill' ? 'SIGKILL' : 'SIGQUIT');
  await server.exited;
};

/**
 * A real PostgreSQL 18 of the caller's own, on a Unix socket, with database `callvault`, in about half a second. Once per
 * test file: `beforeAll(async () => { db = await startTestDatabase(); })`, `afterAll(() => db.close())`. It ends with the
 * test process, however that ends.
 */
export const startTestDatabase = async (options: TestDatabaseOptions = {}): Promise<TestDatabase> => {
  const { migrated = true, durable = false } = options;
  const home = await mkdtemp(join(tmpdir(), 'cv-'));
  const settings = { ...quick, ...(durable ? { fsync: 'on' } : {}), ...options.settings };
  await copyFolder(await cachedHome(migrated), home);
  let server = await startIn(home, settings);
  const roles = rolesOf(server.superuser);
  const clients: pg.Client[] = [];
  const close = async (): Promise<void> => {
    await Promise.allSettled(clients.map((client) => client.end()));
    await server.stop();
    await rm(home, { recursive: true, force: true });
  };
  return {
    ...roles,
    clusterDir: server.clusterDir,
    async connect(as) {
      const client = new pg.Client(roles[as]);
      client.on('error', () => undefined);
      await client.connect();
      clients.push(client);
      return client;
    },
    stopServer: (how = 'fast') => stopBy(server, how),
    async startServer(changed = {}) {
      server = await startIn(home, { ...settings, ...changed });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
};
