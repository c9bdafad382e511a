import { expect, test } from 'vitest';
import { createPackedList } from '../../../src/agent/import/packed-list.ts';

test('what was put in comes out, in order, also what fills several pieces and what fills more than one', () => {
  const list = createPackedList<{ readonly n: number; readonly text: string }>();
  const item = (n: number) => ({
    n,
    text: n === 5 ? 'x'.repeat(3_000_000) : `line ${n}\n"ö" \xff${'y'.repeat(n % 300)}`,
  });
  for (let n = 0; n < 20_000; n += 1) list.add(item(n));
  let n = 0;
  for (const one of list.items()) {
    if (JSON.stringify(one) !== JSON.stringify(item(n))) throw new Error(`another one at ${n}`);
    n += 1;
  }
  expect(n).toBe(20_000);
});

test('an empty one has nothing', () => {
  expect([...createPackedList().items()]).toEqual([]);
});
