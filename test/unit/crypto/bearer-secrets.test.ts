import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { bearerSecretHash, newBearerSecret, sameHash } from '../../../src/crypto/bearer-secrets.ts';

const kinds = ['key', 'secret', 'refresh'] as const;

test.each(kinds)('a new %s carries 256 bits, a prefix and a checksum, and is found by its hash', (kind) => {
  const { text, hash } = newBearerSecret(kind);
  expect(text).toMatch(/^cv_(key|sec|ref)_[A-Za-z0-9_-]{47}$/);
  expect(hash).toEqual(createHash('sha256').update(text).digest());
  expect(bearerSecretHash(text, kind)).toEqual(hash);
  for (const other of kinds) if (other !== kind) expect(bearerSecretHash(text, other)).toBeNull();
});

test('no two are alike', () => {
  expect(new Set(Array.from({ length: 100 }, () => newBearerSecret('key').text)).size).toBe(100);
});

test('a typing error anywhere is found without the database', () => {
  const { text } = newBearerSecret('key');
  for (let at = 0; at < text.length; at += 1) {
    const wrong = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    expect(bearerSecretHash(wrong, 'key')).toBeNull();
  }
});

test.each(['', 'cv_key_', 'cv_key_AAAA', 'Bearer x', 'å'.repeat(54), 'cv_key_'.padEnd(10_000_000, 'A')])(
  'something else entirely is nothing',
  (text) => {
    expect(bearerSecretHash(text, 'key')).toBeNull();
  },
);

test('a secret with anything around it is another text', () => {
  const { text } = newBearerSecret('key');
  for (const wrong of [
    ` ${text}`,
    `${text} `,
    `${text}\n`,
    text.slice(0, -1),
    `${text}A`,
    text.toUpperCase(),
  ])
    expect(bearerSecretHash(wrong, 'key')).toBeNull();
});

test('hashes are the same or not, of whatever length', () => {
  expect(sameHash(Buffer.from('abc'), new Uint8Array([97, 98, 99]))).toBe(true);
  expect(sameHash(Buffer.from('abc'), Buffer.from('abd'))).toBe(false);
  expect(sameHash(Buffer.from('abc'), Buffer.from('abcd'))).toBe(false);
  expect(sameHash(Buffer.alloc(0), Buffer.alloc(0))).toBe(true);
});
