import pg from 'pg';
import type { LogRows } from '../core/audit/log-rows.ts';
import { type Anchor, type Verdict, verifyLog } from '../core/audit/verify.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { logUnavailable } from './append-failure.ts';
import { type LiveLog, openLiveLog } from './live-rows.ts';

export type LiveVerifyOptions = {
  readonly postgres: PostgresSettings;
  /** Heads known from elsewhere, which the log must contain. */
  readonly anchors?: readonly Anchor[];
  readonly onProgress?: (seq: number, size: number) => void;
  readonly signal?: AbortSignal;
  /** Awaited after every page: whoever verifies beside other work makes room for it here. */
  readonly pause?: () => Promise<void>;
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
  // One snapshot: what is appended meanwhile is not looked at, and what is looked at belongs together.
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const log = await openLiveLog(client);
  const { strays } = log;
  return verifyLog({
    pages: watched(log, options),
    strays,
    now: Date.now(),
    ...(options.anchors && { anchors: options.anchors }),
  });
};

/**
 * Verifies the whole log in the database, in constant memory: bodies against commitments, search columns against bodies,
 * commitments against the roots and nodes of the tree, and that nothing is missing or left over. Reads only, and does not
 * stop anybody from appending. Rejects with `log_unavailable` when the database cannot be read.
 */
export const verifyLive = async (options: LiveVerifyOptions): Promise<Verdict> => {
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
    return await walk(client, options);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw logUnavailable('The access log cannot be read now.', cause);
  } finally {
    await client.end();
  }
};
