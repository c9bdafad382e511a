import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import type { DataFolder } from './data-folder.ts';
import { type EmbeddedPostgres, SOCKET_PORT, startEmbeddedPostgres } from './embedded-postgres.ts';
import { ensureLoginRole } from './login-role.ts';
import { migrate, migrationState, readMigrations } from './migrate.ts';
import { clusterOwner } from './postgres-cluster.ts';
import { ensureSecretFile } from './secret-file.ts';
import { openSocketFolder } from './socket-folder.ts';

const DATABASE = 'callvault';
const APPLICATION_ROLE = 'callvault';
const FOLDER = 'postgres';
/** Where in the data folder the server's data is; it appears there whole or not at all. */
export const CLUSTER = join(FOLDER, 'cluster');
const PASSWORD_FILE = 'application.password';

export type EmbeddedDatabase = {
  /** The application role: neither owner nor superuser. */
  readonly settings: PostgresSettings;
  readonly socketDir: string;
  /** What the start had to do beyond starting, in sentences for the operator. */
  readonly did: readonly string[];
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
};

const settingsOf = async (folder: string, socketDir: string): Promise<PostgresSettings> => ({
  host: socketDir,
  port: SOCKET_PORT,
  user: APPLICATION_ROLE,
  password: await ensureSecretFile(join(folder, PASSWORD_FILE)),
  database: DATABASE,
});

const within = async <T>(settings: PostgresSettings, use: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client(settings);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
};

/** SQLSTATE of: no such role or wrong password, no such database, may not connect to it. */
const NOT_PREPARED = new Set(['28P01', '28000', '3D000', '42501']);

/** Whether the application role finds its database as this release wants it; then the superuser is not needed. */
const isPrepared = async (settings: PostgresSettings): Promise<boolean> => {
  try {
    const migrations = await readMigrations();
    return await within(settings, async (client) => {
      const { pending, interrupted } = await migrationState(client, migrations);
      return pending.length === 0 && interrupted.length === 0;
    });
  } catch (error) {
    if (error instanceof pg.DatabaseError && NOT_PREPARED.has(error.code ?? '')) return false;
    throw error;
  }
};

/** The superuser's only work: database, migrations, the application's role and password. */
const prepare = async (server: EmbeddedPostgres, settings: PostgresSettings): Promise<readonly string[]> => {
  const did: string[] = [];
  await within(server.superuser, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount !== 0) return;
    await client.query(`CREATE DATABASE ${DATABASE}`);
    did.push('Made the database.');
  });
  const superuser = { ...server.superuser, database: DATABASE };
  const { applied } = await migrate(superuser);
  if (applied.length > 0) did.push(`Applied to the database: ${applied.join(', ')}.`);
  return [
    ...did,
    ...(await within(superuser, (client) => ensureLoginRole(client, settings, { renew: true }))),
  ];
};

/** The dynamic linker's path list and PostgreSQL's list of socket folders have no way to write these. */
const UNSPEAKABLE = /[:;,"$]/;

/**
 * Starts the embedded database of a data folder that this process holds, and makes and migrates it as far as needed. Throws
 * as `startEmbeddedPostgres` and `migrate` do; then no server is left.
 */
export const openEmbeddedDatabase = async (
  data: DataFolder,
  log: (line: string) => void,
): Promise<EmbeddedDatabase> => {
  if (UNSPEAKABLE.test(data.path))
    throw new AppError(
      'config_invalid',
      `The embedded PostgreSQL cannot lie in ${data.path}: choose a DATA_DIR without colon, semicolon, comma, quotation mark or dollar sign.`,
    );
  const folder = await data.subfolder(FOLDER);
  const uid = process.getuid?.() ?? -1;
  const owner = await clusterOwner(join(data.path, CLUSTER));
  const socketDir = await openSocketFolder(data.path, owner === null ? [uid] : [uid, owner]);
  const settings = await settingsOf(folder, socketDir);
  const server = await startEmbeddedPostgres({ folder, socketDir, log });
  try {
    const recovered = 'The last run was not closed in order; PostgreSQL has put its data right.';
    const did = [...(server.recovered ? [recovered] : [])];
    if (!(await isPrepared(settings))) did.push(...(await prepare(server, settings)));
    const stop = async (): Promise<void> => {
      await server.stop();
      // Empty now; one that is not in the data folder would be left lying about.
      if (!socketDir.startsWith(data.path)) await rmdir(socketDir).catch(() => undefined);
    };
    return { settings, socketDir, did, exited: server.exited, stop };
  } catch (error) {
    await server.stop();
    throw error;
  }
};

/** Settings for a command beside a running instance, from the socket folder it has announced. */
export const attachEmbeddedDatabase = async (
  dataDir: string,
  socketDir: string,
): Promise<PostgresSettings> => {
  // An empty host would mean some other server of this machine to the client library.
  if (socketDir === '')
    throw new AppError(
      'config_invalid',
      'The vault that runs on this data folder has no embedded database: give this command its DATABASE_URL.',
    );
  return settingsOf(join(dataDir, FOLDER), socketDir);
};
