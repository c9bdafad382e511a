import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalPhone } from '../../../src/core/phone.ts';

const MOBILE = '+46701740605';

describe('spellings of one number', () => {
  test.each([
    '0701740605',
    '070-174 06 05',
    '+46 70 174 06 05',
    '0046701740605',
    '46701740605',
    '+46(0)701740605',
    '+460701740605',
    '  +46701740605  ',
    'tel:+46701740605',
    'tel:0701740605;phone-context=+46',
    'sip:+46701740605@trunk.example.se',
    'SIPS:%2B46701740605@10.0.0.1:5061;transport=tls?Subject=x',
    '"Anna A" <sip:+46701740605@trunk.example.se;user=phone>;tag=1c2',
    '<tel:+46701740605>',
    '0701740605@10.0.0.1',
    'sip:0701740605;ext=12@host',
    'sip:0701740605:secret@host',
    '０７０１７４０６０５',
    '٠٧٠١٧٤٠٦٠٥',
  ])('%s', (raw) => {
    expect(canonicalPhone(raw)).toEqual({ raw, kind: 'e164', canonical: MOBILE });
  });

  test.each([
    ['08-465 004 01', '+46846500401'],
    ['020-123456', '+4620123456'],
    ['+1 202 555 0143', '+12025550143'],
    ['00 47 22 12 34 56', '+4722123456'],
  ])('%s', (raw, canonical) => {
    expect(canonicalPhone(raw).canonical).toBe(canonical);
  });
});

describe('never indexed', () => {
  test.each([
    '',
    '   ',
    '-',
    '?',
    '+',
    '0',
    '0000000000',
    'anonymous',
    'Anonymous',
    'ANONYM',
    'unknown',
    'Okänt',
    'okänd',
    'Oka\u0308nt nummer',
    'Withheld',
    'private number',
    'Privat',
    'Dolt nummer',
    'Skyddat nummer',
    'Restricted',
    'UNAVAILABLE',
    'not available',
    'n/a',
    '<unknown>',
    's',
    'null',
    '"Anonymous" <sip:anonymous@anonymous.invalid>',
    'sip:c8oqz84zk7z@anonymous.invalid;tag=hyh8',
    'sip:anonymous@trunk.example.se',
    'sip:@trunk.example.se',
  ])('withheld: %j', (raw) => {
    expect(canonicalPhone(raw)).toEqual({ raw, kind: 'withheld', canonical: null });
  });

  test.each(['112', '1177', '116 117', '90510', '4321', '*31#', '01', 'sip:4321@pbx.example.se', '1'])(
    'short: %s',
    (raw) => {
      expect(canonicalPhone(raw)).toEqual({ raw, kind: 'short', canonical: null });
    },
  );

  test.each([
    'anna.andersson@clinic.example',
    'sip:anna@clinic.example',
    '+46',
    '+4670',
    '123456789012345678901',
    'call 0701740605 now',
    '0701740605 or 0701740606',
    '%zz0701740605',
    '*31#0701740605',
    '0000 174 06 05',
    '004600- 174 06 05',
    'Unknown 5',
    `0701740605${' '.repeat(300)}`,
  ])('other: %.40s', (raw) => {
    expect(canonicalPhone(raw)).toEqual({ raw, kind: 'other', canonical: null });
  });
});

describe('properties', () => {
  test('any text is read without an error; what is indexed is E.164 and stands for itself', () => {
    const parts = fc.constantFrom(
      'sip:',
      'tel:',
      '<',
      '>',
      '"',
      '@',
      ';',
      '%2B',
      '%',
      '+',
      '00',
      '46',
      '070',
      '174 06 05',
      ' ',
      '-',
      '(0)',
      'anonymous',
    );
    const texts = fc.oneof(
      fc.string({ maxLength: 300, unit: 'binary' }),
      fc.array(parts, { maxLength: 12 }).map((found) => found.join('')),
    );
    fc.assert(
      fc.property(texts, (raw) => {
        const number = canonicalPhone(raw);
        expect(number.raw).toBe(raw);
        expect(number.canonical === null).toBe(number.kind !== 'e164');
        if (number.canonical === null) return;
        expect(number.canonical).toMatch(/^\+[1-9]\d{6,14}$/);
        expect(canonicalPhone(number.canonical).canonical).toBe(number.canonical);
      }),
      { numRuns: 3000 },
    );
  });
});
