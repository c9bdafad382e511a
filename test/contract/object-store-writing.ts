import { describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/storage/object-store.ts';
import { inChunks } from '../support/byte-streams.ts';
import { asSealed, failingAfter, sampleBytes, stallingAfter } from '../support/object-bodies.ts';
import {
  expectNothingLeft,
  fetched,
  never,
  newKey,
  type OpenedStore,
  refusal,
  rejection,
  store,
} from '../support/opened-store.ts';

const MiB = 1024 ** 2;
/** Around nothing, a disk's block, a segment, the piece in which stores write, the part in which S3 takes long objects; and a long call. */
const LENGTHS = [
  0, 1, 40, 56, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537,
  256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1,
  5 * MiB - 1, 5 * MiB, 5 * MiB + 1,
  20 * MiB,
]; // biome-ignore format: a table
const WRITERS = 8;

/** Kept outside the UUIDs on purpose: only a cast makes such a key. */
const NO_KEYS = [
  '',
  '../../etc/passwd',
  'recordings/../../../etc/passwd',
  'recordings/00000000-0000-4000-8000-000000000000/..',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000/x',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-00000000000A',
  'recordings//00000000-0000-4000-8000-000000000000',
  'other/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000',
  'recordings/00000000-0000-4000-8000-000000000000/.envelope',
  'recordings/00000000-0000-4000-8000-000000000000/...envelope',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000.envelope.envelope',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000.draft',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000.part.part',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000.part.envelope',
  'keys-export/20261121T103000.000Z-../../../../../../../../../../../../ab.ndjson',
  'keys-export/20261331T103000.000Z-00000000-0000-4000-8000-000000000000.ndjson',
  'keys-export/20261121T103000.000Z-00000000-0000-4000-8000-000000000000',
  'keys-export/x/20261121T103000.000Z-00000000-0000-4000-8000-000000000000.ndjson',
  'recordings/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000000\0',
] as readonly string[] as readonly ObjectKey[];

export const describeWriting = (opened: () => OpenedStore): void => {
  describe('put', () => {
    test.each(LENGTHS)('stores %i bytes of declared length', async (length) => {
      const key = newKey();
      const bytes = sampleBytes(length);
      const { put, head } = opened().store;
      expect(await put(key, asSealed(bytes), { bytes: length, signal: never() })).toEqual({ bytes: length });
      expect(await head(key)).toEqual({ bytes: length });
      expect(bytes.equals(await fetched(opened().store, key))).toBe(true);
      expect(await opened().leftovers()).toEqual([]);
    });

    test.each(LENGTHS)('stores %i bytes of unknown length', async (length) => {
      const key = newKey();
      const bytes = sampleBytes(length);
      expect(await opened().store.put(key, asSealed(bytes), { signal: never() })).toEqual({ bytes: length });
      expect(await opened().store.head(key)).toEqual({ bytes: length });
      expect(bytes.equals(await fetched(opened().store, key))).toBe(true);
      expect(await opened().leftovers()).toEqual([]);
    });

    test.each([1, 7, 100_000, 3_000_000])('stores chunks of %i bytes', async (size) => {
      const key = newKey();
      const bytes = sampleBytes(Math.min(size * 1000 + 3, 5_000_000));
      await opened().store.put(key, inChunks(bytes, size), { bytes: bytes.length, signal: never() });
      expect(bytes.equals(await fetched(opened().store, key))).toBe(true);
    });

    test('passes over empty chunks', async () => {
      const key = newKey();
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(0);
        yield Buffer.from('ab');
        yield Buffer.alloc(0);
      };
      await opened().store.put(key, chunks(), { bytes: 2, signal: never() });
      expect((await fetched(opened().store, key)).toString()).toBe('ab');
    });

    test('refuses an existing key and leaves its object as it was', async () => {
      const key = newKey();
      await store(opened().store, key, sampleBytes(1000));
      await refusal(store(opened().store, key, sampleBytes(2000)), 'conflict');
      await refusal(
        opened().store.put(key, asSealed(sampleBytes(20 * MiB)), { signal: never() }),
        'conflict',
      );
      expect((await fetched(opened().store, key)).equals(sampleBytes(1000))).toBe(true);
      expect(await opened().leftovers()).toEqual([]);
    });

    test.each(['declared', 'unknown'])('lets exactly one of eight writers win (%s length)', async (kind) => {
      const key = newKey();
      const bodies = Array.from({ length: WRITERS }, (_, i) => Buffer.alloc(200_000, i));
      const outcomes = await Promise.allSettled(
        bodies.map((bytes) =>
          opened().store.put(key, asSealed(bytes), {
            ...(kind === 'declared' ? { bytes: bytes.length } : {}),
            signal: never(),
          }),
        ),
      );
      const winners = bodies.filter((_, i) => outcomes[i]!.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      expect((await fetched(opened().store, key)).equals(winners[0]!)).toBe(true);
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'conflict' });
      expect(await opened().leftovers()).toEqual([]);
    });
  });
};

const describeAborted = (opened: () => OpenedStore): void => {
  const reason = new Error('the telephone system hung up');

  describe('put that is called off', () => {
    test('does not begin when it was called off before', async () => {
      const key = newKey();
      const body = asSealed(sampleBytes(10));
      expect(
        await rejection(opened().store.put(key, body, { bytes: 10, signal: AbortSignal.abort(reason) })),
      ).toBe(reason);
      await expectNothingLeft(opened(), key);
    });

    const cases = [
      { sent: 0, bytes: 1000 },
      { sent: 100, bytes: 1000 },
      { sent: 3 * MiB, bytes: 4 * MiB },
      { sent: 1000, bytes: 1000 },
      { sent: 100, bytes: undefined },
      { sent: 20 * MiB, bytes: undefined },
    ];
    test.each(cases)(
      'after $sent of $bytes bytes leaves nothing and closes the body',
      async ({ sent, bytes }) => {
        const key = newKey();
        const caller = new AbortController();
        const { body, stalled, closed } = stallingAfter(sent);
        const put = opened().store.put(key, body, {
          ...(bytes === undefined ? {} : { bytes }),
          signal: caller.signal,
        });
        void stalled.then(() => caller.abort(reason));
        expect(await rejection(put)).toBe(reason);
        await closed;
        await expectNothingLeft(opened(), key);
      },
    );
  });
};

const describeTooLate = (opened: () => OpenedStore): void => {
  const reason = new Error('the telephone system hung up');

  describe('put that is called off at its end', () => {
    test.each([0, 1, 2, 4, 8, 16])('is done or undone, never between (%i ms)', async (ms) => {
      const key = newKey();
      const bytes = sampleBytes(3 * MiB);
      const caller = new AbortController();
      const body = (async function* () {
        yield* asSealed(bytes);
        setTimeout(() => caller.abort(reason), ms);
      })();
      const [outcome] = await Promise.allSettled([
        opened().store.put(key, body, { bytes: bytes.length, signal: caller.signal }),
      ]);
      if (outcome.status === 'fulfilled')
        expect((await fetched(opened().store, key)).equals(bytes)).toBe(true);
      else {
        expect(outcome.reason).toBe(reason);
        await expectNothingLeft(opened(), key);
      }
    });
  });
};

const describeBroken = (opened: () => OpenedStore): void => {
  const broken = new Error('the body broke');

  describe('put of a broken body', () => {
    // The last two break when every byte is there: a digest that does not match is found out only then.
    const cases = [
      { sent: 0, bytes: 1000 },
      { sent: 3 * MiB, bytes: 4 * MiB },
      { sent: 20 * MiB, bytes: undefined },
      { sent: 100, bytes: undefined },
      { sent: 1000, bytes: 1000 },
      { sent: 4 * MiB, bytes: 4 * MiB },
    ];
    test.each(cases)('that ends after $sent of $bytes bytes leaves nothing', async ({ sent, bytes }) => {
      const key = newKey();
      const options = { ...(bytes === undefined ? {} : { bytes }), signal: never() };
      expect(await rejection(opened().store.put(key, failingAfter(sent, broken), options))).toBe(broken);
      await expectNothingLeft(opened(), key);
    });

    const lengths = [
      { sent: 999, bytes: 1000 },
      { sent: 1001, bytes: 1000 },
      { sent: 0, bytes: 1 },
      { sent: 1, bytes: 0 },
      { sent: 3 * MiB, bytes: 4 * MiB },
      { sent: 4 * MiB, bytes: 3 * MiB },
      // The surplus comes as a chunk of its own, when the store has been given all that was announced.
      { sent: 4 * 65_536 + 1, bytes: 4 * 65_536 },
    ];
    test.each(lengths)('of $sent bytes announced as $bytes is refused', async ({ sent, bytes }) => {
      const key = newKey();
      const body = inChunks(sampleBytes(sent), 65_536);
      await refusal(opened().store.put(key, body, { bytes, signal: never() }), 'length_mismatch');
      await expectNothingLeft(opened(), key);
    });

    test('without end is refused when it is longer than announced', async () => {
      const key = newKey();
      const closed = Promise.withResolvers<void>();
      const endless = (async function* () {
        try {
          for (;;) yield Buffer.alloc(65_536);
        } finally {
          closed.resolve();
        }
      })();
      const put = opened().store.put(key, endless, { bytes: MiB, signal: never() });
      await refusal(put, 'length_mismatch');
      await closed.promise;
      await expectNothingLeft(opened(), key);
    });

    test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
      'announced as %d is refused',
      async (bytes) => {
        const put = opened().store.put(newKey(), inChunks(sampleBytes(1), 1), { bytes, signal: never() });
        expect(await rejection(put)).toBeInstanceOf(RangeError);
      },
    );

    test('of characters is refused', async () => {
      const key = newKey();
      const text = (async function* () {
        yield 'å';
      })() as AsyncIterable<unknown> as AsyncIterable<Uint8Array>;
      expect(await rejection(opened().store.put(key, text, { bytes: 1, signal: never() }))).toBeInstanceOf(
        TypeError,
      );
      await expectNothingLeft(opened(), key);
    });
  });
};

const describeNoKeys = (opened: () => OpenedStore): void => {
  test.each(NO_KEYS)('no method takes %j for a key', async (key) => {
    const of = opened().store;
    const signal = never();
    expect(await rejection(of.put(key, inChunks(sampleBytes(1), 1), { signal }))).toBeInstanceOf(RangeError);
    expect(await rejection(of.get(key, { signal }))).toBeInstanceOf(RangeError);
    expect(await rejection(of.head(key))).toBeInstanceOf(RangeError);
    expect(await rejection(of.delete(key))).toBeInstanceOf(RangeError);
    const listing = async () => Array.fromAsync(of.list({ after: key }));
    expect(await rejection(listing())).toBeInstanceOf(RangeError);
  });
};

export const describeFailedWriting = (opened: () => OpenedStore): void => {
  describeAborted(opened);
  describeTooLate(opened);
  describeBroken(opened);
  describeNoKeys(opened);
};
