import { expect, test } from 'vitest';
import {
  hasUnseen,
  mayHoldNumber,
  nameMayHoldNumber,
  noteMayHoldNumber,
  showableName,
} from '../../../src/core/number-like.ts';

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
  '070/174/06/05',
  '070,174,06,05',
  '070|174:06;05',
  '0701/2046/05',
  '+46/70/174/06/05',
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
  'IVO 3.4-12345/2026',
  'Dnr 0123/2026',
  'archive/2026/01/05/10/call.wav',
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
  '070,174,06,05',
  '070/174/06/05',
  '07:01:74:06:05',
  '07:01:14:06:05',
  '070|174|06|05',
  '0; 7; 0; 1; 7; 4; 0; 6; 0; 5',
  '070 * 174 = 06 + 05',
  '070 10:15 46',
  '10:15:30-10:45:10',
  '19121212/1212',
  '2012-12-12/1212',
  '2012-12-12/12/12',
  '2012/12/12 1212',
  '2012-12-12, 1 2 1 2',
  '12/12/2012-1212',
  '12/12 1912:1212',
  '0️⃣7️⃣0️⃣1️⃣7️⃣4️⃣',
])('a note %j may hold a number', (text) => {
  expect(noteMayHoldNumber(text)).toBe(true);
});

test.each([
  '',
  'caller rang 3 times, 45 minutes',
  'the call of 2026-01-05, twice',
  '112 or 1177',
  'room 12 on ward 34',
  'rang at 10:15',
  'rang at 10:15:30, again at 11:00',
  'between 10:15 and 10:45',
  'between 10:15-10:45',
  'the calls of 10:15, 10:45',
  'the call of 2026-01-05 10:15',
  'the call of 2026-01-05T10:15:30',
  'the call of 2026-01-05, 10:15-10:45',
  '2026-01-05, 2026-01-06 and 2026-01-07',
  '2026-01-05 – 2026-01-07, 3 calls',
  'the call of 5/1 2026',
  'the call of 05/01/2026 (10:15)',
  'the call of 5.1.2026, twice',
  'the call of 2026/01/05',
  'from 05/01-07/01',
  '24/7, all days; 1/2',
])('a note %j does not', (text) => {
  expect(noteMayHoldNumber(text)).toBe(false);
});

/** Zero-width ones, soft hyphen, marks of direction, an isolate, a tag, and what is invisible without being a format character. */
const UNSEEN = [
  '\u200b',
  '\u200c',
  '\u200d',
  '\u2060',
  '\u00ad',
  '\ufeff',
  '\u202e',
  '\u2066',
  '\u061c',
  '\u180e',
  '\u{e0031}',
];
const IGNORED = ['\ufe0f', '\u034f', '\u3164', '\u0336'];

test.each([...UNSEEN, ...IGNORED].map((mark) => [mark.codePointAt(0)?.toString(16), mark]))(
  'U+%s between digits hides nothing',
  (_, mark) => {
    const hidden = [...'0701740605'].join(mark);
    for (const text of [
      hidden,
      [...'070-174 06 05'].join(mark),
      [...'19121212-1212'].join(mark.repeat(20)),
    ]) {
      expect(noteMayHoldNumber(text)).toBe(true);
      expect(mayHoldNumber(text)).toBe(true);
      expect(nameMayHoldNumber(text)).toBe(true);
    }
    expect(noteMayHoldNumber([...'room 12 on ward 34'].join(mark))).toBe(false);
  },
);

test.each([...UNSEEN, '\0', '\x1b', '\x7f', '\x85'])('%j is not seen', (mark) => {
  expect(hasUnseen(`a${mark}b`)).toBe(true);
});

test('letters, marks upon them, signs and line ends are seen', () => {
  expect(hasUnseen('åäö, a\u0301, – “x” 3 °C\n\tرقم 😀')).toBe(false);
});

test('long hostile notes are read in no time to speak of', () => {
  for (const unit of [
    '0',
    '0 ',
    '0    ',
    '2026-',
    '(',
    '0((((',
    '10:',
    '10:15 ',
    '1/',
    '2026-01-05 ',
    '\u200b',
  ])
    expect(typeof noteMayHoldNumber(unit.repeat(100_000))).toBe('boolean');
});

test('long hostile texts are read in no time to speak of', () => {
  for (const unit of ['0', '0 ', '+', '+ ', '()', '0(', '5-', '/20', '0/2026', '\u200b'])
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
