import { AppError } from '../../src/core/errors.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';

/**
 * How one call goes wrong:
 * `refuse`: fails before anything happened; `break`: after so many bytes (or listed objects); `stall`: hands on so many bytes and then nothing until the
 * caller gives up; `lose answer`: does everything and then fails, as when a connection breaks at the very end.
 */
export type Fault =
  | { readonly on: keyof ObjectStore; readonly how: 'refuse' | 'lose answer' }
  | { readonly on: 'put' | 'get'; readonly how: 'break' | 'stall'; readonly after: number }
  | { readonly on: 'list' | 'bundles'; readonly how: 'break'; readonly after: number };

const broken = (): AppError => new AppError('storage_unavailable', 'The object store cannot be used now.');

const waitFor = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

/** The body until the fault strikes. */
async function* spoilt<T extends Uint8Array>(
  body: AsyncIterable<T>,
  fault: Fault | undefined,
  signal: AbortSignal,
): AsyncGenerator<T, void, void> {
  let left = fault !== undefined && 'after' in fault ? fault.after : Number.POSITIVE_INFINITY;
  for await (const chunk of body) {
    const part = chunk.subarray(0, left) as T;
    left -= part.length;
    if (part.length > 0) yield part;
    if (left > 0) continue;
    if (fault?.how === 'stall') await waitFor(signal);
    throw broken();
  }
}

async function* cutAfter<T>(
  items: AsyncIterable<T>,
  fault: Fault | undefined,
): AsyncGenerator<T, void, void> {
  let left = fault !== undefined && 'after' in fault ? fault.after : Number.POSITIVE_INFINITY;
  for await (const item of items) {
    if (left === 0) throw broken();
    left -= 1;
    yield item;
  }
}

/** The store with faults by plan: each planned fault strikes the next call of its method, once; every other call passes. */
export const createFlakyObjectStore = (store: ObjectStore, planned: readonly Fault[] = []) => {
  const plan = [...planned];
  const next = (on: keyof ObjectStore): Fault | undefined => {
    const index = plan.findIndex((fault) => fault.on === on);
    return index < 0 ? undefined : plan.splice(index, 1)[0];
  };
  const struck = async <T>(fault: Fault | undefined, call: () => Promise<T>): Promise<T> => {
    if (fault?.how === 'refuse') throw broken();
    const result = await call();
    if (fault?.how === 'lose answer') throw broken();
    return result;
  };
  const flaky: ObjectStore = {
    kind: store.kind,
    put: async (key, body, options) => {
      const fault = next('put');
      return struck(fault, () =>
        store.put(key, fault === undefined ? body : spoilt(body, fault, options.signal), options),
      );
    },
    get: async (key, options) => {
      const fault = next('get');
      const slice = await struck(fault, () => store.get(key, options));
      return fault === undefined ? slice : { ...slice, body: spoilt(slice.body, fault, options.signal) };
    },
    locate: (key) => store.locate(key),
    head: async (key) => struck(next('head'), () => store.head(key)),
    delete: async (key) => struck(next('delete'), () => store.delete(key)),
    list: (options) => cutAfter(store.list(options), next('list')),
    bundles: () => cutAfter(store.bundles(), next('bundles')),
    sweep: async (olderThan, isUnderWay) => struck(next('sweep'), () => store.sweep(olderThan, isUnderWay)),
    check: async () => struck(next('check'), () => store.check()),
    freeBytes: async () => struck(next('freeBytes'), () => store.freeBytes()),
    close: async () => struck(next('close'), () => store.close()),
  };
  return {
    store: flaky,
    /** Adds faults behind those that have not struck yet. */
    plan: (...faults: readonly Fault[]): void => {
      plan.push(...faults);
    },
    /** Faults that have not struck. A test that ends with one has not tested it. */
    pending: (): number => plan.length,
  };
};
