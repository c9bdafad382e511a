import { isFarFolder, lookAround, type Sight } from './open-writers.ts';
import { createScan, type Found, type ScanTotals } from './scan-folder.ts';
import type { Ledger } from './watch-ledger.ts';
import type { WatchOptions } from './watch-options.ts';
import { createRest } from './watch-rest.ts';
import { createSideWatch } from './watch-sides.ts';

/** A finished file; `isUnsure`: as far as its rest tells, for its writer would not be seen. */
export type Due = Found & { readonly isUnsure: boolean };

type Taker = { readonly ended: AbortSignal; offer(due: Due): void };

/** A look in which nothing moves for so long, in milliseconds, is one at a share that hangs. */
const STALL_MS = 15_000;
/** Up to here it is twice as long as a look took that ended well after all. */
const LONGEST_STALL_MS = 300_000;

/** Says what is wrong with the folder, once for as long as it is the same. */
const createFault = (onEvent: WatchOptions['onEvent']) => {
  let [said, stallMs] = ['', STALL_MS];
  let timer: NodeJS.Timeout | null = null;
  const is = (code: string): void => {
    if (code !== '' && code !== said) onEvent({ event: 'trouble', what: 'folder', code });
    said = code;
  };
  const moves = (): void => {
    timer?.refresh();
  };
  return {
    is,
    moves,
    /** Resolves to how long it took, in milliseconds; 0 for a look in which the folder did not answer for long. */
    async during(look: () => Promise<void>): Promise<number> {
      const began = performance.now();
      let hung = false;
      timer = setTimeout(() => {
        hung = true;
        is('ETIMEDOUT');
      }, stallMs);
      try {
        await look();
        is('');
        stallMs = Math.max(stallMs, Math.min(2 * (performance.now() - began), LONGEST_STALL_MS));
      } catch (error) {
        is(String((error as NodeJS.ErrnoException).code ?? 'unknown'));
      } finally {
        clearTimeout(timer);
      }
      return hung ? 0 : performance.now() - began;
    },
  };
};

/** What the mount point of a share shows when the share is gone is another folder: most often an empty one. */
class Unmounted extends Error {
  readonly code = 'unmounted';
}

/** Looks at the folder, and offers what is finished and not settled. */
export const createLook = (options: WatchOptions, ledger: Ledger) => {
  const { root, recursive, all, proc, onEvent } = options;
  const rest = createRest(options);
  const sides = createSideWatch(onEvent);
  const fault = createFault(onEvent);
  let others: ScanTotals = { otherKinds: 0, unreadable: 0 };
  let wasFar = false;

  const expectMounted = async (): Promise<void> => {
    const isFar = await isFarFolder(root);
    if (wasFar && isFar === false) throw new Unmounted();
    wasFar ||= isFar === true;
  };

  /** Resolves to what it cost, in milliseconds: that a share hung is no reason to look less often. */
  const pass = async (taker: Taker, once: boolean): Promise<number> => {
    const scan = createScan({ root, recursive, all });
    let sight: Sight | null = null;
    ledger.begin();
    sides.begin();
    const took = await fault.during(async () => {
      await expectMounted();
      for await (const found of scan.found()) {
        if (taker.ended.aborted) return;
        fault.moves();
        const now = performance.now();
        const look = ledger.look(found, now);
        if (look === 'without_side') sides.waits(found.key, now, once);
        if (look !== 'due') continue;
        sight ??= await lookAround(proc);
        const isFinished = await rest.isFinished(found, once ? null : ledger.restOf(found.key, now), sight);
        if (isFinished !== false) taker.offer({ ...found, isUnsure: isFinished === 'unsure' });
      }
    });
    if (taker.ended.aborted) return took;
    others = scan.totals();
    ledger.end();
    sides.end(all ? [] : scan.alone(), performance.now(), once);
    return took;
  };

  return { pass, counts: () => ({ ...ledger.counts(), ...sides.counts(), ...others }) };
};
