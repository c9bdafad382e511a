import pg from 'pg';
import { AppError } from '../core/errors.ts';

/**
 * Why an append failed. `entry`: values of the batch were refused, one entry's or any entry's; nothing was appended.
 * `exists`: an event of the batch is in the log already. `contradiction`: the log is not the one this process has seen.
 * `lost`: the session ended without an answer, whether the batch was committed is unknown. `unavailable`: everything else.
 */
export type AppendFailure = 'entry' | 'exists' | 'contradiction' | 'lost' | 'unavailable';

const EVENT_ID_CONSTRAINT = 'leaf_event_id_key';
/** Administrator's command, crash of another backend, server not ready: the session ends after this message. */
const SESSION_ENDED = '57P';
const UNIQUE_VIOLATION = '23505';
/** Raised by audit.append for a log shorter than the caller has seen it. */
const LOG_IS_SHORTER = 'CV001';

export const appendFailureOf = (error: unknown): AppendFailure => {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return 'lost';
  if (error.code.startsWith(SESSION_ENDED)) return 'lost';
  if (error.code === LOG_IS_SHORTER) return 'contradiction';
  if (error.code === UNIQUE_VIOLATION) {
    // Another key already taken is a row where the log's next one belongs: somebody planted it.
    return error.constraint === EVENT_ID_CONSTRAINT ? 'exists' : 'contradiction';
  }
  return error.code.startsWith('22') || error.code.startsWith('23') ? 'entry' : 'unavailable';
};

/**
 * A failure as it may be kept and logged. The database's own error quotes the row it refused, salt and body included, in
 * its detail, and a value in its message when it is the value that it refused.
 */
export const causeOf = (error: unknown): unknown => {
  if (!(error instanceof pg.DatabaseError)) return error;
  const quotesValues = error.code?.startsWith('22') || error.code?.startsWith('23');
  return new Error(
    `SQLSTATE ${error.code}: ${quotesValues ? (error.constraint ?? 'a value was refused') : error.message}`,
  );
};

/** The log is not the one this process has seen; nothing is appended until somebody has looked into it. */
export const logHalted = (message: string, error?: unknown): AppError =>
  new AppError('log_halted', message, { cause: causeOf(error) });

export const logUnavailable = (message: string, error?: unknown): AppError =>
  new AppError('log_unavailable', message, { cause: causeOf(error), retryAfter: 1 });

/** Whether the server says that what lies on its disk is not what it wrote, or cannot be read. */
export const isDamage = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && /^(XX|58)/.test(error.code ?? '');
