import { createDeliveryGate } from './delivery-gate.ts';
import { handOver } from './hand-over.ts';
import { openForWriting } from './open-writers.ts';
import { pause } from './pause.ts';
import { createScan } from './scan-folder.ts';
import { createCrew } from './watch-crew.ts';
import { createLedger } from './watch-ledger.ts';
import type { WatchOptions, WatchTotals } from './watch-options.ts';
import { createSettling, findingOf } from './watch-settle.ts';

/** Looking takes at most a fifth of the time. */
const LOOK_SHARE = 4;
/** A timer may be a little early, and a file would then wait for another look. */
const EARLY_MS = 5;

/**
 * Empties a folder into the vault for as long as it runs. A file is taken when it was the same in two looks an interval
 * apart and nobody is seen to write it; nothing but the vault's word for its bytes, and the file being still what it was, removes it. Run by two agents on
 * one folder, or killed at any moment, it loses nothing and doubles nothing.
 */
export const createWatch = (options: WatchOptions) => {
  const { root, recursive, all, intervalMs, concurrency, onEvent } = options;
  const gate = createDeliveryGate(options.pauses);
  const ledger = createLedger(options);
  const handed = { stored: 0, bytes: 0, removed: 0 };
  const settle = createSettling(options, ledger, handed);
  const how = { ...options, remove: !options.keep, strictFolder: true };
  let others = { otherKinds: 0, unreadable: 0 };
  let folderFault = '';
  /** Deliveries that the vault answered for, or that were refused. */
  let answered = 0;
  let active = (): number => 0;

  const crewOf = (stop: AbortSignal, cut: AbortSignal) => {
    const crew = createCrew(
      {
        concurrency,
        gate,
        async deliver(found) {
          const result = await handOver(how, found.path, cut);
          if (result.outcome === 'stored' || result.outcome === 'refused') answered += 1;
          return { finding: findingOf(result), settle: (pauseMs) => settle(found, result, pauseMs) };
        },
      },
      stop,
      cut,
    );
    active = crew.active;
    return crew;
  };

  /** One look at the folder. */
  const look = async (crew: ReturnType<typeof createCrew>): Promise<void> => {
    const scan = createScan({ root, recursive, all });
    let written: ReadonlySet<string> | null = null;
    ledger.begin();
    try {
      for await (const found of scan.found()) {
        if (crew.ended.aborted) return;
        if (!ledger.look(found, performance.now())) continue;
        written ??= await openForWriting(root);
        if (!written.has(found.key)) crew.offer(found);
      }
      folderFault = '';
    } catch (error) {
      const code = String((error as NodeJS.ErrnoException).code ?? 'unknown');
      if (code !== folderFault) onEvent({ event: 'trouble', what: 'folder', code });
      folderFault = code;
    }
    others = scan.totals();
    ledger.end();
  };

  return {
    /**
     * Until `stop`; then the deliveries under way end, which `cut` breaks off. `once`: until what is finished now has been
     * tried, or the vault is found not to answer.
     */
    async run(stop: AbortSignal, cut: AbortSignal, once = false): Promise<void> {
      const crew = crewOf(stop, cut);
      for (let looks = 1; !crew.ended.aborted; looks += 1) {
        const began = performance.now();
        await look(crew);
        if (once && looks > 1) {
          const before = answered;
          while (!crew.isIdle() && gate.failures() === 0) await pause(LOOK_SHARE * EARLY_MS);
          // A long queue is filled again as long as it brings something.
          if (gate.failures() > 0 || answered === before) break;
        } else {
          const took = performance.now() - began;
          await pause(Math.max(intervalMs, LOOK_SHARE * took) + EARLY_MS, crew.ended);
        }
      }
      await crew.end();
    },
    totals: (): WatchTotals => ({
      ...handed,
      ...ledger.counts(),
      ...others,
      active: active(),
      vaultAnswers: gate.failures() === 0,
    }),
  };
};
