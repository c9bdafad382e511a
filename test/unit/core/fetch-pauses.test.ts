import { describe, expect, test } from 'vitest';
import { afterFetch, FETCH_PAUSES_MS, FETCHED_FOR_MS } from '../../../src/core/fetch-pauses.ts';
import { retryAfterSeconds } from '../../../src/core/retry-after.ts';

const attempt = { attempts: 1, noSuch: 0, ageMs: 0, retryAfterMs: 0, random: 0 };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('a recording that was not handed over', () => {
  test('is asked for again after half a minute, then ever more seldom, an hour at most, for seven days', () => {
    let [ageMs, attempts] = [0, 1];
    const pauses: number[] = [];
    for (;;) {
      const pause = afterFetch({ ...attempt, attempts, ageMs });
      if (pause === null) break;
      pauses.push(pause);
      ageMs += pause;
      attempts += 1;
    }
    expect(pauses.slice(0, FETCH_PAUSES_MS.length)).toEqual(FETCH_PAUSES_MS);
    expect(pauses[0]).toBe(30_000);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    expect(pauses.at(-1)).toBe(HOUR);
    expect(ageMs).toBeLessThanOrEqual(7 * DAY);
    expect(ageMs).toBeGreaterThan(7 * DAY - 2 * HOUR);
    expect(FETCHED_FOR_MS).toBe(7 * DAY);
  });

  test('is asked for a little earlier, never later', () => {
    expect(afterFetch({ ...attempt, random: 0.999_999 })).toBe(24_000);
    expect(afterFetch({ ...attempt, attempts: 500, random: 0.5 })).toBe(HOUR * 0.9);
  });

  test.each([
    [0, 30_000],
    [10_000, 30_000],
    [600_000, 600_000],
    [HOUR, HOUR],
    [DAY, HOUR],
    [Number.MAX_SAFE_INTEGER, HOUR],
  ])(
    'of a provider that wants to be left alone for %d ms is asked for after %d ms',
    (retryAfterMs, pause) => {
      expect(afterFetch({ ...attempt, retryAfterMs })).toBe(pause);
    },
  );

  test('and that the provider has not is given up at the eighth time in a row', () => {
    expect(afterFetch({ ...attempt, attempts: 90, noSuch: 7 })).not.toBeNull();
    expect(afterFetch({ ...attempt, attempts: 90, noSuch: 8 })).toBeNull();
  });
});

describe('Retry-After', () => {
  const now = Date.UTC(2026, 10, 22, 12, 0, 0);
  test.each<[string | undefined, number | null]>([
    ['0', 0],
    ['120', 120],
    [' 120 ', 120],
    ['3600', 3600],
    ['3601', 3600],
    ['999999999999999', 3600],
    ['9'.repeat(400), null],
    ['-5', null],
    ['1.5', null],
    ['1e3', null],
    ['0x10', null],
    ['', null],
    [undefined, null],
    ['Sun, 22 Nov 2026 12:01:00 GMT', 60],
    ['Sun, 22 Nov 2026 11:00:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 3600],
    ['Sun, 99 Nov 2026 12:01:00 GMT', null],
    ['tomorrow', null],
    ['2026-11-22T12:01:00Z', null],
  ])('%j is %j seconds', (text, seconds) => {
    expect(retryAfterSeconds(text, now, 3600)).toBe(seconds);
  });
});
