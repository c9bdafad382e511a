import { expect, test } from 'vitest';
import { mayHoldNumber, showableName } from '../../../src/core/number-like.ts';

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
