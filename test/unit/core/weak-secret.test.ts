import { expect, test } from 'vitest';
import { weakness } from '../../../src/core/weak-secret.ts';

test.each(['', 'a', 'x7Qp!2kd', '12345678901'])('"%s" is too short', (secret) => {
  expect(weakness(secret)).toMatch(/shorter/);
});

test.each([
  'passwordpassword',
  'Password12345678',
  'postgrespostgres',
  'callvault-callvault',
  'minioadmin-minioadmin',
  'change-me-change-me',
  'aaaaaaaaaaaaaaaaaaaaaaaa',
  'abababababababab',
  '000000000000000000',
  'adminadmin123123',
  '123456789012',
  'qwertyuiop12',
  '0987654321-lkjhgfdsa',
  '1qaz2wsx3edc4rfv',
])('"%s" would be guessed', (secret) => {
  expect(weakness(secret)).toMatch(/well-known/);
});

test.each(['9f2c41d07be35a68', 'correct horse battery staple', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCY'])(
  '"%s" will do',
  (secret) => {
    expect(weakness(secret)).toBeNull();
  },
);

test('the longest secret there may be is judged in no time to speak of', () => {
  for (const unit of ['!', '\0', '1234', 'a', 'wq'])
    expect(weakness(unit.repeat(4096).slice(0, 4096))).toMatch(/well-known/);
});
