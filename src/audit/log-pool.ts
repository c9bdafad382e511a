import pg from 'pg';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import type { AuditLogger } from './audit-logger.ts';

export type LogPoolOptions = { readonly postgres: PostgresSettings; readonly log: Pick<AuditLogger, 'warn'> };

type Limits = {
  /** What it does, as the database shows its connections. */
  readonly as: string;
  readonly connections: number;
  readonly statementMs: number;
  /** Said when a connection that was idle is lost; the next question opens another. */
  readonly lost: string;
};

const CONNECT_MS = 5_000;

/** Connections for one of those who read the log beside the writer. They are opened when first needed. */
export const openLogPool = (
  { postgres, log }: LogPoolOptions,
  { as, connections, statementMs, lost }: Limits,
): pg.Pool => {
  const pool = new pg.Pool({
    ...postgres,
    max: connections,
    application_name: `callvault log ${as}`,
    statement_timeout: statementMs,
    query_timeout: statementMs + CONNECT_MS,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  pool.on('error', (err) => {
    // One that is lost while all of them are being closed is missed by nobody.
    if (!pool.ending) log.warn({ err }, lost);
  });
  return pool;
};
