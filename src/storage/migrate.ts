import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { type MigrationEngine, withMigrationEngine } from './migration-engine.ts';

/** One reviewed change of the schema: `prisma/migrations/<name>/migration.sql`. */
export type Migration = { readonly name: string; readonly script: string };

/** What a database has of the migrations of this release. Names are in the order in which they apply. */
export type MigrationState = {
  readonly pending: readonly string[];
  /** Begun and never finished: the server rolled them back whole, so they are simply run again. */
  readonly interrupted: readonly string[];
};

export type MigrationReport = { readonly applied: readonly string[]; readonly repeated: readonly string[] };

const PRISMA_FOLDER = join(import.meta.dirname, '..', '..', 'prisma');
const SCHEMA_FILE = join(PRISMA_FOLDER, 'schema.prisma');
const MIGRATIONS_FOLDER = join(PRISMA_FOLDER, 'migrations');

/** The advisory lock that Prisma's own command line takes too: two migrations at once wait for each other. */
const MIGRATION_LOCK = 72707369;
const LOCK_LIMIT = '60s';

export const readSchema = (): Promise<string> => readFile(SCHEMA_FILE, 'utf8');

/** The migrations of this release, oldest first. */
export const readMigrations = async (folder: string = MIGRATIONS_FOLDER): Promise<readonly Migration[]> => {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  return Promise.all(
    names.map(async (name) => ({
      name,
      script: await readFile(join(folder, name, 'migration.sql'), 'utf8'),
    })),
  );
};

const checksumOf = ({ script }: Migration): string => createHash('sha256').update(script).digest('hex');

type HistoryRow = { migration_name: string; checksum: string; finished_at: Date | null };

const readHistory = async (client: pg.Client): Promise<readonly HistoryRow[]> => {
  const { rows: found } = await client.query(
    `SELECT to_regclass('public._prisma_migrations') IS NOT NULL AS there`,
  );
  if (!found[0].there) return [];
  const { rows } = await client.query<HistoryRow>(
    'SELECT migration_name, checksum, finished_at FROM public._prisma_migrations WHERE rolled_back_at IS NULL',
  );
  return rows;
};

/**
 * Compares a database with the migrations of this release; any role that may read the history can ask.
 * Throws `database_unavailable` when the database is of a newer release, or a migration was edited after it ran.
 */
export const migrationState = async (
  client: pg.Client,
  migrations: readonly Migration[],
): Promise<MigrationState> => {
  const history = await readHistory(client);
  const finished = new Map(
    history.flatMap((row) => (row.finished_at === null ? [] : [[row.migration_name, row.checksum] as const])),
  );
  const unknown = [...finished.keys()].find((name) => migrations.every((one) => one.name !== name));
  if (unknown !== undefined)
    throw new AppError(
      'database_unavailable',
      `The database was migrated by another release (${unknown} is not part of this one): start that release, or restore a backup.`,
    );
  const edited = migrations.find(
    (one) => finished.has(one.name) && finished.get(one.name) !== checksumOf(one),
  );
  if (edited !== undefined)
    throw new AppError(
      'database_unavailable',
      `Migration ${edited.name} is not the one that the database was made with: restore its file from the release.`,
    );
  const interrupted = new Set(
    history.flatMap((row) => (row.finished_at === null ? [row.migration_name] : [])),
  );
  return {
    pending: migrations.flatMap(({ name }) => (finished.has(name) ? [] : [name])),
    interrupted: [...interrupted],
  };
};

/** What the engine's calls want to know about the files. */
const migrationList = (migrations: readonly Migration[]) => ({
  baseDir: MIGRATIONS_FOLDER,
  lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
  shadowDbInitScript: '',
  migrationDirectories: migrations.map(({ name, script }) => ({
    path: name,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value: script } },
  })),
});

const NO_FILTERS = { externalTables: [], externalEnums: [] };

/**
 * Ends a script with its own line in the history, in the same transaction: a run that is killed has either done a migration
 * and said so, or done nothing. (Prisma's engine says so afterwards, and a kill in between leaves the two apart.)
 */
const recordingItself = (script: string): string =>
  `${script}\n;RESET ROLE;\nUPDATE public._prisma_migrations SET finished_at = now() WHERE finished_at IS NULL AND rolled_back_at IS NULL;`;

const applyPending = async (
  engine: MigrationEngine,
  migrations: readonly Migration[],
  state: MigrationState,
) => {
  for (const migrationName of state.interrupted) await engine.markMigrationRolledBack({ migrationName });
  const { appliedMigrationNames } = await engine.applyMigrations({
    migrationsList: migrationList(migrations),
    filters: NO_FILTERS,
  });
  return appliedMigrationNames;
};

/**
 * Brings a database to this release's schema. Safe to repeat, to run twice at once, and to kill: the next run goes on.
 * `settings` is a superuser, or the owner of the database with CREATEROLE. Does nothing, quickly, when all is done.
 * Throws `database_unavailable` with the failed migration's own message; that migration has then changed nothing.
 */
export const migrate = async (
  settings: PostgresSettings,
  migrations?: readonly Migration[],
): Promise<MigrationReport> => {
  const wanted = migrations ?? (await readMigrations());
  const client = new pg.Client({ ...settings, application_name: 'callvault migrate' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(`SET search_path TO public; SET lock_timeout TO '${LOCK_LIMIT}'`);
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const state = await migrationState(client, wanted);
    if (state.pending.length === 0 && state.interrupted.length === 0) return { applied: [], repeated: [] };
    const applied = await withMigrationEngine(
      client,
      await readSchema(),
      (engine) => applyPending(engine, wanted, state),
      recordingItself,
    );
    return { applied, repeated: state.interrupted };
  } catch (cause) {
    throw cause instanceof AppError ? cause : migrationFailure(cause);
  } finally {
    await client.end();
  }
};

const migrationFailure = (cause: unknown): AppError => {
  const busy = cause instanceof pg.DatabaseError && cause.code === '55P03';
  const engineSaid = cause instanceof Error ? cause.message : String(cause);
  const serverSaid = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : null;
  // Below its message the engine prints where in its own source it was, and with which migration.
  const said = serverSaid ?? (engineSaid.split(/\n +0:/)[0] as string).replaceAll('\n', ' ');
  const name = /migration_name="([^"]+)"/.exec(engineSaid)?.[1];
  return new AppError(
    'database_unavailable',
    busy
      ? `Another migration of this database has been running for ${LOCK_LIMIT}: wait for it, then try again.`
      : `The database could not be migrated${name === undefined ? '' : `: ${name} failed and has changed nothing`}. PostgreSQL says: ${said}`,
    { cause },
  );
};

/** Differences between schema.prisma and a migrated database, in words; empty when there are none. For tests and `doctor`. */
export const schemaDrift = async (client: pg.Client): Promise<string> => {
  const schema = await readSchema();
  const files = [{ path: 'schema.prisma', content: schema }];
  return withMigrationEngine(client, schema, async (engine) => {
    const result = await engine.diff({
      from: { tag: 'schemaDatasource', files, configDir: PRISMA_FOLDER },
      to: { tag: 'schemaDatamodel', files },
      script: false,
      exitCode: true,
      filters: NO_FILTERS,
    });
    return result.exitCode === 0 ? '' : (result.stdout ?? 'unknown differences');
  });
};
