import pg from 'pg';
import { AppError, isAppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { causeOf, logUnavailable } from './append-failure.ts';

/** The oldest partition of bodies that is left. Times are milliseconds since 1970. */
export type OldestBodies = {
  readonly number: number;
  /** Its entries, [from, to). */
  readonly from: number;
  readonly to: number;
  /** When its newest entry says it happened, and when the database appended it. */
  readonly newest: number;
  readonly appended: number;
  /** When the first entry behind it says it happened; null where none is. */
  readonly next: number | null;
};

export type LogBodies = {
  /** Null where no partition is left that has entries behind it. */
  readonly oldest: () => Promise<OldestBodies | null>;
  /** Whether entries [from, to) are about a recording that one of these holds is on. */
  readonly concern: (recordings: readonly string[], from: number, to: number) => Promise<boolean>;
};

const CONNECT_MS = 5_000;
const STATEMENT_MS = 60_000;

const OLDEST = `
  SELECT p.number, p.first, p.beyond,
         (SELECT max((e.facts).at) FROM audit.entry e WHERE e.seq >= p.first AND e.seq < p.beyond) AS newest,
         (SELECT extract(epoch FROM max(b.at)) * 1000 FROM audit.batch b WHERE b.first_seq >= p.first AND b.first_seq < p.beyond) AS appended,
         (SELECT (e.facts).at FROM audit.entry e WHERE e.seq >= p.beyond ORDER BY e.seq LIMIT 1) AS next
    FROM (SELECT o.number, audit.partition_start(o.number) AS first, audit.partition_start(o.number + 1) AS beyond
            FROM audit.oldest_bodies() AS o (number)) AS p`;

type OldestRow = Record<'number' | 'first' | 'beyond' | 'newest' | 'appended' | 'next', string | null>;

const settingsOf = (postgres: PostgresSettings, name: string): pg.ClientConfig => ({
  ...postgres,
  application_name: name,
  connectionTimeoutMillis: CONNECT_MS,
  statement_timeout: STATEMENT_MS,
  query_timeout: STATEMENT_MS + CONNECT_MS,
  keepAlive: true,
});

const withClient = async <T>(
  settings: pg.ClientConfig,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> => {
  const client = new pg.Client(settings);
  // A session lost between two queries also fails the next one.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await use(client);
  } catch (cause) {
    throw isAppError(cause) ? cause : logUnavailable('The access log cannot be read now.', cause);
  } finally {
    await client.end();
  }
};

/** Reads as the application role, on a connection for each question: it is asked once in a year. */
export const createLogBodies = (postgres: PostgresSettings): LogBodies => {
  const settings = settingsOf(postgres, 'callvault log bodies');
  return {
    oldest: () =>
      withClient(settings, async (client) => {
        const { number, first, beyond, newest, appended, next } = (await client.query<OldestRow>(OLDEST))
          .rows[0]!;
        if (number === null || newest === null) return null;
        return {
          number: Number(number),
          from: Number(first),
          to: Number(beyond),
          newest: Number(newest),
          appended: Number(appended),
          next: next === null ? null : Number(next),
        };
      }),
    concern: (recordings, from, to) =>
      withClient(settings, async (client) => {
        const { rows } = await client.query<{ there: boolean }>(
          `SELECT EXISTS (SELECT FROM audit.entry e WHERE (e.facts).recording = ANY ($1::uuid[]) AND e.seq >= $2 AND e.seq < $3) AS there`,
          [recordings, from, to],
        );
        return rows[0]!.there;
      }),
  };
};

/** Raised by audit.prune for what it does not remove. */
const REFUSED = 'CV003';
const BUSY = '55P03';

const pruneFault = (cause: unknown): unknown => {
  if (!(cause instanceof pg.DatabaseError)) return cause;
  if (cause.code === REFUSED)
    return new AppError('retention_floor', `The database refuses: ${cause.message}.`, {
      cause: causeOf(cause),
    });
  if (cause.code !== BUSY) return cause;
  return new AppError('in_progress', 'Somebody is reading the access log just now: try again later.', {
    cause: causeOf(cause),
  });
};

export type Prune = (number: number, floorYears: number) => Promise<number>;

/**
 * Removes one partition of bodies as the retention role, and resolves to how many they were. `assertRole` looks at the
 * connection first. Rejects with `retention_floor` for what the database keeps, `in_progress` while somebody reads the log.
 */
export const createPrune = (
  retention: PostgresSettings,
  assertRole: (client: pg.Client) => Promise<void>,
): Prune => {
  const settings = settingsOf(retention, 'callvault log retention');
  return (number, floorYears) =>
    withClient(settings, async (client) => {
      await assertRole(client);
      try {
        const { rows } = await client.query<{ removed: string }>('SELECT audit.prune($1, $2) AS removed', [
          number,
          floorYears,
        ]);
        return Number(rows[0]!.removed);
      } catch (cause) {
        throw pruneFault(cause);
      }
    });
};
