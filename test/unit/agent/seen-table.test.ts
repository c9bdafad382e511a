import { expect, test } from 'vitest';
import { createSeenTable } from '../../../src/agent/import/seen-table.ts';

test('a table of a hundred thousand keys finds each, and no other', () => {
  const table = createSeenTable();
  const key = (n: number): string => (n * 2_654_435_761).toString(16).padStart(16, '0').slice(-16);
  for (let n = 1; n <= 100_000; n += 1) table.set(key(n), n);
  for (let n = 1; n <= 100_000; n += 1) if (table.get(key(n)) !== n) throw new Error(`lost ${n}`);
  expect(table.get(key(100_001))).toBeNull();
  expect([table.isMarked(key(5)), table.mark(key(5)), table.isMarked(key(5)), table.size()]).toEqual([
    false,
    false,
    true,
    100_000,
  ]);
});
