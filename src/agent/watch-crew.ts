import type { DeliveryGate, Finding } from './delivery-gate.ts';
import type { Found } from './scan-folder.ts';

export type CrewOptions = {
  readonly concurrency: number;
  readonly gate: DeliveryGate;
  /** Hands one file over; throws the signal's reason, or what nobody foresaw. */
  readonly deliver: (
    found: Found,
    cut: AbortSignal,
  ) => Promise<{ finding: Finding; settle: (pauseMs: number) => Promise<void> }>;
};

/** Files that wait for a delivery at most; further ones are found again. */
const MAX_QUEUE = 10_000;

/** Works off a queue of files, several at once, through the gate. A file is in it once. */
export const createCrew = (
  { concurrency, gate, deliver }: CrewOptions,
  stop: AbortSignal,
  cut: AbortSignal,
) => {
  const failed = new AbortController();
  const ended = AbortSignal.any([stop, failed.signal]);
  const busy = new Set<string>();
  const active = new Set<Promise<void>>();
  const queue: Found[] = [];
  let failure: unknown = null;

  const work = async (found: Found): Promise<void> => {
    const passage = await gate.enter(ended);
    if (passage === null) return;
    let finding: Finding = 'nothing';
    try {
      const done = await deliver(found, cut);
      finding = done.finding;
      await done.settle(gate.leave(passage, finding));
    } catch (error) {
      gate.leave(passage, 'nothing');
      if (cut.aborted) return;
      failure ??= error;
      failed.abort();
    }
  };
  const pump = (): void => {
    while (!ended.aborted && active.size < concurrency) {
      const found = queue.shift();
      if (found === undefined) return;
      const working = work(found).finally(() => {
        busy.delete(found.key);
        active.delete(working);
        pump();
      });
      active.add(working);
    }
  };

  return {
    /** Aborted by the caller's signal, or because something went wrong that {@link end} will throw. */
    ended,
    offer(found: Found): void {
      if (ended.aborted || busy.has(found.key) || queue.length >= MAX_QUEUE) return;
      busy.add(found.key);
      queue.push(found);
      pump();
    },
    isIdle: (): boolean => active.size === 0,
    active: (): number => active.size,
    /** Takes nothing more; resolves when what is under way has ended. */
    async end(): Promise<void> {
      failed.abort();
      queue.length = 0;
      while (active.size > 0) await Promise.all(active);
      if (failure !== null) throw failure;
    },
  };
};
