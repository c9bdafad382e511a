import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  HEADER_BYTES,
  plainBytes,
  sealedBytes,
  sealedSpan,
  segmentCount,
  segmentOf,
  segmentStart,
  TAG_BYTES,
  VAULT_SEGMENT_BYTES,
} from '../../../src/core/sealed-layout.ts';

const S = VAULT_SEGMENT_BYTES;

/** The format walked byte by byte, as slow and plain as it can be said: which segment and place each plaintext byte has. */
const walk = (plain: number, segmentBytes: number) => {
  const places: { segment: number; object: number }[] = [];
  let object = HEADER_BYTES;
  let segment = 0;
  for (let byte = 0; byte < plain; byte += 1) {
    if (object === (segment + 1) * segmentBytes - TAG_BYTES) {
      object += TAG_BYTES;
      segment += 1;
    }
    places.push({ segment, object });
    object += 1;
  }
  return { places, total: object + TAG_BYTES, segments: segment + 1 };
};

const segmentSizes = fc.integer({ min: 57, max: 120 });

describe('lengths', () => {
  test.each([
    [0, 56],
    [1, 57],
    [65_479, 65_535],
    [65_480, 65_536],
    [65_481, 65_553],
    [65_480 + 65_520, 2 * S],
    [65_480 + 65_520 + 1, 2 * S + 17],
    [3_650_000, 40 + 3_650_000 + 56 * 16],
  ])('%i plaintext bytes are sealed in %i', (plain, sealed) => {
    expect(sealedBytes(plain)).toBe(sealed);
    expect(plainBytes(sealed)).toBe(plain);
  });

  test('equal those of the format walked byte by byte, for any segment size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 700 }), segmentSizes, (plain, size) => {
        const { total, segments } = walk(plain, size);
        expect(sealedBytes(plain, size)).toBe(total);
        expect(segmentCount(plain, size)).toBe(segments);
        expect(plainBytes(total, size)).toBe(plain);
      }),
    );
  });

  test('every object length belongs to one message length or to none', () => {
    for (const size of [57, 58, 73, 105]) {
      const known = new Map<number, number>();
      for (let plain = 0; plain < 1000; plain += 1) known.set(sealedBytes(plain, size), plain);
      for (let sealed = 0; sealed < sealedBytes(999, size); sealed += 1)
        expect(plainBytes(sealed, size)).toBe(known.get(sealed) ?? null);
    }
  });

  test.each([-1, 0, 39, 40, 55, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, S + 1, S + 16])(
    'no object has %d bytes',
    (sealed) => {
      expect(plainBytes(sealed)).toBeNull();
    },
  );

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, Number.MAX_SAFE_INTEGER])(
    'no message has %d bytes',
    (plain) => {
      expect(() => sealedBytes(plain)).toThrow(RangeError);
    },
  );

  test('the segment counter cannot wrap', () => {
    const most = 65_480 + (2 ** 32 - 2) * 65_520;
    expect(segmentCount(most)).toBe(2 ** 32 - 1);
    expect(plainBytes(sealedBytes(most))).toBe(most);
    expect(() => segmentCount(most + 1)).toThrow(RangeError);
    expect(plainBytes(sealedBytes(most) + 17)).toBeNull();
  });

  test.each([0, 56, 57.5, -1, Number.NaN, 2 ** 24 + 1])('a segment size of %d is refused', (size) => {
    expect(() => sealedBytes(1, size)).toThrow(RangeError);
    expect(() => plainBytes(100, size)).toThrow(RangeError);
    expect(() => segmentOf(1, size)).toThrow(RangeError);
  });
});

describe('where a byte lies', () => {
  test.each([
    [0, 0],
    [65_479, 0],
    [65_480, 1],
    [65_480 + 65_519, 1],
    [65_480 + 65_520, 2],
  ])('plaintext byte %i lies in segment %i', (offset, segment) => {
    expect(segmentOf(offset)).toBe(segment);
  });

  test('a span holds its range and nothing that is not needed, for any segment size', () => {
    const cases = fc
      .tuple(fc.integer({ min: 1, max: 700 }), segmentSizes)
      .chain(([plain, size]) =>
        fc.tuple(
          fc.constant(plain),
          fc.constant(size),
          fc.integer({ min: 0, max: plain - 1 }),
          fc.integer({ min: 1, max: plain }),
        ),
      )
      .map(([plain, size, a, b]) => ({ plain, size, start: Math.min(a, b - 1), end: Math.max(a + 1, b) }));
    fc.assert(
      fc.property(cases, ({ plain, size, start, end }) => {
        const { places, total } = walk(plain, size);
        const span = sealedSpan({ start, end }, plain, size);
        expect(span.firstSegment).toBe(places[start]?.segment);
        expect(span.lastSegment).toBe(places[end - 1]?.segment);
        expect(span.sealed.start).toBe(span.firstSegment * size);
        expect(span.sealed.end).toBe(Math.min(total, (span.lastSegment + 1) * size));
        expect(span.skip).toBe(start - segmentStart(span.firstSegment, size));
      }),
    );
  });

  test('the empty message still has a segment to verify', () => {
    expect(sealedSpan({ start: 0, end: 0 }, 0)).toEqual({
      firstSegment: 0,
      lastSegment: 0,
      sealed: { start: 0, end: 56 },
      skip: 0,
    });
  });

  test.each([
    [0, 11],
    [10, 11],
    [5, 5],
    [5, 4],
    [-1, 4],
    [0.5, 4],
    [0, Number.NaN],
    [0, 2 ** 53],
  ])('the range [%d, %d) of ten bytes is refused', (start, end) => {
    expect(() => sealedSpan({ start, end }, 10)).toThrow(RangeError);
  });

  test.each([
    [0, 1],
    [1, 1],
  ])('the range [%d, %d) of an empty message is refused', (start, end) => {
    expect(() => sealedSpan({ start, end }, 0)).toThrow(RangeError);
  });
});
