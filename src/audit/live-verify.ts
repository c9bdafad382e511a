import pg from 'pg';
import type { LogRows } from '../core/audit/log-rows.ts';
import { type Anchor, type Verdict, verifyLog } from '../core/audit/verify.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { logUnavailable } from './append-failure.ts';
import { type LiveLog, openLiveLog } from './live-rows.ts';
import { findGuardFaults } from './log-guards.ts';
import { FOLLOW_INDEXES } from './search-indexes.ts';

export type LiveVerifyOptions = {
  readonly postgres: PostgresSettings;
  /** Heads known from elsewhere, which the log must contain. */
  readonly anchors?: readonly Anchor[];
  readonly onProgress?: (seq: number, size: number) => void;
  readonly signal?: AbortSignal;
  /** Awaited after every page: whoever verifies beside other work makes room for it here. */
  readonly pause?: () => Promise<void>;
  /** Entries looked at at a time, which is how long others wait for this process; 2048. */
  readonly pageEntries?: number;
};

const CONNECT_MS = 5_000;
const STATEMENT_MS = 60_000;

const watched = async function* (
  log: LiveLog,
  { onProgress, signal, pause }: LiveVerifyOptions,
): AsyncGenerator<LogRows> {
  for await (const rows of log.pages) {
    signal?.throwIfAborted();
    yield rows;
    onProgress?.(rows.to, log.size);
    await pause?.();
  }
};

const walk = async (client: pg.Client, options: LiveVerifyOptions): Promise<Verdict> => {
  // Before, for a catalogue is told as it is now, and partitions come and go.
  const guards = await findGuardFaults(client);
  // One snapshot: what is appended meanwhile is not looked at, and what is looked at belongs together.
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await client.query(FOLLOW_INDEXES);
  const log = await openLiveLog(client, options.pageEntries);
  const { strays } = log;
  return verifyLog({
    pages: watched(log, options),
    ...{ strays, guards },
    now: Date.now(),
    ...(options.anchors && { anchors: options.anchors }),
  });
};

/**
 * Verifies the whole log in the database, in constant memory: bodies against commitments, search columns against bodies,
 * what searches find against both, commitments against the roots and nodes of the tree, that nothing is missing or left over,
 * and that what guards the tables is as the migrations made it. Reads only, and does not
 * stop anybody from appending. Rejects with `log_unavailable` when the database cannot be read.
 */
export const verifyLive = (options: LiveVerifyOptions): Promise<Verdict> =>
  withClient(options, (client) => walk(client, options));

/** One verification of the whole log at a time, in whatever process; ends with its session. */
const VERIFY_LOCK = '4850752217034121217';

/** The same unless somebody else does it in this way just now: then null, at once. */
export const verifyLiveAlone = (options: LiveVerifyOptions): Promise<Verdict | null> =>
  withClient(options, async (client) => {
    const { rows } = await client.query<{ alone: boolean }>('SELECT pg_try_advisory_lock($1) AS alone', [
      VERIFY_LOCK,
    ]);
    return rows[0]!.alone ? walk(client, options) : null;
  });

const withClient = async <T>(
  options: LiveVerifyOptions,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> => {
  const client = new pg.Client({
    ...options.postgres,
    application_name: 'callvault log verifier',
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    query_timeout: STATEMENT_MS + CONNECT_MS,
    keepAlive: true,
  });
  // A session lost between two queries also fails the next one.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await use(client);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw logUnavailable('The access log cannot be read now.', cause);
  } finally {
    await client.end();
  }
};
