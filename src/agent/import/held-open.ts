import { lstat } from 'node:fs/promises';
import { lookAround, type Sight } from '../open-writers.ts';

/** A machine with many processes is looked through in a second or so. */
const LOOK_SHARE = 20;

export type HeldOpenOptions = {
  /**
   * How old a look at the processes may be, in milliseconds; 0: it begins after the question. Else it may be older where looking
   * takes long, for it is not to take more than a small part of the time.
   */
  readonly maxAgeMs: number;
  readonly look?: () => Promise<Sight>;
};

/**
 * Whether a process that can be seen holds one of these files open for writing (open-writers.ts): a recording that is paused does
 * not grow, and whatever its age it is not finished. Those who ask at the same time share a look. Throws what the system says
 * of a file that is not there.
 */
export const createHeldOpen = ({ maxAgeMs, look = lookAround }: HeldOpenOptions) => {
  let last: { readonly at: number; readonly sight: Promise<Sight> } | null = null;
  let tookMs = 0;
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<Sight> | null = null;

  const begin = (): Promise<Sight> => {
    next = null;
    const at = performance.now();
    const sight = look();
    last = { at, sight };
    running = sight.then(
      () => {
        tookMs = performance.now() - at;
      },
      () => undefined,
    );
    return sight;
  };
  const current = (): Promise<Sight> => {
    const mayBeOld = maxAgeMs === 0 ? 0 : Math.max(maxAgeMs, LOOK_SHARE * tookMs);
    if (last !== null && performance.now() - last.at < mayBeOld) return last.sight;
    // One that is under way may have passed by the process that matters.
    next ??= running.then(begin);
    return next;
  };

  return async (paths: readonly Buffer[]): Promise<boolean> => {
    const sight = await current();
    for (const path of paths)
      if (await sight.isWritten({ path, stat: await lstat(path, { bigint: true }) })) return true;
    return false;
  };
};

export type HeldOpen = ReturnType<typeof createHeldOpen>;
