import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWallClock, isTimeZone, isWallTime } from '../../../src/core/local-time.ts';

test('every moment of ten years is read back from the clock that showed it, but for the hour that happens twice', () => {
  for (const timeZone of [
    'Europe/Stockholm',
    'UTC',
    'Asia/Kolkata',
    'America/St_Johns',
    'Australia/Lord_Howe',
  ]) {
    const clock = createWallClock(timeZone);
    const shown = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(2010, 0) / 1000, max: Date.UTC(2020, 0) / 1000 }), (seconds) => {
        const at = seconds * 1000;
        const [year, month, day, hour, minute, second] = shown.format(at).split(/\D+/).map(Number) as [
          number,
          number,
          number,
          number,
          number,
          number,
        ];
        const wall = { year, month, day, hour, minute, second };
        return isWallTime(wall) && clock(wall, at) === at;
      }),
      { numRuns: 200 },
    );
  }
});

test.each([
  ['Europe/Stockholm', true],
  ['UTC', true],
  ['Mars/Olympus', false],
  ['', false],
  ['../etc', false],
  ['+01:00', false],
])('a time zone %s: %s', (name, is) => expect(isTimeZone(name)).toBe(is));
