import { expect, test } from 'vitest';
import { isUuid } from '../../../src/core/ids.ts';
import { newEventId } from '../../../src/services/new-event-id.ts';

test('is laid out as in RFC 9562, with the time in front', () => {
  // The time of the example in its appendix A.6.
  const id = newEventId(0x017f22e279b0);
  expect(id).toMatch(/^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(isUuid(id)).toBe(true);
});

test('later ids sort behind earlier ones, as text and as bytes', () => {
  const times = [0, 1, 255, 256, 0xffffffff, 0x100000000, 1_763_719_200_000, 0xffffffffffff];
  const ids = times.map(newEventId);
  expect(ids.toSorted()).toEqual(ids);
  expect(ids.every(isUuid)).toBe(true);
});

test('of one millisecond no two are alike', () => {
  expect(new Set(Array.from({ length: 10_000 }, () => newEventId(1_763_719_200_000))).size).toBe(10_000);
});

test('a clock before 1970 or between milliseconds still gives an id', () => {
  expect(isUuid(newEventId(-5))).toBe(true);
  expect(isUuid(newEventId(1_763_719_200_000.75))).toBe(true);
});
