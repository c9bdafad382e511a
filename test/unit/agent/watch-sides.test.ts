import { expect, test } from 'vitest';
import type { WatchEvent } from '../../../src/agent/watch-options.ts';
import { createSideWatch } from '../../../src/agent/watch-sides.ts';

const LATE = 600_000;
const sidesOf = () => {
  const events: WatchEvent[] = [];
  const sides = createSideWatch((event) => events.push(event), LATE);
  return {
    events,
    counts: sides.counts,
    look(
      now: number,
      waiting: readonly string[],
      alone: readonly string[],
      once = false,
      changedMs = Date.now(),
    ) {
      sides.begin();
      for (const key of waiting) sides.waits(key, now, once);
      sides.end(
        alone.map((key) => ({ key, changedMs })),
        now,
        once,
      );
    },
  };
};

test('what waits is counted at once, and said when it has waited for long, once', () => {
  const { events, counts, look } = sidesOf();
  look(0, ['a'], ['x.json']);
  expect(counts()).toEqual({ withoutSide: 1, sidesAlone: 1 });
  look(LATE - 1, ['a', 'b'], ['x.json']);
  expect(events).toEqual([]);
  look(LATE, ['a', 'b'], ['x.json']);
  expect(events).toEqual([
    { event: 'missing', what: 'side_file', files: 1 },
    { event: 'missing', what: 'recording', files: 1 },
  ]);
  look(LATE + 1, ['a', 'b'], ['x.json']);
  expect(events).toHaveLength(2);
});

test('more of them are said again; fewer are not, and one that comes after the others went is', () => {
  const { events, look } = sidesOf();
  look(0, ['a', 'b'], []);
  look(LATE, ['a', 'b'], []);
  look(LATE + 1, ['a'], []);
  expect(events).toEqual([{ event: 'missing', what: 'side_file', files: 2 }]);
  look(LATE + 2, ['a', 'c'], []);
  look(2 * LATE + 2, ['a', 'c'], []);
  expect(events.at(-1)).toEqual({ event: 'missing', what: 'side_file', files: 2 });
  expect(events).toHaveLength(2);
});

test('one that came, and is named so again much later, has not waited meanwhile', () => {
  const { events, look } = sidesOf();
  look(0, ['a'], []);
  look(1, [], []);
  look(LATE, ['a'], []);
  expect(events).toEqual([]);
});

test('an agent that ends at once: recordings are said, side files when they are old', () => {
  const { events, look } = sidesOf();
  look(0, ['a'], ['young.json'], true);
  expect(events).toEqual([{ event: 'missing', what: 'side_file', files: 1 }]);
  look(1, ['a'], ['old.json'], true, Date.now() - LATE);
  expect(events.at(-1)).toEqual({ event: 'missing', what: 'recording', files: 1 });
});
