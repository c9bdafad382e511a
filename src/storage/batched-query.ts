/** Answers that are asked for while a query is on its way wait for the next one, which asks for all of them at once. */
export type Batched<K, V> = (key: K) => Promise<V>;

type Waiting<K, V> = {
  readonly key: K;
  readonly resolve: (value: V) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Turns many small look-ups into few larger ones without a timer: a lone caller's query starts at once, and those who come
 * while `inFlight` queries run share the next. `run` answers in the order of its keys; when it rejects, each of its callers
 * is rejected. Every caller gets an answer that was read after he asked.
 */
export const createBatchedQuery = <K, V>(
  run: (keys: readonly K[]) => Promise<readonly V[]>,
  { inFlight = 1, batch = 64 }: { readonly inFlight?: number; readonly batch?: number } = {},
): Batched<K, V> => {
  const waiting: Waiting<K, V>[] = [];
  let running = 0;
  const start = async (): Promise<void> => {
    const now = waiting.splice(0, batch);
    running += 1;
    try {
      const values = await run(now.map(({ key }) => key));
      for (const [n, { resolve }] of now.entries()) resolve(values[n] as V);
    } catch (error) {
      for (const { reject } of now) reject(error);
    } finally {
      running -= 1;
      if (waiting.length > 0) void start();
    }
  };
  return (key) =>
    new Promise((resolve, reject) => {
      waiting.push({ key, resolve, reject });
      if (running < inFlight) void start();
    });
};
