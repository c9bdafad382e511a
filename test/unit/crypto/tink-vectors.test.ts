import { createHash, createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sealedSpan } from '../../../src/core/sealed-layout.ts';
import { openRange, seal } from '../../../src/crypto/sealed-stream.ts';
import { segmentCipher } from '../../../src/crypto/segment-cipher.ts';
import { collected, inChunks, inReusedBuffer, patternBytes } from '../../support/byte-streams.ts';

/**
 * Objects that Google's tink-go v2.0.0 sealed (test/fixtures/vectors/README.md). Opening them shows that we read the format;
 * sealing the same bytes again with the same salt and prefix shows that we write it, bit for bit.
 */
type Vector = {
  readonly seg: number;
  readonly plaintextLen: number;
  readonly dek: string;
  readonly aad: string;
  readonly salt: string;
  readonly noncePrefix: string;
  readonly ciphertextLen: number;
  readonly ciphertextSha256: string;
  readonly plaintextSha256: string;
  readonly ciphertext?: string;
};

const file = new URL('../../fixtures/vectors/tink-aes-gcm-hkdf.json', import.meta.url);
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: readonly Vector[] };

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const cipherOf = (vector: Vector) =>
  segmentCipher({
    dek: createSecretKey(hex(vector.dek)),
    aad: hex(vector.aad),
    header: hex(`28${vector.salt}${vector.noncePrefix}`),
    segmentBytes: vector.seg,
  });

test('all nine vectors are here, in three segment sizes and more', () => {
  expect(vectors.map(({ seg, plaintextLen }) => [seg, plaintextLen])).toEqual([
    [105, 0],
    [105, 1],
    [105, 49],
    [105, 50],
    [105, 139],
    [4096, 4040],
    [65536, 65480],
    [65536, 200000],
    [1048576, 3600000],
  ]);
});

describe.each(vectors)('tink-go, segment $seg, $plaintextLen bytes', (vector) => {
  const plain = patternBytes(vector.plaintextLen);
  const whole = { start: 0, end: plain.length };
  const sealing = collected(seal(cipherOf(vector), inChunks(plain, 65_536)));

  test('is sealed again bit for bit', async () => {
    const sealed = await sealing;
    expect(sha256(plain)).toBe(vector.plaintextSha256);
    expect(sealed.length).toBe(vector.ciphertextLen);
    expect(sha256(sealed)).toBe(vector.ciphertextSha256);
    if (vector.ciphertext !== undefined) expect(sealed.toString('hex')).toBe(vector.ciphertext);
  });

  test('opens', async () => {
    // Where the vector is too long to be written out, its digest vouches for the bytes sealed here.
    const sealed = vector.ciphertext === undefined ? await sealing : hex(vector.ciphertext);
    expect(sha256(sealed)).toBe(vector.ciphertextSha256);
    const opened = await collected(
      openRange(cipherOf(vector), whole, plain.length, inChunks(sealed, 65_536)),
    );
    expect(sha256(opened)).toBe(vector.plaintextSha256);
  });

  test('any cut of the streams gives the same bytes, also from a buffer that is reused', async () => {
    const sealed = await sealing;
    const sizes = plain.length > 10_000 ? [1009, vector.seg - 1, vector.seg + 1] : [1, 2, 7, 15, 16, 17, 41];
    for (const size of sizes) {
      const again = await collected(seal(cipherOf(vector), inReusedBuffer(plain, size)));
      expect(again.equals(sealed)).toBe(true);
      const opening = openRange(cipherOf(vector), whole, plain.length, inReusedBuffer(sealed, size));
      expect((await collected(opening)).equals(plain)).toBe(true);
    }
  });

  test('any range opens from the segments that hold it', async () => {
    if (plain.length === 0) {
      const nothing = openRange(cipherOf(vector), whole, 0, inChunks(await sealing, 9));
      expect(await collected(nothing)).toHaveLength(0);
      return;
    }
    const sealed = await sealing;
    const cipher = cipherOf(vector);
    const ranges = fc
      .tuple(fc.integer({ min: 0, max: plain.length - 1 }), fc.integer({ min: 1, max: plain.length }))
      .map(([start, length]) => ({ start, end: Math.min(plain.length, start + length) }));
    await fc.assert(
      fc.asyncProperty(ranges, async (range) => {
        const { start, end } = sealedSpan(range, plain.length, vector.seg).sealed;
        const source = inChunks(sealed.subarray(start, end), 65_536);
        const opened = await collected(openRange(cipher, range, plain.length, source));
        expect(opened.equals(plain.subarray(range.start, range.end))).toBe(true);
      }),
      { numRuns: plain.length > 1_000_000 ? 10 : 40 },
    );
  });
});

test('200,000 bytes of tink-go survive being fed byte by byte', async () => {
  const vector = vectors.find(({ plaintextLen }) => plaintextLen === 200_000)!;
  const plain = patternBytes(200_000);
  const sealed = await collected(seal(cipherOf(vector), inReusedBuffer(plain, 1)));
  expect(sha256(sealed)).toBe(vector.ciphertextSha256);
  const opening = openRange(cipherOf(vector), { start: 0, end: 200_000 }, 200_000, inReusedBuffer(sealed, 1));
  expect(sha256(await collected(opening))).toBe(vector.plaintextSha256);
});

test('a stream of strings is refused rather than sealed as something else', async () => {
  async function* text(): AsyncGenerator<never, void, void> {
    yield 'abc' as never;
  }
  await expect(collected(seal(cipherOf(vectors[0]!), text()))).rejects.toThrow(TypeError);
});
