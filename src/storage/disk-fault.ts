import { AppError } from '../core/errors.ts';

const FULL: readonly unknown[] = ['ENOSPC', 'EDQUOT'];

/** The system's error code (`ENOENT` …), or null for anything that is not an error of the system. */
export const systemCode = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;

/** What a folder holds, in the words of its errors. */
type Kept = 'objects' | 'checkpoints';

/**
 * An error of the file system as the caller sees it: `storage_full` where space or quota is exhausted, otherwise
 * `storage_unavailable`. The original is the cause, for the operator's log. An AppError passes unchanged.
 */
export const diskFault = (error: unknown, what: Kept = 'objects'): AppError => {
  if (error instanceof AppError) return error;
  return FULL.includes(systemCode(error))
    ? new AppError('storage_full', `There is no space left for ${what}: make room on their file system.`, {
        cause: error,
      })
    : new AppError('storage_unavailable', `The folder of the ${what} cannot be used now.`, { cause: error });
};

/** Awaits an operation on the disk and translates its error, so that errors of a caller's stream stay apart from ours. */
export const onDisk = async <T>(operation: Promise<T>, what?: Kept): Promise<T> => {
  try {
    return await operation;
  } catch (error) {
    throw diskFault(error, what);
  }
};
