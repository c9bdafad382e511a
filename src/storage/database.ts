import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { excessOfRole } from './least-privilege.ts';
import { migrationState, readMigrations } from './migrate.ts';
import { PrismaClient } from './prisma/client.ts';

export type Database = {
  /** Ordinary queries. */
  readonly prisma: PrismaClient;
  /** The same connections for statements without the mapper. */
  readonly pool: pg.Pool;
  /**
   * For named statements that find rows by key, whatever the values: each is planned once per connection. Planning them anew
   * cost more than carrying them out, and a third of what a piece of sound costs in all.
   */
  readonly keyed: pg.Pool;
  /** What the role can do too much, in a sentence; null unless {@link DatabaseOptions.excess} is `told`, and there is some. */
  readonly excess: string | null;
  /** Throws `database_unavailable` when the database does not answer within seconds. */
  check(): Promise<void>;
  close(): Promise<void>;
};

export type DatabaseOptions = {
  /** Connections at most; the log writer has one of its own beside them. */
  readonly connections?: number;
  /** What becomes of a role that can do too much: `refused` unless told otherwise. */
  readonly excess?: 'refused' | 'told';
};

const CONNECTIONS = 16;

/**
 * A database that is away fails requests within these, instead of holding them: milliseconds for a connection, a statement
 * on the server, and its answer.
 */
const KEYED_CONNECTIONS = 4;

const LIMITS = {
  connectionTimeoutMillis: 5_000,
  statement_timeout: 10_000,
  query_timeout: 12_000,
  lock_timeout: 5_000,
  idle_in_transaction_session_timeout: 30_000,
  keepAlive: true,
};

/** Where the database should be, as an operator may read it: never the password, nor what the driver said about it. */
const unavailable = ({ host, port, database, user }: PostgresSettings, cause: unknown): AppError => {
  const { code } = cause as { readonly code?: unknown };
  const word = typeof code === 'string' && /^[A-Z0-9_]{3,40}$/.test(code) ? ` (${code})` : '';
  const where = host.startsWith('/') ? `in ${host}` : `at ${host}:${port}`;
  const sentence = ['28P01', '28000'].includes(String(code))
    ? `refuses the role ${user}${word}: check user and password of its URL, or run "callvault migrate", which lets the role in.`
    : code === '3D000'
      ? `is not there${word}: check the name at the end of its URL.`
      : `cannot be reached${word}: see that it runs and listens there, and that host and port are right (DATABASE_URL).`;
  return new AppError('database_unavailable', `The database ${database} ${where} ${sentence}`, { cause });
};

/** More different statements than the service has; beyond them one is planned each time, as without a name. */
const MAX_NAMES = 200;
/** What `pg` takes for no name. */
const UNNAMED = '';

/**
 * Names for the statements that PostgreSQL keeps planned per connection: planning them anew cost as much as running them.
 * Searches stay without one, for their best plan depends on what is asked for.
 */
const statementNames = (): ((query: { readonly sql: string }) => string) => {
  const names = new Map<string, string>();
  return ({ sql }) => {
    if (/\bORDER BY\b/i.test(sql)) return UNNAMED;
    const known = names.get(sql);
    if (known !== undefined || names.size >= MAX_NAMES) return known ?? UNNAMED;
    const name = `cv-${createHash('sha256').update(sql).digest('hex').slice(0, 24)}`;
    names.set(sql, name);
    return name;
  };
};

/** What the role can do too much to serve with, or null. Throws for what else is unfit, and unless the database is of this release. */
const inspect = async (settings: PostgresSettings): Promise<AppError | null> => {
  const client = new pg.Client({ ...settings, ...LIMITS, application_name: 'callvault start' });
  client.on('error', () => undefined);
  await client.connect().catch((cause: unknown) => {
    throw unavailable(settings, cause);
  });
  try {
    const excess = await excessOfRole(client);
    const { pending, interrupted } = await migrationState(client, await readMigrations());
    if (pending.length + interrupted.length > 0)
      throw new AppError(
        'database_unavailable',
        `The database lacks ${pending.length} of this release's migrations: run "callvault migrate".`,
      );
    return excess;
  } finally {
    await client.end();
  }
};

/**
 * Opens the database as the application role. Refuses with `config_invalid` a role that can do too much, unless that is to be told, and with
 * `database_unavailable` a server that does not answer or a schema that is not this release's.
 */
export const openDatabase = async (
  settings: PostgresSettings,
  { connections = CONNECTIONS, excess: manner = 'refused' }: DatabaseOptions = {},
): Promise<Database> => {
  const excess = await inspect(settings);
  if (excess !== null && manner === 'refused') throw excess;
  const pool = new pg.Pool({ ...settings, ...LIMITS, max: connections, application_name: 'callvault' });
  // An idle connection that breaks is replaced at the next query, which then tells; without a listener it would end the process.
  pool.on('error', () => undefined);
  const keyed = new pg.Pool({
    ...settings,
    ...LIMITS,
    max: KEYED_CONNECTIONS,
    application_name: 'callvault keyed',
    onConnect: (client) => client.query('SET plan_cache_mode = force_generic_plan').then(() => undefined),
  });
  keyed.on('error', () => undefined);
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool, { statementNameGenerator: statementNames() }),
  });
  return {
    prisma,
    pool,
    keyed,
    excess: excess?.message ?? null,
    async check() {
      await pool.query('SELECT 1').catch((cause: unknown) => {
        throw unavailable(settings, cause);
      });
    },
    async close() {
      await prisma.$disconnect();
      await Promise.all([pool.end(), keyed.end()]);
    },
  };
};
