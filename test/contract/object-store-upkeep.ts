import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { bundleKeyOf, envelopeKeyOf, objectKeyOf, partKeyOf } from '../../src/storage/object-key.ts';
import { sampleBytes } from '../support/object-bodies.ts';
import {
  expectNothingLeft,
  fetched,
  listedKeys,
  newKey,
  type OpenedStore,
  refusal,
  store,
} from '../support/opened-store.ts';

const FUTURE = new Date('2999-01-01');
const PAST = new Date('2000-01-01');

const describeDelete = (opened: () => OpenedStore): void => {
  describe('delete', () => {
    test('removes the object, and succeeds again', async () => {
      const key = newKey();
      await store(opened().store, key, sampleBytes(1000));
      // A reader that was there before must not keep it within reach.
      expect(await fetched(opened().store, key)).toHaveLength(1000);
      await opened().store.delete(key);
      await expectNothingLeft(opened(), key);
      await opened().store.delete(key);
      await expectNothingLeft(opened(), key);
    });

    test('succeeds where there never was one, and harms no neighbour', async () => {
      const neighbour = newKey();
      await store(opened().store, neighbour, sampleBytes(10));
      await opened().store.delete(newKey());
      await opened().store.delete(newKey(neighbour.split('/')[1]));
      expect(await fetched(opened().store, neighbour)).toHaveLength(10);
    });

    test('succeeds for all who ask at once', async () => {
      const key = newKey();
      await store(opened().store, key, sampleBytes(1000));
      await Promise.all(Array.from({ length: 4 }, () => opened().store.delete(key)));
      await expectNothingLeft(opened(), key);
    });
  });
};

const describeList = (opened: () => OpenedStore): void => {
  describe('list', () => {
    test('names every object in key order, from any place on', async () => {
      const organisations: string[] = [randomUUID(), randomUUID(), randomUUID()];
      const keys = organisations.flatMap((organisation) =>
        Array.from({ length: 15 }, () => newKey(organisation)),
      );
      // Neighbours in one folder of the file store, and on both sides of a folder's border.
      for (const start of ['0000', '00ff', '0100', 'ffff'])
        keys.push(objectKeyOf(organisations[0]!, `${start}${randomUUID().slice(4)}`));
      await Promise.all(keys.map((key, i) => store(opened().store, key, sampleBytes(i))));
      const expected = keys.toSorted();
      const ours = (listed: string[]) => listed.filter((key) => organisations.includes(key.split('/')[1]!));
      const everything = await listedKeys(opened().store);
      expect(everything).toEqual(everything.toSorted());
      expect(ours(everything)).toEqual(expected);
      for (const place of [0, 1, 14, 15, 16, 40, expected.length - 1])
        expect(ours(await listedKeys(opened().store, expected[place]))).toEqual(expected.slice(place + 1));
      // A place where there is no object, such as that of one erased meanwhile, is as good as any.
      await opened().store.delete(expected[7]!);
      expect(ours(await listedKeys(opened().store, expected[7]))).toEqual(expected.slice(8));
    });

    test('names the copy of an envelope behind its object, and no bundle', async () => {
      const [organisation, generation] = [randomUUID(), randomUUID()];
      const key = objectKeyOf(organisation, generation);
      const copy = envelopeKeyOf(organisation, generation);
      const bundle = bundleKeyOf(Date.now(), randomUUID());
      for (const one of [copy, bundle, key]) await store(opened().store, one, sampleBytes(10));
      const listed = await listedKeys(opened().store);
      expect(listed.filter((one) => one.includes(organisation))).toEqual([key, copy]);
      expect(listed).not.toContain(bundle);
      expect((await listedKeys(opened().store, key))[0]).toBe(copy);
      expect(await listedKeys(opened().store, copy)).not.toContain(copy);
      // Neighbours, not parts of each other.
      await opened().store.delete(key);
      expect(await fetched(opened().store, copy)).toHaveLength(10);
      await opened().store.delete(copy);
      await opened().store.delete(bundle);
      await expectNothingLeft(opened(), key);
    });

    test('names a part of an upload like any object, beside whatever has the same generation', async () => {
      const [organisation, generation] = [randomUUID(), randomUUID()];
      const all = [objectKeyOf, envelopeKeyOf, partKeyOf].map((keyOf) => keyOf(organisation, generation));
      for (const one of all.toReversed()) await store(opened().store, one, sampleBytes(10));
      const listed = await listedKeys(opened().store);
      expect(listed.filter((one) => one.includes(organisation))).toEqual(all);
      await opened().store.delete(all[0]!);
      expect(await fetched(opened().store, all[2]!)).toHaveLength(10);
      for (const one of all) await opened().store.delete(one);
      await expectNothingLeft(opened(), all[2]!);
    });

    test('tells length and time', async () => {
      const before = Date.now() - 5_000;
      const key = newKey();
      await store(opened().store, key, sampleBytes(1234));
      const found = (await Array.fromAsync(opened().store.list())).find((object) => object.key === key);
      expect(found?.bytes).toBe(1234);
      expect(found!.modifiedAt.getTime()).toBeGreaterThan(before);
      expect(found!.modifiedAt.getTime()).toBeLessThan(Date.now() + 5_000);
    });

    test('can be left early', async () => {
      await store(opened().store, newKey(), sampleBytes(1));
      for await (const object of opened().store.list()) {
        expect(object.key).toMatch(/^recordings\//);
        break;
      }
    });
  });
};

const describeBundles = (opened: () => OpenedStore): void => {
  test('bundles names every bundle and nothing else, oldest first', async () => {
    const bundles = async (): Promise<string[]> =>
      (await Array.fromAsync(opened().store.bundles())).map(({ key }) => key);
    const before = await bundles();
    const times = [1_800_000_000_000, 1_700_000_000_999, 1_799_999_999_999, 1_700_000_000_000];
    const keys = times.map((at) => bundleKeyOf(at, randomUUID()));
    for (const key of [...keys, newKey()]) await store(opened().store, key, sampleBytes(10));
    expect(await bundles()).toEqual([...before, keys[3], keys[1], keys[2], keys[0]].sort());
    await refusal(store(opened().store, keys[0]!, sampleBytes(11)), 'conflict');
    for (const key of keys) await opened().store.delete(key);
    expect(await bundles()).toEqual(before);
  });
};

const describeSweep = (opened: () => OpenedStore): void => {
  test('sweep removes what is older, keeps what is younger, and touches no object', async () => {
    const key = newKey();
    await store(opened().store, key, sampleBytes(1000));
    const before = await listedKeys(opened().store);
    await opened().strand();
    await opened().strand();
    expect(await opened().leftovers()).toHaveLength(2);
    expect(await opened().store.sweep(PAST)).toEqual({ removed: 0 });
    expect(await opened().leftovers()).toHaveLength(2);
    expect(await opened().store.sweep(FUTURE)).toEqual({ removed: 2 });
    expect(await opened().leftovers()).toEqual([]);
    expect(await opened().store.sweep(FUTURE)).toEqual({ removed: 0 });
    expect(await listedKeys(opened().store)).toEqual(before);
    expect(await fetched(opened().store, key)).toHaveLength(1000);
  });

  test('sweep leaves alone what this very store is writing, however long nothing more has come', async () => {
    const key = newKey();
    const sample = sampleBytes(1000);
    const swept = Promise.withResolvers<void>();
    async function* paused(): AsyncGenerator<Buffer> {
      yield sample.subarray(0, 500);
      await swept.promise;
      yield sample.subarray(500);
    }
    const storing = opened().store.put(key, paused(), { signal: new AbortController().signal });
    for (let n = 0; n < 20; n += 1) {
      expect(await opened().store.sweep(FUTURE)).toEqual({ removed: 0 });
      await sleep(5);
    }
    swept.resolve();
    expect(await storing).toEqual({ bytes: 1000 });
    expect((await fetched(opened().store, key)).equals(sampleBytes(1000))).toBe(true);
  });
};

export const describeUpkeep = (opened: () => OpenedStore): void => {
  describeDelete(opened);
  describeList(opened);
  describeBundles(opened);
  describeSweep(opened);

  test('check passes and leaves nothing', async () => {
    const before = await listedKeys(opened().store);
    await opened().store.check();
    await opened().store.check();
    expect(await listedKeys(opened().store)).toEqual(before);
    expect(await opened().leftovers()).toEqual([]);
    expect(await opened().store.sweep(FUTURE)).toEqual({ removed: 0 });
  });

  test('freeBytes is a number of bytes, or null for S3', async () => {
    const free = await opened().store.freeBytes();
    if (opened().store.kind === 's3') expect(free).toBeNull();
    else expect(free).toBeGreaterThan(0);
  });
};
