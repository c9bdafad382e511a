import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalPersonalNumber } from '../../../src/core/personal-number.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const read = (raw: string, now = NOW) => canonicalPersonalNumber(raw, now);

// Numbers of nobody: test numbers published by the Swedish Tax Agency, and others with the serials of its test numbers.
describe('spellings', () => {
  test.each([
    ['201212121212', '201212121212'],
    ['20121212-1212', '201212121212'],
    ['121212-1212', '201212121212'],
    ['1212121212', '201212121212'],
    ['121212+1212', '191212121212'],
    ['19121212+1212', '191212121212'],
    ['191212121212', '191212121212'],
    ['  19121212 1212 ', '191212121212'],
    ['18900101-9802', '189001019802'],
    ['20170101-2393', '201701012393'],
  ])('%s', (raw, canonical) => {
    expect(read(raw)).toEqual({ canonical });
  });
});

/** Appends the check digit: digits weighted 2, 1, 2 …, their digit sums to the next ten. */
const withCheckDigit = (nine: string): string => {
  const sum = [...nine].reduce((total, digit, i) => {
    const weighted = Number(digit) * (i % 2 === 0 ? 2 : 1);
    return total + (weighted > 9 ? weighted - 9 : weighted);
  }, 0);
  return nine + ((10 - (sum % 10)) % 10);
};

describe('coordination numbers', () => {
  test('the day is raised by sixty', () => {
    const ten = withCheckDigit('810168981');
    expect(read(ten)).toEqual({ canonical: `19${ten}` });
    expect(read(`19${ten}`)).toEqual({ canonical: `19${ten}` });
  });

  test('no day beyond the calendar', () => {
    for (const date of ['810192', '810160', '810100', '810132', '810230', '811301', '810001']) {
      expect(read(withCheckDigit(`${date}981`))).toHaveProperty('fault');
    }
  });
});

describe('centuries', () => {
  test('ten digits are of the last hundred years, to the day', () => {
    const today = withCheckDigit('261121239');
    const tomorrow = withCheckDigit('261122239');
    expect(read(today)).toEqual({ canonical: `20${today}` });
    expect(read(tomorrow)).toEqual({ canonical: `19${tomorrow}` });
    expect(read(`${tomorrow.slice(0, 6)}+${tomorrow.slice(6)}`)).toEqual({ canonical: `18${tomorrow}` });
    expect(read(today, Date.UTC(2026, 10, 20))).toEqual({ canonical: `19${today}` });
  });

  test('a coordination number is compared by its real day', () => {
    const ten = withCheckDigit('261180239');
    expect(read(ten)).toEqual({ canonical: `20${ten}` });
  });

  test('nobody is born tomorrow', () => {
    expect(read(`20${withCheckDigit('261122239')}`)).toEqual({
      fault: 'is no personal identity number: its date lies in the future',
    });
  });
});

describe('refused', () => {
  test.each([
    '',
    '1',
    '12121212',
    '19121212-121',
    '19121212-12123',
    '19121212--1212',
    '19-121212-1212',
    'TF121212-1212',
    '121212-T123',
    'x'.repeat(100_000),
  ])('by its shape: %.20s', (raw) => {
    expect(read(raw)).toEqual({
      fault: 'is not written as a personal identity number: 10 or 12 digits, with or without - or +',
    });
  });

  test.each(['191212121213', '191213121212', '19121212-0000', '000000-0000'])(
    'by its date or check digit: %s',
    (raw) => {
      expect(read(raw)).toEqual({
        fault: 'is no personal identity number: its date or its check digit is wrong',
      });
    },
  );

  test('never with the number in the fault', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[-+ 0-9]{0,14}$/), (raw) => {
        const result = read(raw);
        if ('canonical' in result) expect(result.canonical).toMatch(/^\d{12}$/);
        else expect(result.fault).not.toMatch(/\d{3}/);
      }),
      { numRuns: 2000 },
    );
  });
});
