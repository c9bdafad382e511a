import { type AppError, isAppError } from '../core/errors.ts';

/** What a command was told cannot be right, whatever is tried again: exit code 2, by which a service is not started anew. */
export class UsageError extends Error {
  readonly fault: AppError;
  constructor(fault: AppError) {
    super(fault.message, { cause: fault });
    this.name = 'UsageError';
    this.fault = fault;
  }
}

/** Reads what a command was told: `config_invalid` and `not_acceptable_metadata` become a {@link UsageError}. */
export const asTold = async <T>(read: () => T | Promise<T>): Promise<T> => {
  try {
    return await read();
  } catch (error) {
    if (isAppError(error, 'config_invalid') || isAppError(error, 'not_acceptable_metadata'))
      throw new UsageError(error);
    throw error;
  }
};
