import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ObjectKey } from '../../src/storage/object-store.ts';
import { createS3ObjectStore } from '../../src/storage/s3-object-store.ts';
import { asSealed, sampleBytes } from '../support/object-bodies.ts';
import {
  expectNothingLeft,
  fetched,
  listedKeys,
  never,
  newKey,
  refusal,
  store,
} from '../support/opened-store.ts';
import { s3Settings } from '../support/s3-bucket.ts';
import { openS3Store } from '../support/s3-store.ts';
import { startStoreProcess } from '../support/store-process.ts';

const FUTURE = new Date('2999-01-01');
type Opened = Awaited<ReturnType<typeof openS3Store>>;

let opened: Opened;
beforeAll(async () => {
  opened = await openS3Store({ versions: false });
});
afterAll(async () => opened?.close());

describe('S3 object store', () => {
  test('lists page by page', async () => {
    const organisation = randomUUID();
    const keys = Array.from({ length: 1005 }, () => newKey(organisation));
    for (let from = 0; from < keys.length; from += 50)
      await Promise.all(keys.slice(from, from + 50).map((key) => store(opened.store, key, sampleBytes(1))));
    const sorted = keys.toSorted();
    expect((await listedKeys(opened.store)).filter((key) => key.includes(organisation))).toEqual(sorted);
    const rest = await listedKeys(opened.store, sorted[2]);
    expect(rest.filter((key) => key.includes(organisation))).toEqual(sorted.slice(3));
  });

  test('says no more about an object than that it is bytes', async () => {
    const key = newKey();
    await store(opened.store, key, sampleBytes(10));
    const head = await opened.client.send(new HeadObjectCommand({ Bucket: opened.bucket, Key: key }));
    expect(head.ContentType).toBe('application/octet-stream');
    expect(head.Metadata).toEqual({});
    expect([head.ContentDisposition, head.ContentLanguage, head.CacheControl]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('lists and sweeps nothing of others in the same bucket', async () => {
    const names = ['recordings/notes.txt', `recordings/${randomUUID()}/x`, 'other', `x${newKey()}`];
    for (const Key of names)
      await opened.client.send(new PutObjectCommand({ Bucket: opened.bucket, Key, Body: 'x' }));
    const listed = await listedKeys(opened.store);
    for (const name of names) expect(listed).not.toContain(name);
    await opened.store.sweep(FUTURE);
    for (const Key of names) await opened.client.send(new HeadObjectCommand({ Bucket: opened.bucket, Key }));
  });
});

describe('sweep of the S3 object store', () => {
  test('sweeps the objects of checks that were killed', async () => {
    const Key = `probes/${randomUUID()}`;
    await opened.client.send(new PutObjectCommand({ Bucket: opened.bucket, Key, Body: 'x' }));
    expect(await opened.store.sweep(new Date(0))).toEqual({ removed: 0 });
    expect(await opened.store.sweep(FUTURE)).toEqual({ removed: 1 });
  });

  test('sweeps no upload that is under way, in whichever process', async () => {
    const key = newKey();
    const bytes = sampleBytes(12 * 1024 ** 2);
    const others = createS3ObjectStore({ ...s3Settings(), bucket: opened.bucket });
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const body = (async function* () {
      yield* asSealed(bytes.subarray(0, 6 * 1024 ** 2));
      await first.promise;
      yield* asSealed(bytes.subarray(6 * 1024 ** 2));
      await second.promise;
    })();
    const put = opened.store.put(key, body, { signal: never() });
    const parts = async (): Promise<(Date | undefined)[]> => {
      const { Uploads = [] } = await opened.client.send(
        new ListMultipartUploadsCommand({ Bucket: opened.bucket }),
      );
      const UploadId = Uploads.find(({ Key }) => Key === key)?.UploadId;
      if (UploadId === undefined) return [];
      const { Parts = [] } = await opened.client.send(
        new ListPartsCommand({ Bucket: opened.bucket, Key: key, UploadId }),
      );
      return Parts.map(({ LastModified }) => LastModified);
    };
    await expect.poll(parts).toHaveLength(1);
    // Times of S3 are whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    first.resolve();
    await expect.poll(parts).toHaveLength(2);
    const latest = (await parts())[1] as Date;
    expect(await others.sweep(latest)).toEqual({ removed: 0 });
    expect(await opened.store.sweep(FUTURE)).toEqual({ removed: 0 });
    second.resolve();
    await put;
    expect((await fetched(opened.store, key)).equals(bytes)).toBe(true);
    await others.close();
  });

  test('asks who is writing, by key, and leaves that alone whatever its age; of strangers it asks nothing', async () => {
    const prefixed = await openS3Store({ versions: false, prefix: 'callvault/' });
    const begin = async (Key: string): Promise<void> => {
      await prefixed.client.send(new CreateMultipartUploadCommand({ Bucket: prefixed.bucket, Key }));
    };
    const [living, dead] = [newKey(), newKey()];
    const strange = 'callvault/recordings/notes.txt';
    for (const key of [`callvault/${living}`, `callvault/${dead}`, strange, living]) await begin(key);
    const asked: string[] = [];
    const isUnderWay = async (key: ObjectKey): Promise<boolean> => {
      asked.push(key);
      return key === living;
    };
    expect(await prefixed.store.sweep(FUTURE, isUnderWay)).toEqual({ removed: 2 });
    expect(asked.toSorted()).toEqual([living, dead].toSorted());
    expect((await prefixed.leftovers()).toSorted()).toEqual([`callvault/${living}`, living].toSorted());
    // Nobody knows: nothing is removed.
    const unknown = prefixed.store.sweep(FUTURE, () => Promise.reject(new Error('no database')));
    await expect(unknown).rejects.toThrow('no database');
    expect(await prefixed.store.sweep(FUTURE)).toEqual({ removed: 1 });
    await prefixed.close();
  });
});

describe('process of the S3 object store', () => {
  test.each(['half', 'half-unknown'])(
    'shows nothing of an upload whose process was killed (%s)',
    async (mode) => {
      const key = newKey();
      const child = startStoreProcess(mode, key, { kind: 's3', at: opened.bucket });
      expect(await child.said).toEqual({ half: true });
      await child.kill();
      await opened.store.sweep(FUTURE);
      await expectNothingLeft(opened, key);
    },
  );

  test('keeps an upload whose process was killed after it', async () => {
    const key = newKey();
    const child = startStoreProcess('whole', key, { kind: 's3', at: opened.bucket });
    expect(await child.said).toEqual({ stored: true });
    await child.kill();
    const bytes = sampleBytes(4 * 1024 ** 2);
    expect((await fetched(opened.store, key)).equals(bytes)).toBe(true);
  });

  test.each(['memory', 'memory-unknown'])('does not grow with 2 GiB in and out (%s)', async (mode) => {
    const child = startStoreProcess(mode, newKey(), { kind: 's3', at: opened.bucket });
    const { growthMiB } = (await child.said) as { growthMiB: number };
    await child.ended;
    expect(growthMiB).toBeLessThan(150);
  });
});

describe('S3 object store that is set up wrongly', () => {
  const wrong = {
    secret: { secretAccessKey: 'not-the-secret-of-this-account-0123456789' },
    'access key': { accessKeyId: 'NOTANACCOUNTOFTHIS00' },
    bucket: { bucket: `callvault-missing-${randomUUID()}` },
  };

  test.each(Object.keys(wrong) as (keyof typeof wrong)[])(
    '(%s) is told by every call, without a secret',
    async (name) => {
      const opened = await openS3Store({ versions: false });
      const settings = { ...s3Settings(), bucket: opened.bucket, ...wrong[name] };
      const of = createS3ObjectStore(settings);
      const key = newKey();
      const calls = [
        () => of.check(),
        () => store(of, key, sampleBytes(10)),
        () => of.put(key, (async function* () {})(), { signal: never() }),
        () => of.get(key, { signal: never() }),
        () => of.head(key),
        () => of.delete(key),
        () => Array.fromAsync(of.list()),
        () => of.sweep(FUTURE),
      ];
      for (const call of calls) {
        const told = inspect(await refusal(call(), 'storage_unavailable'), { depth: 20, showHidden: true });
        expect(told).not.toContain(settings.secretAccessKey);
        expect(told).not.toContain(settings.accessKeyId);
      }
      await expectNothingLeft(opened, key);
      await of.close();
      await opened.close();
    },
  );

  test.each(['/', 'a', 'A/', 'a//', '../', 'a/../'])('(prefix %j) is refused at once', (prefix) => {
    expect(() => createS3ObjectStore({ ...s3Settings(), bucket: 'b', prefix })).toThrow(RangeError);
  });
});

describe('S3 object store on a bucket with versions', () => {
  let versioned: Opened;
  beforeAll(async () => {
    versioned = await openS3Store({ versions: true });
  });
  afterAll(async () => versioned?.close());

  const overwrite = async (key: ObjectKey): Promise<void> => {
    await versioned.client.send(new PutObjectCommand({ Bucket: versioned.bucket, Key: key, Body: 'other' }));
  };
  const hide = async (key: ObjectKey): Promise<void> => {
    await versioned.client.send(new DeleteObjectCommand({ Bucket: versioned.bucket, Key: key }));
  };
  const versions = async (key: ObjectKey): Promise<number> => {
    const page = await versioned.client.send(
      new ListObjectVersionsCommand({ Bucket: versioned.bucket, Prefix: key }),
    );
    return (page.Versions?.length ?? 0) + (page.DeleteMarkers?.length ?? 0);
  };

  test('erases what others have overwritten and hidden', async () => {
    const key = newKey();
    await store(versioned.store, key, sampleBytes(10));
    await overwrite(key);
    await hide(key);
    await overwrite(key);
    await hide(key);
    expect(await versions(key)).toBe(5);
    await versioned.store.delete(key);
    expect(await versions(key)).toBe(0);
    await expectNothingLeft(versioned, key);
  });

  test('leaves one version of an object that eight writers want', async () => {
    for (let round = 0; round < 10; round += 1) {
      const key = newKey();
      const writers = Array.from({ length: 8 }, (_, i) => Buffer.alloc(1000, i));
      const outcomes = await Promise.allSettled(writers.map((bytes) => store(versioned.store, key, bytes)));
      const winners = writers.filter((_, i) => outcomes[i]!.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      expect(await versions(key)).toBe(1);
      expect((await fetched(versioned.store, key)).equals(winners[0]!)).toBe(true);
    }
  });

  test('leaves none behind a check', async () => {
    await versioned.store.check();
    const page = await versioned.client.send(
      new ListObjectVersionsCommand({ Bucket: versioned.bucket, Prefix: 'probes/' }),
    );
    expect([page.Versions ?? [], page.DeleteMarkers ?? []]).toEqual([[], []]);
  });
});

test('S3 object store does not claim to have erased what is locked', async () => {
  const opened = await openS3Store({ versions: true });
  const bucket = `callvault-test-${randomUUID()}`;
  await opened.client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
  const of = createS3ObjectStore({ ...s3Settings(), bucket });
  const key = newKey();
  const hold = (Status: 'ON' | 'OFF') =>
    opened.client.send(new PutObjectLegalHoldCommand({ Bucket: bucket, Key: key, LegalHold: { Status } }));
  await store(of, key, sampleBytes(10));
  await hold('ON');
  await refusal(of.delete(key), 'storage_unavailable');
  expect(await fetched(of, key)).toHaveLength(10);
  await hold('OFF');
  await of.delete(key);
  expect(await of.head(key)).toBeNull();
  await of.close();
  await opened.close();
});
