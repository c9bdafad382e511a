import { describe, expect, test } from 'vitest';
import { canonicalEmail, canonicalName } from '../../../src/core/names.ts';

describe('an e-mail address', () => {
  test.each([
    ['Anna.Svensson@Region.Example', 'anna.svensson@region.example'],
    ['  a@b.se ', 'a@b.se'],
    ['a\u030asa@vård.example', 'åsa@vård.example'],
  ])('%s has one spelling', (typed, canonical) => {
    expect(canonicalEmail(typed)).toBe(canonical);
  });

  test.each([
    '',
    'anna',
    'anna@',
    '@b.se',
    'a@b',
    'a b@c.se',
    'a@b@c.se',
    'a@b.se\u0000',
    'a\u202e@b.se',
    `${'a'.repeat(65)}@b.se`,
    `a@${'b'.repeat(400)}.se`,
  ])('%j is none', (typed) => {
    expect(canonicalEmail(typed)).toBeNull();
  });
});

describe('a name', () => {
  test('has one spelling: composed, single spaces, none at the ends', () => {
    expect(canonicalName('  Va\u030ardcentralen\t\n Norr ')).toBe('Vårdcentralen Norr');
  });

  test.each(['', '   ', 'a\u0000b', 'a\u202eb', 'x'.repeat(201)])('%j is none', (typed) => {
    expect(canonicalName(typed)).toBeNull();
  });
});
