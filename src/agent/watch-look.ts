import { lookAround, type Sight } from './open-writers.ts';
import { createScan, type Found, type ScanTotals } from './scan-folder.ts';
import type { Ledger } from './watch-ledger.ts';
import type { WatchOptions } from './watch-options.ts';
import { createRest } from './watch-rest.ts';
import { createSideWatch } from './watch-sides.ts';

/** A finished file; `isUnsure`: as far as its rest tells, for its writer would not be seen. */
export type Due = Found & { readonly isUnsure: boolean };

type Taker = { readonly ended: AbortSignal; offer(due: Due): void };

/** Looks at the folder, and offers what is finished and not settled. */
export const createLook = (options: WatchOptions, ledger: Ledger) => {
  const { root, recursive, all, proc, onEvent } = options;
  const rest = createRest(options);
  const sides = createSideWatch(onEvent);
  let others: ScanTotals = { otherKinds: 0, unreadable: 0 };
  let folderFault = '';

  const pass = async (taker: Taker, once: boolean): Promise<void> => {
    const scan = createScan({ root, recursive, all });
    let sight: Sight | null = null;
    ledger.begin();
    sides.begin();
    try {
      for await (const found of scan.found()) {
        if (taker.ended.aborted) return;
        const now = performance.now();
        const look = ledger.look(found, now);
        if (look === 'without_side') sides.waits(found.key, now, once);
        if (look !== 'due') continue;
        sight ??= await lookAround(proc);
        const isFinished = await rest.isFinished(found, once ? null : ledger.restOf(found.key, now), sight);
        if (isFinished !== false) taker.offer({ ...found, isUnsure: isFinished === 'unsure' });
      }
      folderFault = '';
    } catch (error) {
      const code = String((error as NodeJS.ErrnoException).code ?? 'unknown');
      if (code !== folderFault) onEvent({ event: 'trouble', what: 'folder', code });
      folderFault = code;
    }
    others = scan.totals();
    ledger.end();
    sides.end(all ? [] : scan.alone(), performance.now(), once);
  };

  return { pass, counts: () => ({ ...ledger.counts(), ...sides.counts(), ...others }) };
};
