import { isAppError } from '../core/errors.ts';

/** Signs what the log has now, unless that is done already. */
export type CheckpointNow = () => Promise<void>;

/**
 * So that what is given out is signed wherever it can be. A checkpoint that cannot be made now is no reason to give nothing:
 * whoever receives it sees how far the newest one reaches. A log that contradicts its checkpoints takes no entry either, and
 * nothing is given without one.
 */
export const signedNow = async (checkpointNow: CheckpointNow): Promise<void> => {
  try {
    await checkpointNow();
  } catch (error) {
    if (!isAppError(error)) throw error;
  }
};
