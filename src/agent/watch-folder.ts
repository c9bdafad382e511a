import { createDeliveryGate } from './delivery-gate.ts';
import { handOver } from './hand-over.ts';
import { pause } from './pause.ts';
import { createCrew } from './watch-crew.ts';
import { createLedger } from './watch-ledger.ts';
import { finishPutBacks } from './watch-leftovers.ts';
import { createLook, type Due } from './watch-look.ts';
import type { WatchOptions, WatchTotals } from './watch-options.ts';
import { createSettling, createTelling, findingOf } from './watch-settle.ts';
import { createUnlinked, type Held } from './watch-unlinked.ts';

/** Looking takes at most a fifth of the time. */
const LOOK_SHARE = 4;
/** A timer may be a little early, and a file would then wait for another look. */
const EARLY_MS = 5;
/** Before the last look at what was removed. */
const LAST_MS = 1_000;

/**
 * Empties a folder into the vault for as long as it runs. A file is taken when it was the same in two looks an interval
 * apart and nobody is seen to write it, or after a much longer rest where that cannot be seen; nothing but the vault's word
 * for its bytes, and the file being still what it was, removes it. Run by two agents on one folder, or killed at any moment,
 * it loses nothing and doubles nothing.
 */
export const createWatch = (options: WatchOptions) => {
  const { intervalMs, concurrency } = options;
  const gate = createDeliveryGate(options.pauses);
  const ledger = createLedger(options);
  const handed = { stored: 0, bytes: 0, removed: 0 };
  const tell = createTelling(options.onEvent, handed);
  const settle = createSettling(options, ledger, tell);
  const how = { ...options, remove: !options.keep, strictFolder: true };
  const unlinked = createUnlinked(options, how);
  const looking = createLook(options, ledger);
  /** Deliveries that the vault answered for, or that were refused. */
  let answered = 0;
  let active = (): number => 0;

  const deliverHeld = async (held: Held, cut: AbortSignal) => {
    const result = await unlinked.deliver(held, cut);
    return {
      finding: findingOf(result),
      settle: async (pauseMs: number): Promise<void> => {
        if ('sha256' in result) tell(result, pauseMs, held.failures + 1);
        await unlinked.settle(held, result);
      },
    };
  };
  const deliverFound = async (due: Due, cut: AbortSignal) => {
    const onRemoved = (opened: Held['opened']) => unlinked.take(opened, due.isUnsure);
    const result = await handOver({ ...how, onRemoved }, due.path, cut);
    if (result.outcome === 'stored' || result.outcome === 'refused') answered += 1;
    return { finding: findingOf(result), settle: (pauseMs: number) => settle(due, result, pauseMs) };
  };
  const crewOf = (stop: AbortSignal, cut: AbortSignal) => {
    const deliver = (due: Due | Held) => ('opened' in due ? deliverHeld(due, cut) : deliverFound(due, cut));
    const crew = createCrew<Due | Held>({ concurrency, gate, deliver }, stop, cut);
    active = crew.active;
    return crew;
  };
  const endUnlinked = async (cut: AbortSignal): Promise<void> => {
    if (!unlinked.isEmpty()) await pause(LAST_MS, cut);
    for (const result of await unlinked.end(cut)) if ('sha256' in result) tell(result, 0, 0);
  };

  return {
    /**
     * Until `stop`; then the deliveries under way end, which `cut` breaks off. `once`: until what is finished now has been
     * tried, or the vault is found not to answer.
     */
    async run(stop: AbortSignal, cut: AbortSignal, once = false): Promise<void> {
      const crew = crewOf(stop, cut);
      const finishing = finishPutBacks(options, crew.ended, once);
      if (once) await finishing;
      for (let looks = 1; !crew.ended.aborted; looks += 1) {
        const took = await looking.pass(crew, once);
        for (const held of await unlinked.due(performance.now())) crew.offer(held);
        if (once && looks > 1) {
          const before = answered;
          while (!crew.isIdle() && gate.failures() === 0) await pause(LOOK_SHARE * EARLY_MS);
          // A long queue is filled again as long as it brings something.
          if (gate.failures() > 0 || answered === before) break;
        } else {
          await pause(Math.max(intervalMs, LOOK_SHARE * took) + EARLY_MS, crew.ended);
        }
      }
      try {
        await crew.end();
      } finally {
        await finishing;
        await endUnlinked(cut);
      }
    },
    totals: (): WatchTotals => ({
      ...handed,
      ...looking.counts(),
      active: active(),
      vaultAnswers: gate.failures() === 0,
    }),
  };
};
