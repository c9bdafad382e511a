import type { DeliveryGate, Finding } from './delivery-gate.ts';

export type CrewOptions<T> = {
  readonly concurrency: number;
  readonly gate: DeliveryGate;
  /** Hands one file over; throws the signal's reason, or what nobody foresaw. */
  readonly deliver: (
    due: T,
    cut: AbortSignal,
  ) => Promise<{ finding: Finding; settle: (pauseMs: number) => Promise<void> }>;
};

/** Files that wait for a delivery at most; further ones are found again. */
const MAX_QUEUE = 10_000;

/** Works off a queue of files, several at once, through the gate. A file is in it once. */
export const createCrew = <T extends { readonly key: string }>(
  { concurrency, gate, deliver }: CrewOptions<T>,
  stop: AbortSignal,
  cut: AbortSignal,
) => {
  const failed = new AbortController();
  const ended = AbortSignal.any([stop, failed.signal]);
  const busy = new Set<string>();
  const active = new Set<Promise<void>>();
  const queue: T[] = [];
  let failure: unknown = null;

  const work = async (due: T): Promise<void> => {
    const passage = await gate.enter(ended);
    if (passage === null) return;
    let finding: Finding = 'nothing';
    try {
      const done = await deliver(due, cut);
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
      const due = queue.shift();
      if (due === undefined) return;
      const working = work(due).finally(() => {
        busy.delete(due.key);
        active.delete(working);
        pump();
      });
      active.add(working);
    }
  };

  return {
    /** Aborted by the caller's signal, or because something went wrong that {@link end} will throw. */
    ended,
    offer(due: T): void {
      if (ended.aborted || busy.has(due.key) || queue.length >= MAX_QUEUE) return;
      busy.add(due.key);
      queue.push(due);
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
