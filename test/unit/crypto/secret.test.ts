import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { labelled, labels, lengthPrefixed, uint32 } from '../../../src/crypto/labels.ts';
import { openBox, sealBox } from '../../../src/crypto/sealed-box.ts';
import {
  checkValueOf,
  deriveKey,
  keyIdOf,
  randomKey,
  secretKey,
  withKeyBytes,
} from '../../../src/crypto/secret.ts';

const zeros = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const filled = () => Buffer.alloc(32, 0x5a);

test('making a key overwrites the bytes it was made of', () => {
  const bytes = filled();
  const key = secretKey(bytes);
  expect(zeros(bytes)).toBe(true);
  expect(key.export()).toEqual(filled());
});

test.each([0, 16, 31, 33])('%i bytes are no key, and are overwritten all the same', (length) => {
  const bytes = Buffer.alloc(length, 1);
  expect(() => secretKey(bytes)).toThrow(RangeError);
  expect(zeros(bytes)).toBe(true);
});

test('lent bytes are overwritten when they come back, also after a failure', () => {
  const key = secretKey(filled());
  let lent: Uint8Array = Buffer.alloc(0);
  const copy = withKeyBytes(key, (bytes) => {
    lent = bytes;
    return Buffer.from(bytes);
  });
  expect(copy).toEqual(filled());
  expect(zeros(lent)).toBe(true);
  expect(() =>
    withKeyBytes(key, (bytes) => {
      lent = bytes;
      throw new Error('interrupted');
    }),
  ).toThrow('interrupted');
  expect(lent).toHaveLength(32);
  expect(zeros(lent)).toBe(true);
});

test('a derived key is HKDF-SHA256 with the label as info', () => {
  const expected = Buffer.from(hkdfSync('sha256', filled(), Buffer.from('salt'), Buffer.from('info'), 32));
  expect(deriveKey(secretKey(filled()), Buffer.from('info'), Buffer.from('salt')).export()).toEqual(expected);
});

test('check value and key id are those of docs/file-format.md §5.1', () => {
  const expected = createHmac('sha256', filled()).update('cv/check/v1\0').digest();
  const key = createSecretKey(filled());
  expect(checkValueOf(key)).toEqual(expected);
  expect(keyIdOf(key)).toBe(expected.toString('hex', 0, 8));
});

test('random keys differ', () => {
  expect(randomKey().equals(randomKey())).toBe(false);
});

test('every label is its own, ends in zero, and begins no other', () => {
  const all = Object.values(labels);
  expect(new Set(all).size).toBe(all.length);
  for (const label of all) expect(label).toMatch(/^cv\/[a-z]+(-[a-z]+)?\/v1\0$/);
});

test('parts after a label cannot run into each other', () => {
  expect(labelled(labels.index, lengthPrefixed('ab'), lengthPrefixed('c'))).not.toEqual(
    labelled(labels.index, lengthPrefixed('a'), lengthPrefixed('bc')),
  );
  expect(lengthPrefixed('å').toString('hex')).toBe('0002c3a5');
  expect(uint32(65_536).toString('hex')).toBe('00010000');
  expect(() => lengthPrefixed('x'.repeat(4097))).toThrow(RangeError);
});

test('a box opens with its key and its associated data only', () => {
  const [key, aad] = [randomKey(), Buffer.from('aad')];
  const box = sealBox(key, aad, Buffer.from('secret'));
  expect(openBox(key, aad, box)?.toString()).toBe('secret');
  expect(openBox(randomKey(), aad, box)).toBeNull();
  expect(openBox(key, Buffer.from('aae'), box)).toBeNull();
  expect(openBox(key, aad, Buffer.concat([box, Buffer.alloc(1)]))).toBeNull();
  for (let length = 0; length < box.length; length += 1)
    expect(openBox(key, aad, box.subarray(0, length))).toBeNull();
});
