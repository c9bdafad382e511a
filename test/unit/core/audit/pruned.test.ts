import { describe, expect, test } from 'vitest';
import { createFaultList } from '../../../../src/core/audit/fault.ts';
import { createMissingBodies, yearsBefore } from '../../../../src/core/audit/pruned.ts';
import type { AuditEvent } from '../../../../src/core/events.ts';
import { fixedEvent } from '../../../support/audit-events.ts';

const at = (text: string): number => Date.parse(text);

describe('so many years before', () => {
  test.each([
    ['2031-06-15T12:30:00.123Z', 5, '2026-06-15T12:30:00.123Z'],
    ['2032-02-29T23:59:59.999Z', 5, '2027-02-28T23:59:59.999Z'],
    ['2032-02-29T00:00:00Z', 4, '2028-02-29T00:00:00Z'],
    ['2033-03-01T00:00:00Z', 5, '2028-03-01T00:00:00Z'],
    ['2031-01-01T00:00:00Z', 10, '2021-01-01T00:00:00Z'],
  ])('%s, %i years: %s', (when, years, before) => {
    expect(yearsBefore(at(when), years)).toBe(at(before));
  });
});

const NOW = at('2033-01-01T00:00:00Z');
const OLD = at('2026-01-01T00:00:00Z');
const told = (detail: object, differing: object = {}): AuditEvent =>
  fixedEvent('log.pruned', { at: NOW, detail, ...differing } as never);
const entry = (when: number): AuditEvent => fixedEvent('playback.opened', { at: when });

type Log = readonly (AuditEvent | 'absent' | 'bad')[];

const verdict = (log: Log, now: number | undefined = NOW) => {
  const bodies = createMissingBodies();
  log.forEach((event, seq) => {
    if (event === 'absent') bodies.absent(seq);
    else bodies.present(seq, event === 'bad' ? null : event);
  });
  const faults = createFaultList();
  const pruned = bodies.settle(faults, now);
  return { pruned, faults: faults.sorted().map(({ kind, index }) => [kind, index]) };
};

const gone = (count: number): Log => Array.from({ length: count }, () => 'absent' as const);

test('nothing missing, nothing said', () => {
  expect(verdict([entry(OLD), told({ from: 0, to: 1, floor: 5 })])).toEqual({ pruned: 0, faults: [] });
});

test('missing without a word: named by the first, once', () => {
  expect(verdict([entry(OLD), ...gone(3), entry(OLD), ...gone(1), entry(OLD)])).toEqual({
    pruned: 0,
    faults: [
      ['body', 1],
      ['body', 5],
    ],
  });
});

test('removed rightly: counted', () => {
  const log = [...gone(4), entry(OLD), told({ from: 0, to: 4, floor: 5 })];
  expect(verdict(log)).toEqual({ pruned: 4, faults: [] });
  expect(verdict(log, undefined)).toEqual({ pruned: 4, faults: [] });
});

test('told before it was done, or never done: no fault', () => {
  expect(verdict([...gone(2), entry(OLD), entry(OLD), told({ from: 0, to: 4, floor: 5 })])).toEqual({
    pruned: 2,
    faults: [],
  });
});

test('the newest word accounts for all that is gone, when the older ones are gone themselves', () => {
  expect(verdict([...gone(8), entry(OLD), told({ from: 0, to: 8, floor: 5 })]).pruned).toBe(8);
});

test('more is missing than was told of: the rest is missing', () => {
  expect(verdict([...gone(5), entry(OLD), told({ from: 0, to: 4, floor: 5 })])).toEqual({
    pruned: 4,
    faults: [['body', 4]],
  });
});

describe('too early', () => {
  const edge = yearsBefore(NOW, 5);
  test.each([
    ['at the very edge', edge, 5, []],
    ['one millisecond younger', edge + 1, 5, [['early_prune', 0]]],
    ['a floor below the law', OLD, 4, [['early_prune', 0]]],
    ['a floor of its own that is not reached', OLD, 8, [['early_prune', 0]]],
  ])('%s', (_, when, floor, faults) => {
    expect(verdict([...gone(2), entry(when), told({ from: 0, to: 2, floor })]).faults).toEqual(faults);
  });

  test('told by a clock that goes ahead', () => {
    const ahead = at('2099-01-01T00:00:00Z');
    const log = [
      ...gone(2),
      entry(at('2032-12-01T00:00:00Z')),
      told({ from: 0, to: 2, floor: 5 }, { at: ahead }),
    ];
    expect(verdict(log).faults).toEqual([['early_prune', 0]]);
  });

  test('nothing sound stands behind that says how old it was', () => {
    expect(verdict([...gone(2), 'bad', ...gone(1)]).faults).toEqual([
      ['body', 0],
      ['body', 3],
    ]);
  });

  test('what stands behind a body that is not the one committed to decides', () => {
    const young = at('2032-01-01T00:00:00Z');
    const log: Log = [...gone(2), 'bad', entry(young), told({ from: 0, to: 2, floor: 5 })];
    expect(verdict(log).faults).toEqual([['early_prune', 0]]);
  });
});

describe('words that count for nothing', () => {
  test.each([
    ['of what comes after them', told({ from: 0, to: 9, floor: 5 })],
    ['of another part', told({ from: 1, to: 2, floor: 5 })],
    ['that failed', told({ from: 0, to: 2, floor: 5 }, { outcome: 'failed' })],
    ['of another action', entry(NOW)],
  ])('%s', (_, event) => {
    expect(verdict([...gone(2), entry(OLD), event])).toEqual({ pruned: 0, faults: [['body', 0]] });
  });
});

test('a log full of holes is held in bounded memory, and none of them is excused beyond the bound', () => {
  const holes: Log = Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 'absent' : entry(OLD)));
  const { pruned, faults } = verdict([...holes, told({ from: 0, to: 20_000, floor: 5 })]);
  expect([pruned, faults]).toEqual([4096, [['body', 8192]]]);
});
