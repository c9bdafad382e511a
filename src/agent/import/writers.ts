import { lstat, readlink } from 'node:fs/promises';
import { lookAround, type Sight } from '../open-writers.ts';

/** A machine with many processes is looked through in a second or so. */
const LOOK_SHARE = 20;

export type WritersOptions = {
  /**
   * How old a look at the processes may be, in milliseconds; 0: it begins after the question. Else it may be older where looking
   * takes long, for it is not to take more than a small part of the time.
   */
  readonly maxAgeMs: number;
  readonly look?: () => Promise<Sight>;
};

/** `unseen`: nobody is seen to hold them open for writing, and somebody who cannot be seen might. */
export type Writers = 'held_open' | 'unseen' | 'none';

const SLASH = 0x2f;

/** Where a file that the walk found lies: under the number of a folder that is held open, another may lie a moment later. */
const whereIs = async (path: Buffer): Promise<Buffer> => {
  const at = path.lastIndexOf(SLASH);
  const folder = await readlink(path.subarray(0, at), { encoding: 'buffer' });
  return Buffer.concat([folder, path.subarray(at)]);
};

/**
 * Who may hold one of these files open for writing (open-writers.ts): a recording that is paused does not grow, and whatever its
 * age it is not finished. Those who ask at the same time share a look. Throws what the system says of a file that is not there.
 */
export const createWriters = ({ maxAgeMs, look = lookAround }: WritersOptions) => {
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

  return async (paths: readonly Buffer[]): Promise<Writers> => {
    const sight = await current();
    let writers: Writers = 'none';
    for (const path of paths) {
      const found = { path: await whereIs(path), stat: await lstat(path, { bigint: true }) };
      if (await sight.isWritten(found)) return 'held_open';
      if (await sight.mayBeWritten(found)) writers = 'unseen';
    }
    return writers;
  };
};

export type AskWriters = ReturnType<typeof createWriters>;
