import { expect, test } from 'vitest';
import { passwordFault } from '../../../src/core/password-rules.ts';

const anna = ['anna.svensson@region.example', 'Anna Svensson'];

test.each(['kort', 'elva tecken', 'å'.repeat(11), 'aaaaaaaaaaaaaaaa', 'abcabcabcabcabc', 'x'.repeat(201)])(
  '%j is refused',
  (password) => {
    expect(passwordFault(password, anna)).not.toBeNull();
  },
);

test.each([
  'annasvensson',
  'Anna Svensson',
  'svensson-region',
  'Callvault2026',
  'passwordpassword',
  'Lösenord2026',
])('%j says who one is, or what everybody tries', (password) => {
  expect(passwordFault(password, anna)).toMatch(/name|everybody|repeats/);
});

test.each([
  'en helt vanlig mening',
  'correct horse battery staple',
  'åäöÅÄÖ123456',
  'anna äter gröt på fredag',
])('%j is long enough to be good', (password) => {
  expect(passwordFault(password, anna)).toBeNull();
});

test('a character outside the basic plane counts as one', () => {
  expect(passwordFault('🦊🐻🐼🐨🐯🦁', anna)).toMatch(/at least/);
});
