import type { LogEvidence } from '../audit/log-evidence.ts';
import { AppError } from '../core/errors.ts';

/**
 * The newest checkpoint with its cosignatures, as a signed note. It tells how many entries the log has and their root, and
 * nothing about anybody, so reading it is no entry. Rejects with `not_found` before the first, with `log_unavailable`.
 */
export const createReadCheckpoint =
  ({ evidence }: { readonly evidence: Pick<LogEvidence, 'checkpoint'> }) =>
  async (): Promise<string> => {
    const note = await evidence.checkpoint(Number.MAX_SAFE_INTEGER);
    if (note === null)
      throw new AppError(
        'not_found',
        'There is no checkpoint yet: the first is made seconds after the start.',
      );
    return note;
  };

export type ReadCheckpoint = ReturnType<typeof createReadCheckpoint>;
