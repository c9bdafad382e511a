import { beforeAll, describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/storage/object-store.ts';
import { collected } from '../support/byte-streams.ts';
import { sampleBytes } from '../support/object-bodies.ts';
import { openDescriptors } from '../support/open-files.ts';
import {
  fetched,
  never,
  newKey,
  type OpenedStore,
  refusal,
  rejection,
  store,
} from '../support/opened-store.ts';

const LENGTH = 1_500_003;
const READERS = 8;
const ROUNDS = 40;

const RANGES = [
  { start: 0, end: 1 },
  { start: LENGTH - 1, end: LENGTH },
  { start: 0, end: LENGTH },
  { start: 0, end: 65_536 },
  { start: 65_536, end: 196_608 },
  { start: 262_143, end: 262_145 },
  { start: 700_001 },
  { end: 700_001 },
  { start: LENGTH - 1 },
  // Beyond the end: cut, or empty.
  { start: LENGTH - 1, end: LENGTH + 1 },
  { start: 0, end: LENGTH * 2 },
  { start: LENGTH, end: LENGTH + 1 },
  { start: LENGTH },
  { start: LENGTH * 2, end: LENGTH * 3 },
  { start: 0, end: 0 },
  { start: 500, end: 500 },
];

const describeSlices = (opened: () => OpenedStore, key: () => ObjectKey): void => {
  const bytes = sampleBytes(LENGTH);

  test.each(RANGES)('hands out [$start, $end)', async (range) => {
    const slice = await opened().store.get(key(), { ...range, signal: never() });
    expect(slice.totalBytes).toBe(LENGTH);
    expect((await collected(slice.body)).equals(bytes.subarray(range.start, range.end))).toBe(true);
  });

  test.each([{}, { start: 0 }, { start: 0, end: 10 }, { start: 1 }])(
    'hands out %j of an empty object',
    async (range) => {
      const empty = newKey();
      await store(opened().store, empty, Buffer.alloc(0));
      const slice = await opened().store.get(empty, { ...range, signal: never() });
      expect(slice.totalBytes).toBe(0);
      expect(await collected(slice.body)).toHaveLength(0);
    },
  );

  test.each([
    { start: -1 },
    { start: 2, end: 1 },
    { start: 0.5 },
    { end: Number.NaN },
    { start: 0, end: -1 },
    { start: Number.MAX_SAFE_INTEGER + 1 },
  ])('refuses %j as bounds', async (range) => {
    expect(await rejection(opened().store.get(key(), { ...range, signal: never() }))).toBeInstanceOf(
      RangeError,
    );
  });

  test('keeps a block as it is until the next one is asked for', async () => {
    const { body } = await opened().store.get(key(), { signal: never() });
    let position = 0;
    for await (const block of body) {
      // Others read meanwhile, into memory of their own.
      await fetched(opened().store, key(), { start: 0, end: 700_000 });
      expect(block.equals(bytes.subarray(position, position + block.length))).toBe(true);
      position += block.length;
    }
    expect(position).toBe(bytes.length);
  });

  test('serves eight readers at once', async () => {
    const slices = Array.from({ length: READERS }, (_, i) => ({
      start: i * 100_000,
      end: i * 100_000 + 300_000,
    }));
    const read = await Promise.all(slices.map((range) => fetched(opened().store, key(), range)));
    slices.forEach(({ start, end }, i) => {
      expect(read[i]!.equals(bytes.subarray(start, end))).toBe(true);
    });
  });

  test.each([{}, { start: 0, end: 1 }, { start: 3, end: 3 }])(
    'does not find %j of a missing object',
    async (range) => {
      await refusal(opened().store.get(newKey(), { ...range, signal: never() }), 'not_found');
      expect(await opened().store.head(newKey())).toBeNull();
    },
  );
};

type Departure = (opened: OpenedStore, key: ObjectKey) => Promise<void>;

/** Ways to leave a slice before its end. */
const DEPARTURES: Record<string, Departure> = {
  'after the first block': async ({ store: of }, key) => {
    for await (const _block of (await of.get(key, { signal: never() })).body) break;
  },
  'before the first block': async ({ store: of }, key) => {
    const { body } = await of.get(key, { signal: never() });
    await body[Symbol.asyncIterator]().return?.();
  },
  'by an error of its own': async ({ store: of }, key) => {
    const reading = async (): Promise<void> => {
      for await (const _block of (await of.get(key, { signal: never() })).body) throw new Error('enough');
    };
    expect(await rejection(reading())).toMatchObject({ message: 'enough' });
  },
  'by its signal before the first block': async ({ store: of }, key) => {
    const caller = new AbortController();
    const { body } = await of.get(key, { signal: caller.signal });
    caller.abort(new Error('gone'));
    expect(await rejection(collected(body))).toMatchObject({ message: 'gone' });
  },
  'by its signal after the first block': async ({ store: of }, key) => {
    const caller = new AbortController();
    const iterator = (await of.get(key, { signal: caller.signal })).body[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.length).toBeGreaterThan(0);
    caller.abort(new Error('gone'));
    expect(await rejection(iterator.next())).toMatchObject({ message: 'gone' });
  },
};

/** Leaves a slice of each of many objects, so that nothing a store shares between readers of one object can hide a leak. */
const leaveMany = async (open: () => Promise<OpenedStore>, leave: Departure): Promise<void> => {
  const opened = await open();
  const keys = Array.from({ length: ROUNDS }, () => newKey());
  for (const key of keys) await store(opened.store, key, sampleBytes(600_000));
  const before = await openDescriptors();
  for (const key of keys) await leave(opened, key);
  // What a store keeps open for the next reader it gives up when it closes; what a reader keeps from it stays.
  await opened.store.close();
  await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
  await opened.close();
};

const describeDepartures = (
  open: () => Promise<OpenedStore>,
  opened: () => OpenedStore,
  key: () => ObjectKey,
): void => {
  test.each(Object.keys(DEPARTURES))('leaves no descriptor behind a consumer that goes %s', async (how) => {
    await leaveMany(open, DEPARTURES[how]!);
  });

  test.each(['return', 'abort'])('leaves the last block to a consumer that goes by %s', async (how) => {
    const caller = new AbortController();
    const iterator = (await opened().store.get(key(), { signal: caller.signal })).body[
      Symbol.asyncIterator
    ]();
    const block = (await iterator.next()).value!;
    if (how === 'abort') caller.abort();
    else await iterator.return?.();
    for (let i = 0; i < READERS; i += 1) await fetched(opened().store, key(), { start: 700_001 });
    expect(block.equals(sampleBytes(block.length))).toBe(true);
  });

  test('does not begin when it was called off before', async () => {
    const reason = new Error('gone');
    const before = await openDescriptors();
    const get = opened().store.get(key(), { signal: AbortSignal.abort(reason) });
    expect(await rejection(get)).toBe(reason);
    await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
  });

  test('is over when it has ended, whatever its signal does later', async () => {
    const caller = new AbortController();
    const iterator = (await opened().store.get(key(), { end: 10, signal: caller.signal })).body[
      Symbol.asyncIterator
    ]();
    while ((await iterator.next()).done !== true);
    caller.abort();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });
};

export const describeReading = (open: () => Promise<OpenedStore>, opened: () => OpenedStore): void => {
  describe('get', () => {
    const key = newKey();
    beforeAll(async () => store(opened().store, key, sampleBytes(LENGTH)));
    describeSlices(opened, () => key);
    describeDepartures(open, opened, () => key);
  });
};
