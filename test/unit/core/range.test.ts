import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_PIECE_BYTES, parseRange, type RangeAnswer } from '../../../src/core/range.ts';

const etag = '"b7c1"';
const ask = (range: string | undefined, totalBytes = 1000, maxBytes?: number): RangeAnswer =>
  parseRange({ range }, { totalBytes, etag }, maxBytes);
const part = (start: number, end: number, total: number) => ({
  kind: 'partial',
  start,
  end,
  contentRange: `bytes ${start}-${end - 1}/${total}`,
});

describe('one satisfiable range', () => {
  test.each([
    ['bytes=0-0', part(0, 1, 1000)],
    ['bytes=0-1', part(0, 2, 1000)],
    ['bytes=0-999', part(0, 1000, 1000)],
    ['bytes=999-999', part(999, 1000, 1000)],
    ['bytes=10-', part(10, 1000, 1000)],
    ['bytes=10-5000', part(10, 1000, 1000)],
    ['bytes=-1', part(999, 1000, 1000)],
    ['bytes=-1000', part(0, 1000, 1000)],
    ['bytes=-1001', part(0, 1000, 1000)],
    ['bytes=000010-000011', part(10, 12, 1000)],
    ['BYTES=1-2', part(1, 3, 1000)],
    ['bytes= 1-2 ', part(1, 3, 1000)],
    ['bytes=,,1-2, ,', part(1, 3, 1000)],
    [`bytes=0-${'9'.repeat(200)}`, part(0, 1000, 1000)],
    [`bytes=-${'9'.repeat(200)}`, part(0, 1000, 1000)],
    ['bytes=0-9007199254740993', part(0, 1000, 1000)],
  ])('%s', (header, answer) => {
    expect(ask(header)).toEqual(answer);
  });
});

describe('answered with the whole', () => {
  test.each([
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=,',
    'bytes=a-b',
    'bytes=1-2-3',
    'bytes=2-1',
    'bytes=+1-2',
    'bytes=1.0-2',
    'bytes=0x1-0x2',
    'bytes=1 - 2',
    'bytes=--1',
    'bytes=１-２',
    'items=0-1',
    '=0-1',
    '0-1',
    'bytes=0-1,5-6',
    'bytes=0-1,-1',
    'bytes=0-1,oops',
  ])('%s', (header) => {
    expect(ask(header)).toEqual({ kind: 'full' });
  });

  test('headers of unreasonable length are not read', () => {
    expect(ask(`bytes=${'0'.repeat(300)}-1`)).toEqual({ kind: 'full' });
    expect(ask(`bytes=${'0-1,'.repeat(100_000)}`)).toEqual({ kind: 'full' });
  });

  test('a suffix of an empty recording, which no Content-Range could describe', () => {
    expect(ask('bytes=-5', 0)).toEqual({ kind: 'full' });
  });
});

describe('unsatisfiable', () => {
  test.each([
    ['bytes=1000-', 1000],
    ['bytes=1000-1001', 1000],
    [`bytes=${'9'.repeat(200)}-`, 1000],
    ['bytes=-0', 1000],
    ['bytes=0-', 0],
    ['bytes=0-0', 0],
    ['bytes=-0', 0],
  ])('%s of %i', (header, total) => {
    expect(ask(header, total)).toEqual({ kind: 'unsatisfiable', contentRange: `bytes */${total}` });
  });
});

describe('pieces', () => {
  test('a wider part is shortened at its end, whichever form it was asked in', () => {
    const total = 3 * MAX_PIECE_BYTES;
    expect(ask('bytes=0-', total)).toEqual(part(0, MAX_PIECE_BYTES, total));
    expect(ask('bytes=7-', total)).toEqual(part(7, MAX_PIECE_BYTES + 7, total));
    expect(ask(`bytes=-${2 * MAX_PIECE_BYTES}`, total)).toEqual(
      part(MAX_PIECE_BYTES, 2 * MAX_PIECE_BYTES, total),
    );
  });

  test('a part of exactly the cap is left whole', () => {
    expect(ask('bytes=5-14', 1000, 10)).toEqual(part(5, 15, 1000));
    expect(ask('bytes=5-15', 1000, 10)).toEqual(part(5, 15, 1000));
  });
});

describe('If-Range', () => {
  const lastModified = new Date('2026-03-01T12:00:00Z');
  const kind = (ifRange: string, tag = etag, modified: Date | undefined = lastModified) =>
    parseRange(
      { range: 'bytes=0-1', ifRange },
      { totalBytes: 10, etag: tag, ...(modified === undefined ? {} : { lastModified: modified }) },
    ).kind;

  test('the same strong tag or the very date that was sent keeps the range', () => {
    expect(kind(etag)).toBe('partial');
    expect(kind('Sun, 01 Mar 2026 12:00:00 GMT')).toBe('partial');
  });

  test.each([
    '"other"',
    'b7c1',
    'W/"b7c1"',
    '',
    'Sun, 01 Mar 2026 12:00:01 GMT',
    'Sun, 01 Mar 2026 11:59:59 GMT',
    'Sunday, 01-Mar-26 12:00:00 GMT',
    '2026-03-01T12:00:00Z',
  ])('%s gives the whole', (ifRange) => {
    expect(kind(ifRange)).toBe('full');
  });

  test('a weak tag of our own never matches strongly, and without Last-Modified no date does', () => {
    expect(kind('W/"a"', 'W/"a"')).toBe('full');
    expect(
      parseRange({ range: 'bytes=0-1', ifRange: lastModified.toUTCString() }, { totalBytes: 10, etag }).kind,
    ).toBe('full');
  });

  test('a changed recording outweighs an unsatisfiable range', () => {
    expect(parseRange({ range: 'bytes=99-', ifRange: '"old"' }, { totalBytes: 10, etag })).toEqual({
      kind: 'full',
    });
  });
});

describe('properties', () => {
  const total = fc.integer({ min: 0, max: 2 ** 40 });

  test('every header whatsoever is answered within the representation and the cap', () => {
    const noise = fc.stringMatching(/^bytes=[-,0-9 a]{0,30}$/);
    fc.assert(
      fc.property(
        fc.oneof(noise, fc.string()),
        total,
        fc.integer({ min: 1, max: 1000 }),
        (header, bytes, cap) => {
          const answer = ask(header, bytes, cap);
          if (answer.kind !== 'partial') return;
          expect(answer.start).toBeGreaterThanOrEqual(0);
          expect(answer.end).toBeGreaterThan(answer.start);
          expect(answer.end).toBeLessThanOrEqual(bytes);
          expect(answer.end - answer.start).toBeLessThanOrEqual(cap);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('asking on where the last part ended reads every byte once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 50, max: 700 }), (bytes, cap) => {
        let next = 0;
        for (let answer = ask('bytes=0-', bytes, cap); answer.kind === 'partial'; ) {
          expect(answer.start).toBe(next);
          next = answer.end;
          answer = ask(`bytes=${next}-`, bytes, cap);
        }
        expect(next).toBe(bytes);
      }),
    );
  });

  test('a range inside the representation and the cap comes back as asked', () => {
    fc.assert(
      fc.property(total, fc.nat(), fc.integer({ min: 0, max: 1000 }), (bytes, first, length) => {
        fc.pre(first + length < bytes);
        expect(ask(`bytes=${first}-${first + length}`, bytes)).toEqual(
          part(first, first + length + 1, bytes),
        );
      }),
    );
  });
});
