import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { openObject, sealObject } from '../../../src/crypto/sealed-object.ts';
import { randomHeader } from '../../../src/crypto/segment-cipher.ts';
import { collected, inChunks, patternBytes } from '../../support/byte-streams.ts';
import { faultOf, freshKey, readAll, sealBytes, storeOf } from '../../support/sealed-objects.ts';

afterEach(() => vi.restoreAllMocks());

test.each([0, 1, 65_479, 65_480, 65_481, 131_000, 131_001, 262_144])('%i bytes come back', async (length) => {
  const plain = patternBytes(length);
  const { key, sealed, envelope } = await sealBytes(plain);
  expect((await readAll(envelope, key, sealed)).equals(plain)).toBe(true);
  expect(envelope.plainBytes).toBe(length);
  expect(envelope.sealedBytes).toBe(sealed.length);
  expect(Buffer.from(envelope.sealedSha256)).toEqual(createHash('sha256').update(sealed).digest());
  expect(envelope.header).toEqual(sealed.subarray(0, 40));
});

test('any range of any object is what went in', async () => {
  const plain = patternBytes(210_000);
  const { key, sealed, envelope } = await sealBytes(plain);
  const object = openObject(envelope, key.dek);
  const edges = [0, 65_480, 131_000, 196_520, 210_000];
  const near = fc.tuple(fc.constantFrom(...edges), fc.integer({ min: -2, max: 2 })).map(([e, d]) => e + d);
  const point = fc
    .oneof(near, fc.integer({ min: 0, max: 210_000 }))
    .map((at) => Math.max(0, Math.min(210_000, at)));
  const ranges = fc.tuple(point, point).filter(([a, b]) => a !== b);
  await fc.assert(
    fc.asyncProperty(ranges, fc.integer({ min: 700, max: 140_000 }), async ([a, b], chunk) => {
      const range = { start: Math.min(a, b), end: Math.max(a, b) };
      const { read, seen } = storeOf(sealed, chunk);
      const opened = await collected(await object.readRange(range, read));
      expect(opened.equals(plain.subarray(range.start, range.end))).toBe(true);
      expect(seen).toEqual({ asked: 1, open: 0 });
    }),
  );
});

test('what was yielded is never touched again', async () => {
  const sealing = sealObject(freshKey(), inChunks(patternBytes(200_000), 9_999));
  const held: { chunk: Buffer; copy: Buffer }[] = [];
  for await (const chunk of sealing.body) held.push({ chunk, copy: Buffer.from(chunk) });
  expect(held.every(({ chunk, copy }) => chunk.equals(copy))).toBe(true);
});

test('ASVS 11.3 one key seals one object, even when the first was never read', async () => {
  const key = freshKey();
  sealObject(key, inChunks(patternBytes(10), 10));
  expect(() => sealObject(key, inChunks(patternBytes(10), 10))).toThrow(RangeError);
  expect(() => sealObject({ ...key, header: randomHeader() }, inChunks(patternBytes(10), 10))).toThrow(
    RangeError,
  );
});

test('a key whose commitment is not its own seals nothing', async () => {
  const key = freshKey({ keyCommitment: Buffer.alloc(32) });
  const fault = await faultOf(async () => sealObject(key, inChunks(patternBytes(10), 10)));
  expect(fault).toEqual({ fault: 'key_commitment', segment: null });
});

test('a source that fails leaves no envelope and is closed', async () => {
  let closed = false;
  async function* failing(): AsyncGenerator<Buffer, void, void> {
    try {
      yield patternBytes(100_000);
      throw new Error('connection lost');
    } finally {
      closed = true;
    }
  }
  const sealing = sealObject(freshKey(), failing());
  await expect(collected(sealing.body)).rejects.toThrow('connection lost');
  expect(closed).toBe(true);
  expect(() => sealing.envelope()).toThrow(RangeError);
});

test('a consumer that stops leaves no envelope and the source closed', async () => {
  let closed = false;
  async function* source(): AsyncGenerator<Buffer, void, void> {
    try {
      while (true) yield patternBytes(70_000);
    } finally {
      closed = true;
    }
  }
  const sealing = sealObject(freshKey(), source());
  for await (const chunk of sealing.body) if (chunk.length > 40) break;
  expect(closed).toBe(true);
  expect(() => sealing.envelope()).toThrow(RangeError);
});

test('ASVS 11.3 the same plaintext never gives the same object', async () => {
  const plain = patternBytes(1000);
  const [a, b] = [await sealBytes(plain), await sealBytes(plain)];
  expect(a.sealed.subarray(40).equals(b.sealed.subarray(40))).toBe(false);
});

test('the plaintext held back is overwritten, whether sealing ends, fails or is left', async () => {
  const held: Buffer[] = [];
  const allocate = Buffer.allocUnsafeSlow;
  vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((size) => {
    const buffer = allocate(size);
    held.push(buffer);
    return buffer;
  });
  async function* failing(): AsyncGenerator<Buffer, void, void> {
    yield Buffer.alloc(10_000, 1);
    throw new Error('connection lost');
  }
  await collected(sealObject(freshKey(), inChunks(Buffer.alloc(10_000, 1), 999)).body);
  await expect(collected(sealObject(freshKey(), failing()).body)).rejects.toThrow();
  for await (const chunk of sealObject(freshKey(), inChunks(Buffer.alloc(100_000, 1), 999)).body)
    if (chunk.length > 40) break;
  expect(held).toHaveLength(3);
  expect(held.every((buffer) => buffer.every((byte) => byte === 0))).toBe(true);
});

test('many readers at once, some of whom leave, do not see each other', async () => {
  const plain = patternBytes(400_000);
  const { key, sealed, envelope } = await sealBytes(plain);
  const object = openObject(envelope, key.dek);
  const readers = Array.from({ length: 60 }, async (_, i) => {
    const range = { start: (i * 6007) % 300_000, end: ((i * 6007) % 300_000) + 100_000 };
    const { read, seen } = storeOf(sealed, 1000 + i * 97);
    const parts: Buffer[] = [];
    for await (const chunk of await object.readRange(range, read)) {
      parts.push(chunk);
      await new Promise((resolve) => setImmediate(resolve));
      if (i % 3 === 0) break;
    }
    const got = Buffer.concat(parts);
    expect(got.equals(plain.subarray(range.start, range.start + got.length))).toBe(true);
    expect(got.length === 100_000 || i % 3 === 0).toBe(true);
    expect(seen.open).toBe(0);
  });
  await Promise.all(readers);
});
