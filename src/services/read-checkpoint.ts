import type { LogEvidence } from '../audit/log-evidence.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';

/**
 * The newest checkpoint with its cosignatures, as a signed note. It tells how many entries the log has and their root, and
 * nothing about anybody, so reading it is no entry. Rejects with `not_found` before the first, with `log_unavailable`, and with
 * `log_halted`, for the newest in a database that lost its tail is not the newest that was signed.
 */
export const createReadCheckpoint =
  ({
    evidence,
    audit,
  }: {
    readonly evidence: Pick<LogEvidence, 'checkpoint'>;
    readonly audit: Pick<AuditWriter, 'state'>;
  }) =>
  async (): Promise<string> => {
    if (audit.state() === 'halted')
      throw new AppError(
        'log_halted',
        'The access log is halted: its newest checkpoint may not be the newest.',
      );
    const note = await evidence.checkpoint(Number.MAX_SAFE_INTEGER);
    if (note === null)
      throw new AppError(
        'not_found',
        'There is no checkpoint yet: the first is made seconds after the start.',
      );
    return note;
  };

export type ReadCheckpoint = ReturnType<typeof createReadCheckpoint>;
