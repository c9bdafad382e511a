import { expect, test } from 'vitest';
import { mayHoldNumber, noteMayHoldNumber, showableName } from '../../../src/core/number-like.ts';

test.each([
  '0701740605',
  'call_0701740605.wav',
  '123456',
  'a123456b',
  '070-174 06 05',
  '070.174.06.05',
  '+46 (70) 174-06-05',
  '+46-8-465-004-01',
  '08-465 00 40',
  '１２３４５６',
  '٠٧٠١٧٤',
  '⁰⁷⁰¹⁷⁴',
  '19121212-1212',
])('%s may hold a number', (text) => {
  expect(mayHoldNumber(text)).toBe(true);
});

test.each([
  '',
  'call.wav',
  'demo-12345.wav',
  '2026-01-05-10-30-59.wav',
  '12345-67890',
  '10.0.0.1',
  'v1.2.3',
  '1177',
  'a0b1c2d3e4f5a6',
])('%s does not', (text) => {
  expect(mayHoldNumber(text)).toBe(false);
});

test.each([
  'ring 46 70 99 98 877',
  '1912-12-12-1212',
  'call back (070) 174.06.05',
  'asked for 12 – 34 – 56',
  '0701740605',
  '１２３ ４５６',
])('a note %j may hold a number', (text) => {
  expect(noteMayHoldNumber(text)).toBe(true);
});

test.each([
  '',
  'caller rang 3 times, 45 minutes',
  'the call of 2026-01-05, twice',
  '112 or 1177',
  'room 12 on ward 34',
])('a note %j does not', (text) => {
  expect(noteMayHoldNumber(text)).toBe(false);
});

test('long hostile notes are read in no time to speak of', () => {
  for (const unit of ['0', '0 ', '0    ', '2026-', '(', '0(((('])
    expect(typeof noteMayHoldNumber(unit.repeat(100_000))).toBe('boolean');
});

test('long hostile texts are read in no time to speak of', () => {
  for (const unit of ['0', '0 ', '+', '+ ', '()', '0(', '5-'])
    expect(typeof mayHoldNumber(unit.repeat(100_000))).toBe('boolean');
});

test('names are shown only when they are plain and hold no number', () => {
  expect(showableName('callerNo')).toBe('callerNo');
  expect(showableName('x-call-foo_1')).toBe('x-call-foo_1');
  for (const name of [
    '',
    '_a',
    '__proto__',
    '1a',
    'a b',
    'a.b',
    'å',
    'n0701740605',
    'a123456',
    'a'.repeat(42),
    'a\n',
  ]) {
    expect(showableName(name)).toBeNull();
  }
});
