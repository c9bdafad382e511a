import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createHeadReport } from '../../../src/audit/head-report.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const reporting = () => {
  const sizes: number[] = [];
  const log = {
    info: (fields: object) => sizes.push((fields as { size: number }).size),
    warn() {},
    error() {},
  };
  const report = createHeadReport(log, 10_000);
  return {
    sizes,
    report,
    note: (size: number) => {
      report.note(() => ({ size, root: '' }));
    },
  };
};

test('a head is reported within the interval, the newest of those that came meanwhile', () => {
  const { sizes, note } = reporting();
  note(1);
  vi.advanceTimersByTime(9_000);
  note(2);
  expect(sizes).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(sizes).toEqual([2]);
});

test('a log that does not grow is not reported again', () => {
  const { sizes, note } = reporting();
  note(1);
  vi.advanceTimersByTime(60_000);
  note(2);
  vi.advanceTimersByTime(60_000);
  expect(sizes).toEqual([1, 2]);
});

test('under constant growth one report per interval', () => {
  const { sizes, note } = reporting();
  for (let size = 1; size <= 100; size += 1) {
    note(size);
    vi.advanceTimersByTime(1_000);
  }
  expect(sizes).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
});

test('what is left is reported at the end, once', () => {
  const { sizes, note, report } = reporting();
  note(7);
  report.flush();
  report.flush();
  vi.advanceTimersByTime(60_000);
  expect(sizes).toEqual([7]);
});
