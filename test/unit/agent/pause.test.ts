import { expect, test } from 'vitest';
import { pause, pauseAfter } from '../../../src/agent/pause.ts';

const limits = (random: number) => ({ firstMs: 1_000, ceilingMs: 60_000, random: () => random });

test('pauses double up to the ceiling, and no two agents need come back together', () => {
  expect([1, 2, 3, 6, 7, 8, 5_000].map((n) => pauseAfter(n, null, limits(1)))).toEqual([
    1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000,
  ]);
  expect(pauseAfter(3, null, limits(0))).toBe(2_000);
});

test('what the vault asks for lengthens a pause, never shortens it, and cannot stop an agent for good', () => {
  expect(pauseAfter(1, 30, limits(0))).toBe(30_000);
  expect(pauseAfter(1, 30, limits(1))).toBe(31_000);
  expect(pauseAfter(9, 1, limits(1))).toBe(60_000);
  for (const asked of [1e15, Number.MAX_SAFE_INTEGER])
    expect(pauseAfter(1, asked, limits(0))).toBe(3_600_000);
});

test('a pause ends when it is told, also when it was told before', async () => {
  const told = new AbortController();
  const long = pause(1_000_000, told.signal);
  told.abort();
  await long;
  await pause(1_000_000, told.signal);
});
