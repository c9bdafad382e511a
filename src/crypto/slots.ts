import { AppError } from '../core/errors.ts';

export type Slots = {
  /** Runs `work` when a slot is free, in order of arrival. Throws `rate_limited` when the queue is full. */
  readonly run: <T>(work: () => Promise<T>) => Promise<T>;
};

/** At most `concurrency` pieces of expensive work at once and at most `waiting` behind them; the rest is turned away. */
export const createSlots = (options: { readonly concurrency: number; readonly waiting: number }): Slots => {
  let free = options.concurrency;
  const queue: (() => void)[] = [];
  const release = (): void => {
    const next = queue.shift();
    if (next === undefined) free += 1;
    else next();
  };
  const acquire = async (): Promise<void> => {
    if (free > 0) {
      free -= 1;
      return;
    }
    if (queue.length >= options.waiting)
      throw new AppError('rate_limited', 'Too many are signing in at the moment.', { retryAfter: 1 });
    await new Promise<void>((resolve) => queue.push(resolve));
  };
  return {
    run: async (work) => {
      await acquire();
      try {
        return await work();
      } finally {
        release();
      }
    },
  };
};
