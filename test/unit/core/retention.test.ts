import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  eraseAfter,
  isRetentionClass,
  mayErase,
  parsePolicies,
  type RetentionClass,
  retentionClasses,
  retentionRules,
} from '../../../src/core/retention.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 21);
const ask = (over: Partial<Parameters<typeof mayErase>[0]> = {}) =>
  mayErase({
    retentionClass: 'quality',
    holdCount: 0,
    eraseAfter: NOW + DAY,
    now: NOW,
    decisionReference: null,
    ...over,
  });

describe('PDL-8: a journal document is destroyed only on a decision', () => {
  test('without its reference never, not even when ten years are over', () => {
    expect(ask({ retentionClass: 'journal' })).toMatchObject({ allowed: false, code: 'retention_floor' });
    expect(ask({ retentionClass: 'journal', eraseAfter: 0 })).toMatchObject({
      allowed: false,
      code: 'retention_floor',
    });
    expect(ask({ retentionClass: 'journal', decisionReference: ' \t' })).toMatchObject({ allowed: false });
  });

  test('with it at once', () => {
    expect(ask({ retentionClass: 'journal', decisionReference: 'IVO 3.4-12345/2026' })).toEqual({
      allowed: true,
    });
  });

  test('a class that this version does not know is treated as the strictest', () => {
    expect(ask({ retentionClass: 'archive' as RetentionClass, eraseAfter: 0 })).toMatchObject({
      allowed: false,
      code: 'retention_floor',
    });
  });
});

test('a hold wins over class, age and decision', () => {
  for (const retentionClass of retentionClasses) {
    for (const holdCount of [1, 2, -1, Number.NaN]) {
      expect(
        ask({ retentionClass, holdCount, eraseAfter: 0, decisionReference: 'IVO 1/2026' }),
      ).toMatchObject({ allowed: false, code: 'held' });
    }
  }
});

test('quality recordings may be erased at any time, complaints when due or on a decision', () => {
  expect(ask()).toEqual({ allowed: true });
  expect(ask({ retentionClass: 'complaint' })).toMatchObject({ allowed: false, code: 'retention_floor' });
  expect(ask({ retentionClass: 'complaint', eraseAfter: null })).toMatchObject({ allowed: false });
  expect(ask({ retentionClass: 'complaint', eraseAfter: NOW })).toEqual({ allowed: true });
  expect(ask({ retentionClass: 'complaint', decisionReference: 'Dnr 12' })).toEqual({ allowed: true });
});

describe('policies', () => {
  test('defaults where nothing, or nothing readable, was decided', () => {
    const defaults = { journal: 3653, quality: 90, complaint: 730 };
    for (const stored of [
      {},
      null,
      undefined,
      'x',
      [],
      { quality: '30' },
      { quality: 1.5 },
      { quality: Number.NaN },
      { quality: null },
    ]) {
      expect(parsePolicies(stored)).toEqual(defaults);
    }
    expect(parsePolicies(Object.create({ quality: 7 }))).toEqual(defaults);
  });

  test('an organisation’s own days, never below the floor or above the ceiling', () => {
    expect(parsePolicies({ quality: 30, complaint: 1095, journal: 7305, other: 1 })).toEqual({
      quality: 30,
      complaint: 1095,
      journal: 7305,
    });
    expect(parsePolicies({ quality: 0, complaint: 1, journal: 90 })).toEqual({
      quality: 1,
      complaint: 30,
      journal: 3653,
    });
    expect(parsePolicies({ quality: 1e9, complaint: 1e9, journal: 1e9 })).toEqual({
      quality: 3653,
      complaint: 36_525,
      journal: 36_525,
    });
  });
});

test('due so many days after the call; a journal not before ten calendar years', () => {
  const from = Date.UTC(2024, 1, 29, 8);
  expect(eraseAfter({ retentionClass: 'quality', from, policies: parsePolicies({ quality: 30 }) })).toBe(
    from + 30 * DAY,
  );
  fc.assert(
    fc.property(
      fc.date({ min: new Date(0), max: new Date('2190-01-01'), noInvalidDate: true }),
      fc.anything(),
      (date, stored) => {
        const due = eraseAfter({
          retentionClass: 'journal',
          from: date.getTime(),
          policies: parsePolicies(stored),
        });
        const tenYearsOn = new Date(date);
        tenYearsOn.setUTCFullYear(date.getUTCFullYear() + 10);
        expect(due).toBeGreaterThanOrEqual(tenYearsOn.getTime());
      },
    ),
  );
});

test('the rules are ordered and the words closed', () => {
  for (const name of retentionClasses) {
    const { days, floor, ceiling } = retentionRules[name];
    expect(floor).toBeLessThanOrEqual(days);
    expect(days).toBeLessThanOrEqual(ceiling);
    expect(isRetentionClass(name)).toBe(true);
  }
  for (const other of ['Journal', '', 'toString', null, 1]) expect(isRetentionClass(other)).toBe(false);
});
