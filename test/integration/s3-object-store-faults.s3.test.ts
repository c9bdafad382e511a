import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ObjectKey, ObjectStore } from '../../src/storage/object-store.ts';
import { createS3ObjectStore } from '../../src/storage/s3-object-store.ts';
import { collected } from '../support/byte-streams.ts';
import { type ConnectionFault, createFlakyProxy, type FlakyProxy } from '../support/flaky-proxy.ts';
import { asSealed, sampleBytes, stallingAfter } from '../support/object-bodies.ts';
import { openDescriptors } from '../support/open-files.ts';
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
import { s3Settings, type TestBucket } from '../support/s3-bucket.ts';
import { openS3Store } from '../support/s3-store.ts';

const MiB = 1024 ** 2;
const LENGTH = 20 * MiB;
const bytes = sampleBytes(LENGTH);
// As short as a server that shares its cores with other tests can keep to.
const timeouts = { connectMs: 1500, answerMs: 1500, stallMs: 1500 };
const FUTURE = new Date('2999-01-01');

/** The same bucket, straight: what is really there. */
let straight: OpenedStore & TestBucket;
let proxy: FlakyProxy;
let through: ObjectStore;

beforeAll(async () => {
  straight = await openS3Store({ versions: false });
});
afterAll(async () => straight?.close());
beforeEach(async () => {
  proxy = await createFlakyProxy(s3Settings().endpoint);
  through = createS3ObjectStore({
    ...s3Settings(),
    endpoint: proxy.endpoint,
    bucket: straight.bucket,
    timeouts,
  });
});
afterEach(async () => {
  await through.close();
  await proxy.close();
});

const put = (key: ObjectKey, length: number | undefined): Promise<unknown> =>
  through.put(key, asSealed(bytes), {
    ...(length === undefined ? {} : { bytes: length }),
    signal: never(),
  });

const faults: ConnectionFault[] = (['reset', 'stall'] as const).flatMap((how) => [
  { direction: 'request', after: 0, how },
  { direction: 'request', after: 200, how },
  { direction: 'request', after: 9 * MiB, how },
  { direction: 'request', after: LENGTH, how },
]);
const uploads = faults.flatMap((fault) => [
  { ...fault, length: LENGTH },
  { ...fault, length: undefined },
]);

describe('put to S3 over a connection that fails', () => {
  test.each(uploads)(
    'put of $length bytes: $how after $after bytes ends, with nothing to see',
    async ({ length, ...fault }) => {
      const key = newKey();
      proxy.setFault(fault);
      await refusal(put(key, length), 'storage_unavailable');
      expect(proxy.struck()).toBeGreaterThan(0);
      proxy.setFault(null);
      // Parts that could not be removed through a broken connection are what the sweep is for.
      await through.sweep(FUTURE);
      await expectNothingLeft(straight, key);
      await put(key, length);
      expect((await fetched(straight.store, key)).equals(bytes)).toBe(true);
    },
  );

  test.each(['reset', 'stall'] as const)(
    'put: a %s of the answer is an error, and the object is whole or not there',
    async (how) => {
      const key = newKey();
      proxy.setFault({ direction: 'response', after: 0, how });
      await refusal(put(key, LENGTH), 'storage_unavailable');
      expect(proxy.struck()).toBeGreaterThan(0);
      const length = (await straight.store.head(key))?.bytes;
      expect([undefined, LENGTH]).toContain(length);
      await straight.store.delete(key);
      await expectNothingLeft(straight, key);
    },
  );

  test('put: a signal that comes when the object is complete is too late', async () => {
    const key = newKey();
    const caller = new AbortController();
    proxy.setFault({ direction: 'response', after: 0, how: 'stall' });
    const put = through.put(key, asSealed(bytes), { bytes: LENGTH, signal: caller.signal });
    const refused = refusal(put, 'storage_unavailable');
    await expect.poll(proxy.struck).toBeGreaterThan(0);
    caller.abort(new Error('the telephone system hung up'));
    // Not "called off": the store has the object, only its answer is missing.
    await refused;
    expect(await straight.store.head(key)).toEqual({ bytes: LENGTH });
  });

  test('put: a slow source is no fault of the store', async () => {
    const key = newKey();
    const { body, stalled } = stallingAfter(MiB);
    const caller = new AbortController();
    const reason = new Error('the telephone system hung up');
    const uploading = rejection(through.put(key, body, { bytes: LENGTH, signal: caller.signal }));
    await stalled;
    await new Promise((resolve) => setTimeout(resolve, timeouts.stallMs * 3));
    caller.abort(reason);
    expect(await uploading).toBe(reason);
    await expectNothingLeft(straight, key);
  });
});

describe('get from S3 over a connection that fails', () => {
  test.each(['reset', 'stall'] as const)('get: a %s midway is an error, never an end', async (how) => {
    const key = newKey();
    await store(straight.store, key, bytes);
    proxy.setFault({ direction: 'response', after: 9 * MiB, how });
    const received: Buffer[] = [];
    const reading = async (): Promise<void> => {
      const slice = await through.get(key, { signal: never() });
      expect(slice.totalBytes).toBe(LENGTH);
      for await (const chunk of slice.body) received.push(Buffer.from(chunk));
    };
    await refusal(reading(), 'storage_unavailable');
    const got = Buffer.concat(received);
    expect(got.length).toBeLessThan(LENGTH);
    expect(got.equals(bytes.subarray(0, got.length))).toBe(true);
    proxy.setFault(null);
    expect((await fetched(through, key)).equals(bytes)).toBe(true);
  });

  test('get: a connection that breaks while nobody reads is told to the next who does', async () => {
    const key = newKey();
    await store(straight.store, key, bytes);
    const { body } = await through.get(key, { signal: never() });
    await proxy.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await refusal(collected(body), 'storage_unavailable');
    proxy = await createFlakyProxy(s3Settings().endpoint);
  });

  test('get: a slow consumer is no fault of the store', async () => {
    const key = newKey();
    await store(straight.store, key, bytes);
    const received: Buffer[] = [];
    for await (const chunk of (await through.get(key, { signal: never() })).body) {
      if (received.push(Buffer.from(chunk)) === 1)
        await new Promise((resolve) => setTimeout(resolve, timeouts.stallMs * 3));
    }
    expect(Buffer.concat(received).equals(bytes)).toBe(true);
  });

  test('get: a stalled answer gives way to the signal', async () => {
    const key = newKey();
    await store(straight.store, key, bytes);
    const caller = new AbortController();
    const reason = new Error('gone');
    proxy.setFault({ direction: 'response', after: 0, how: 'stall' });
    const getting = rejection(through.get(key, { signal: caller.signal }));
    await expect.poll(proxy.struck).toBeGreaterThan(0);
    caller.abort(reason);
    expect(await getting).toBe(reason);
  });
});

const calls: Record<string, (of: ObjectStore) => Promise<unknown>> = {
  get: (of) => of.get(newKey(), { signal: never() }),
  head: (of) => of.head(newKey()),
  delete: (of) => of.delete(newKey()),
  list: (of) => listedKeys(of),
  sweep: (of) => of.sweep(new Date(0)),
  check: (of) => of.check(),
};
const everyCall = Object.keys(calls).flatMap((name) => [
  { name, how: 'reset' as const },
  { name, how: 'stall' as const },
]);

describe('every call to S3 over a connection that fails', () => {
  test.each(everyCall)('$name: $how of every connection is told', async ({ name, how }) => {
    proxy.setFault({ direction: 'response', after: 0, how });
    await refusal(calls[name]!(through), 'storage_unavailable');
    expect(proxy.struck()).toBeGreaterThan(0);
  });

  test.each(Object.keys(calls))('%s: nobody there is told', async (name) => {
    await proxy.close();
    await refusal(calls[name]!(through), 'storage_unavailable');
    proxy = await createFlakyProxy(s3Settings().endpoint);
  });

  test('failures leave no descriptor', async () => {
    const fail = async (): Promise<void> => {
      proxy.setFault({ direction: 'request', after: MiB, how: 'reset' });
      await refusal(put(newKey(), LENGTH), 'storage_unavailable');
    };
    await fail();
    const before = await openDescriptors();
    for (let round = 0; round < 20; round += 1) await fail();
    await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
  });
});
