import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openS3Checkpoints } from '../../src/storage/s3-checkpoints.ts';
import { createBucket, s3Settings, type TestBucket } from '../support/s3-bucket.ts';

/** Checkpoints in a bucket of a real S3 server: with Object Lock, with versions only, and without either. */
const DAY_MS = 86_400_000;
const now = (): number => Date.now();
const name = (size: number): string => String(size).padStart(16, '0');
const keyOf = (size: number): string => `checkpoints/${name(size)}`;

const openIn = ({ bucket }: TestBucket) => openS3Checkpoints({ ...s3Settings(), bucket, lockDays: 2, now });

describe.each([
  ['with Object Lock', { versions: false, locking: true }],
  ['with versions', { versions: true, locking: false }],
  ['without versions', { versions: false, locking: false }],
])('a bucket %s', (_what, kind) => {
  let made: TestBucket;
  let place: Awaited<ReturnType<typeof openIn>>;
  beforeAll(async () => {
    made = await createBucket(kind);
    place = await openIn(made);
  });
  afterAll(async () => {
    await place.close();
    await made.close();
  });

  test('is known for what it is', () => {
    expect(place.locking).toBe(kind.locking);
    expect(place.where).toBe(`s3://${made.bucket}/checkpoints`);
  });

  test('what was kept first stays, and is what is read', async () => {
    expect(await place.keep(name(7), 'first — á')).toBe('first — á');
    expect(await place.keep(name(7), 'second')).toBe('first — á');
    expect(await place.read(name(7))).toBe('first — á');
  });

  test('eight who keep at once are told what can be read, or what they wrote', async () => {
    const texts = Array.from({ length: 8 }, (_, i) => `text ${i}`);
    const told = await Promise.all(texts.map((text) => place.keep(name(8), text)));
    const read = await place.read(name(8));
    expect(texts).toContain(read);
    // A server may take a conditional write of each of them as a version of its own; what is read is the oldest.
    expect(told).toContain(read);
  });

  test('sizes from one on, in order, whatever else lies there', async () => {
    for (const other of ['x', '0000000000000009.0badcafe', '00000000000000010'])
      await made.client.send(
        new PutObjectCommand({ Bucket: made.bucket, Key: `checkpoints/${other}`, Body: 'x' }),
      );
    await place.keep(name(10), 'x');
    await place.keep(name(123_456_789), 'x');
    expect(await Array.fromAsync(place.sizes(0))).toEqual([7, 8, 10, 123_456_789]);
    expect(await Array.fromAsync(place.sizes(8))).toEqual([8, 10, 123_456_789]);
    expect(await Array.fromAsync(place.sizes(9))).toEqual([10, 123_456_789]);
    expect(await Array.fromAsync(place.sizes(123_456_790))).toEqual([]);
  });

  test('more than a page of them', async () => {
    const sizes = Array.from({ length: 1_030 }, (_, i) => 1_000_000_000 + i);
    for (let from = 0; from < sizes.length; from += 50)
      await Promise.all(sizes.slice(from, from + 50).map((size) => place.keep(name(size), 'x')));
    expect(await Array.fromAsync(place.sizes(1_000_000_000))).toEqual(sizes);
  });

  test('a name that is none', async () => {
    await expect(place.keep('../recordings/x', 'x')).rejects.toThrow(RangeError);
    await expect(place.read('')).rejects.toThrow(RangeError);
  });
});

describe('H-5 Object Lock', () => {
  let made: TestBucket;
  let place: Awaited<ReturnType<typeof openIn>>;
  beforeAll(async () => {
    made = await createBucket({ versions: false, locking: true });
    place = await openIn(made);
    await place.keep(name(5), 'kept');
  });
  afterAll(async () => {
    await place.close();
    await made.close();
  });

  const versions = async () =>
    (await made.client.send(new ListObjectVersionsCommand({ Bucket: made.bucket, Prefix: keyOf(5) })))
      .Versions ?? [];

  test('in COMPLIANCE, for as long as was asked', async () => {
    const head = await made.client.send(new HeadObjectCommand({ Bucket: made.bucket, Key: keyOf(5) }));
    expect(head.ObjectLockMode).toBe('COMPLIANCE');
    expect(Math.abs(head.ObjectLockRetainUntilDate!.getTime() - now() - 2 * DAY_MS)).toBeLessThan(60_000);
  });

  test('the bucket’s own keys cannot remove it', async () => {
    const [version] = await versions();
    await expect(
      made.client.send(
        new DeleteObjectCommand({
          Bucket: made.bucket,
          Key: keyOf(5),
          VersionId: version?.VersionId,
          BypassGovernanceRetention: true,
        }),
      ),
    ).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('hidden by a delete marker or covered by another version, it is found and read as it was', async () => {
    await made.client.send(new PutObjectCommand({ Bucket: made.bucket, Key: keyOf(5), Body: 'forged' }));
    expect(await place.read(name(5))).toBe('kept');
    await made.client.send(new DeleteObjectCommand({ Bucket: made.bucket, Key: keyOf(5) }));
    expect(await Array.fromAsync(place.sizes(0))).toEqual([5]);
    expect(await place.read(name(5))).toBe('kept');
  });
});

test('a bucket that cannot be asked stops the opening', async () => {
  const options = { ...s3Settings(), bucket: 'callvault-test-nowhere', lockDays: 1, now };
  await expect(openS3Checkpoints({ ...options, secretAccessKey: 'wrong' })).rejects.toMatchObject({
    code: 'storage_unavailable',
  });
});
