import { AppError } from '../core/errors.ts';
import type { AuditLogger } from './audit-logger.ts';

/** Told once per entry and ten minutes, so that whoever asks again does not flood the operator's log. */
const QUIET_MS = 10 * 60_000;
/** Entries that are remembered as told; of more, the oldest may be told again. */
const REMEMBERED = 1000;

/** What to throw for the entry at this place. */
export type Damaged = (seq: number, cause?: unknown) => AppError;

/**
 * An entry that is not the one that the log committed to: a line `ALARM` for the operator, with its place and nothing else,
 * and `integrity_failure`, naming the place, for whoever asked.
 */
export const createDamaged = (log: Pick<AuditLogger, 'error'>): Damaged => {
  const toldUntil = new Map<number, number>();
  return (seq, cause) => {
    const at = performance.now();
    if ((toldUntil.get(seq) ?? 0) <= at) {
      log.error(
        { seq },
        'ALARM: an entry of the access log is not the one that was committed; keep this database as it is and call your security officer',
      );
      toldUntil.delete(seq);
      toldUntil.set(seq, at + QUIET_MS);
      for (const oldest of [...toldUntil.keys()].slice(0, toldUntil.size - REMEMBERED))
        toldUntil.delete(oldest);
    }
    return new AppError(
      'integrity_failure',
      `Entry ${seq} of the access log is not the one that was committed.`,
      { entry: seq, cause },
    );
  };
};
