/**
 * Work that nobody need wait for, which ends before the vault does. Each piece of it has its time and is given up then;
 * `fault` is what its signal says.
 */
export const createUnderWay = (longestMs: number, fault: () => Error) => {
  const running = new Map<Promise<unknown>, AbortController>();
  let stopped = false;
  const giveUp = (controller: AbortController): void => controller.abort(fault());
  return {
    isStopped: (): boolean => stopped,
    run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const controller = new AbortController();
      if (stopped) giveUp(controller);
      const timer = setTimeout(() => giveUp(controller), longestMs);
      const promise = work(controller.signal).finally(() => {
        clearTimeout(timer);
        running.delete(promise);
      });
      // Whoever waits hears of it; where nobody does, the log has it.
      promise.catch(() => undefined);
      running.set(promise, controller);
      return promise;
    },
    async stop(): Promise<void> {
      stopped = true;
      for (const controller of running.values()) giveUp(controller);
      await Promise.allSettled(running.keys());
    },
  };
};

export type UnderWay = ReturnType<typeof createUnderWay>;
