import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { collected } from '../support/byte-streams.ts';
import { openFileStore } from '../support/file-store.ts';
import { createFlakyObjectStore } from '../support/flaky-object-store.ts';
import { asSealed, sampleBytes } from '../support/object-bodies.ts';
import {
  expectNothingLeft,
  fetched,
  listedKeys,
  never,
  newKey,
  type OpenedStore,
  refusal,
  rejection,
  store,
} from '../support/opened-store.ts';
import { describeObjectStore } from './object-store.ts';

const open = async () => {
  const opened = await openFileStore();
  return { ...opened, ...createFlakyObjectStore(opened.store) };
};

describeObjectStore('flaky object store on a good day', open);

const LENGTH = 1_000_003;
const bytes = sampleBytes(LENGTH);

type Flaky = OpenedStore & Pick<Awaited<ReturnType<typeof open>>, 'plan' | 'pending'>;

let flaky: Flaky;
beforeAll(async () => {
  flaky = await open();
});
afterAll(async () => flaky?.close());
afterEach(() => {
  expect(flaky.pending()).toBe(0);
});

describe('put as a caller sees it on a flaky object store', () => {
  test.each([
    { on: 'put', how: 'refuse' },
    { on: 'put', how: 'break', after: 1 },
    { on: 'put', how: 'break', after: 500_000 },
    { on: 'put', how: 'break', after: LENGTH },
  ] as const)(
    '$on: $how after $after bytes leaves nothing, and the same key can be tried again',
    async (fault) => {
      const key = newKey();
      flaky.plan(fault);
      await refusal(store(flaky.store, key, bytes), 'storage_unavailable');
      await expectNothingLeft(flaky, key);
      await store(flaky.store, key, bytes);
      expect((await fetched(flaky.store, key)).equals(bytes)).toBe(true);
    },
  );

  test('put: stall lasts until the caller gives up, and leaves nothing', async () => {
    const key = newKey();
    const caller = new AbortController();
    const reason = new Error('waited long enough');
    flaky.plan({ on: 'put', how: 'stall', after: 500_000 });
    const put = flaky.store.put(key, asSealed(bytes), { bytes: LENGTH, signal: caller.signal });
    await expect.poll(flaky.leftovers).toHaveLength(1);
    caller.abort(reason);
    expect(await rejection(put)).toBe(reason);
    await expectNothingLeft(flaky, key);
  });

  test('put: a lost answer leaves the whole object, so that the same key is refused: an attempt needs a key of its own', async () => {
    const key = newKey();
    flaky.plan({ on: 'put', how: 'lose answer' });
    await refusal(store(flaky.store, key, bytes), 'storage_unavailable');
    expect((await fetched(flaky.store, key)).equals(bytes)).toBe(true);
    await refusal(store(flaky.store, key, bytes), 'conflict');
    await flaky.store.delete(key);
    await expectNothingLeft(flaky, key);
  });
});

describe('get as a caller sees it on a flaky object store', () => {
  test('get: refuse is not "not found"', async () => {
    flaky.plan({ on: 'get', how: 'refuse' }, { on: 'head', how: 'refuse' });
    await refusal(flaky.store.get(newKey(), { signal: never() }), 'storage_unavailable');
    await refusal(flaky.store.head(newKey()), 'storage_unavailable');
  });

  test.each([1, 300_000, LENGTH])('get: break after %i bytes is an error, never an end', async (after) => {
    const key = newKey();
    await store(flaky.store, key, bytes);
    flaky.plan({ on: 'get', how: 'break', after });
    const received: Uint8Array[] = [];
    const reading = async (): Promise<void> => {
      for await (const chunk of (await flaky.store.get(key, { signal: never() })).body)
        received.push(Buffer.from(chunk));
    };
    await refusal(reading(), 'storage_unavailable');
    expect(Buffer.concat(received).equals(bytes.subarray(0, after))).toBe(true);
  });

  test('get: stall lasts until the caller gives up', async () => {
    const key = newKey();
    await store(flaky.store, key, bytes);
    const caller = new AbortController();
    const reason = new Error('waited long enough');
    flaky.plan({ on: 'get', how: 'stall', after: 300_000 });
    const { body } = await flaky.store.get(key, { signal: caller.signal });
    const reading = rejection(collected(body));
    setImmediate(() => caller.abort(reason));
    expect(await reading).toBe(reason);
  });
});

describe('the rest as a caller sees it on a flaky object store', () => {
  test.each(['refuse', 'lose answer'] as const)('delete: %s can be tried again', async (how) => {
    const key = newKey();
    await store(flaky.store, key, bytes);
    flaky.plan({ on: 'delete', how });
    await refusal(flaky.store.delete(key), 'storage_unavailable');
    await flaky.store.delete(key);
    await expectNothingLeft(flaky, key);
  });

  test('list: break is an error, never an end', async () => {
    await Promise.all([store(flaky.store, newKey(), bytes), store(flaky.store, newKey(), bytes)]);
    flaky.plan({ on: 'list', how: 'break', after: 1 });
    await refusal(listedKeys(flaky.store), 'storage_unavailable');
  });

  test.each(['check', 'sweep', 'freeBytes'] as const)('%s: refuse is told', async (on) => {
    flaky.plan({ on, how: 'refuse' });
    const call = {
      check: () => flaky.store.check(),
      sweep: () => flaky.store.sweep(new Date(0)),
      freeBytes: () => flaky.store.freeBytes(),
    };
    await refusal(call[on](), 'storage_unavailable');
    await call[on]();
  });
});
