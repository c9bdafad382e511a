import { describe, expect, test } from 'vitest';
import { callTold, createCopies } from '../../../src/agent/import/copies.ts';
import { createLegacyNames } from '../../../src/core/legacy-names.ts';

const NOW = Date.UTC(2026, 0, 1);
const parse = createLegacyNames({ timeZone: 'UTC', now: () => NOW });
const told = (name: string, side: Record<string, string> | null = null) => callTold(parse(name), side, NOW);
const SHA = 'ab'.repeat(32);

const meetAll = (...names: (string | [string, Record<string, string>])[]) => {
  const copies = createCopies();
  return names.map((one) => copies.meet(SHA, typeof one === 'string' ? told(one) : told(...one)));
};

describe('the same bytes under names that tell of another call', () => {
  test.each([
    ['time', '0701740605_20150101_1015.wav', '0701740605_20150101_1016.wav', ['time']],
    ['time and id', '1420107300.123.wav', '1420107360.124.wav', ['time', 'callId']],
    ['caller', '0701740605_20150101_1015.wav', '0701740606_20150101_1015.wav', ['caller']],
    [
      'everything',
      'external-102-0701740605-20150101-101500-1420107300.1.wav',
      'external-103-0701740606-20150102-101500-1420193700.2.wav',
      ['time', 'callId', 'caller', 'called'],
    ],
    ['day and a time on another', '0701740605_20150101.wav', '0701740605_20150102_0300.wav', ['time']],
  ])('%s', (_, first, second, differs) => {
    expect(meetAll(first, second)).toEqual([null, differs]);
    expect(meetAll(second, first)).toEqual([null, differs]);
  });

  test.each([
    ['a copy that says nothing', '0701740605_20150101_1015.wav', 'copy of it.wav'],
    ['the same in another folder', 'a/0701740605_20150101_1015.wav', 'b/0701740605_20150101_1015.wav'],
    ['the same number, written otherwise', '0701740605_20150101_1015.wav', '+46701740605_20150101_1015.wav'],
    ['the day of the same time', '0701740605_20150101.wav', '0701740605_20150101_2359.wav'],
    ['withheld', '20150101_1015.wav', 'q-600-anonymous-20150101-101500-1420107300.1.wav'],
  ])('the same call: %s', (_, first, second) => {
    expect(meetAll(first, second)).toEqual([null, []]);
    expect(meetAll(second, first)).toEqual([null, []]);
  });

  test('a first that says nothing hides nothing: the third is told from the second', () => {
    const names = ['copy.wav', '0701740605_20150101_1015.wav', '0701740606_20150101_1015.wav'];
    expect(meetAll(...names)).toEqual([null, [], ['caller']]);
  });

  test('a side file counts, and not the name; as another segment it is another recording', () => {
    const side = { callId: 'x', startedAt: '2015-01-01T10:15:00.000Z', callerNumber: '0701740606' };
    const name = '0701740605_20150101_1015.wav';
    expect(meetAll(name, [name, side])).toEqual([null, ['caller']]);
    expect(meetAll([name, side], [name, { ...side, callId: 'y' }])).toEqual([null, ['callId']]);
    expect(meetAll([name, side], [name, { ...side, callId: 'y', segment: '2' }])).toEqual([null, null]);
    expect(meetAll(name, [name, { startedAt: 'never', callerNumber: 'x'.repeat(5_000) }])).toEqual([
      null,
      ['caller'],
    ]);
  });

  test('of ten thousand contents each is known again', () => {
    const copies = createCopies();
    const shaOf = (n: number): string => (n * 2_654_435_761).toString(16).padStart(16, '0');
    for (let n = 1; n <= 10_000; n += 1)
      expect(copies.meet(shaOf(n), told(`${1_420_107_300 + n}.${n}.wav`))).toBeNull();
    for (let n = 1; n <= 10_000; n += 1)
      expect(copies.meet(shaOf(n), told(`${1_420_107_300 + n}.${n}.wav`))).toEqual([]);
  });
});
