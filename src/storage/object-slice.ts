/** Bytes [start, end) of an object; `end` null means up to its end. */
export type SliceBounds = { readonly start: number; readonly end: number | null };

/** The bounds a caller asked for. Throws RangeError for anything but 0 ≤ start ≤ end in whole bytes. */
export const sliceBounds = (asked: {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
}): SliceBounds => {
  const { start = 0, end = null } = asked;
  const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (!whole(start) || (end !== null && (!whole(end) || end < start)))
    throw new RangeError('a slice is [start, end) in whole bytes');
  return { start, end };
};

/** How many bytes of an object of `totalBytes` lie within the bounds: none when they begin at its end or behind it. */
export const sliceLength = ({ start, end }: SliceBounds, totalBytes: number): number =>
  Math.max(0, Math.min(end ?? totalBytes, totalBytes) - start);

/** Where the bytes of a slice come from. */
export type SliceSource = {
  /** The next bytes, or null at the end. */
  readonly read: () => Promise<Buffer | null>;
  /**
   * Called once; never rejects. `returned` is true when the consumer has asked beyond the last bytes he was given, and so
   * has no use for them any more. One who leaves early, or whose signal aborts, may still be looking at them.
   */
  readonly close: (returned: boolean) => Promise<void>;
};

const DONE = { done: true, value: undefined } as const;

/**
 * The body of a slice: one iteration, closed when it ends, fails, is left early (even before the first byte was asked
 * for, which a generator could not notice) or when `signal` aborts, which rejects a pending `next` with its reason.
 */
export const sliceBody = (source: SliceSource, signal: AbortSignal): AsyncIterableIterator<Buffer> => {
  let state: 'open' | 'closed' | 'aborted' = 'open';
  let interrupt: (reason: unknown) => void = () => undefined;
  const onAbort = (): void => {
    interrupt(signal.reason);
    void finish('aborted', false);
  };
  const finish = async (how: 'closed' | 'aborted', returned: boolean): Promise<void> => {
    if (state !== 'open') return;
    state = how;
    signal.removeEventListener('abort', onAbort);
    await source.close(returned);
  };
  const readOrAbort = (): Promise<Buffer | null> =>
    new Promise((resolve, reject) => {
      interrupt = reject;
      source.read().then(resolve, reject);
    });
  const iterator: AsyncIterableIterator<Buffer> = {
    next: async () => {
      if (state === 'aborted') throw signal.reason;
      if (state === 'closed') return DONE;
      const value = await readOrAbort().catch(async (error: unknown) => {
        await finish('closed', true);
        throw error;
      });
      if (value !== null) return { done: false, value };
      await finish('closed', true);
      return DONE;
    },
    return: async () => {
      await finish('closed', false);
      return DONE;
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return iterator;
};

/** The body of a slice that holds no bytes. */
export const emptyBody = (): AsyncIterableIterator<Buffer> =>
  sliceBody({ read: async () => null, close: async () => undefined }, new AbortController().signal);
