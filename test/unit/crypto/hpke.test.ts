import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hpkeOpen, hpkeSeal, publicBytesOf, x25519Key } from '../../../src/crypto/hpke.ts';
import { secretKey } from '../../../src/crypto/secret.ts';

type Vector = Readonly<
  Record<'privateKey' | 'publicKey' | 'info' | 'aad' | 'plaintext' | 'enc' | 'ciphertext', string>
>;
const { vectors } = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/hpke-x25519-sha256-aes256gcm.json', import.meta.url), 'utf8'),
) as { vectors: readonly Vector[] };

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const keyOf = (vector: Vector) => x25519Key(secretKey(bytes(vector.privateKey)));
const messageOf = ({ enc, ciphertext }: Vector) => ({ enc: bytes(enc), ciphertext: bytes(ciphertext) });

describe('what another implementation sealed', () => {
  test.each(vectors.map((vector, n) => [n, vector] as const))('vector %i opens', (_, vector) => {
    const key = keyOf(vector);
    expect(publicBytesOf(key).toString('hex')).toBe(vector.publicKey);
    const plain = hpkeOpen(key, bytes(vector.info), bytes(vector.aad), messageOf(vector));
    expect(plain.toString('hex')).toBe(vector.plaintext);
  });

  test('does not open with another info, AAD or key, nor with any byte of it changed or cut off', () => {
    const vector = vectors.find(({ plaintext, aad }) => plaintext.length > 60 && aad.length > 2) as Vector;
    const [info, aad, message] = [bytes(vector.info), bytes(vector.aad), messageOf(vector)];
    const key = keyOf(vector);
    const refused = expect.objectContaining({ code: 'integrity_failure' });
    expect(() => hpkeOpen(key, Buffer.concat([info, Buffer.from([0])]), aad, message)).toThrow(refused);
    expect(() => hpkeOpen(key, info, aad.subarray(1), message)).toThrow(refused);
    expect(() => hpkeOpen(generateKeyPairSync('x25519').privateKey, info, aad, message)).toThrow(refused);
    for (const part of ['enc', 'ciphertext'] as const) {
      for (let at = 0; at < message[part].length; at += 1) {
        const changed = { ...message, [part]: Buffer.from(message[part]) };
        changed[part][at] = (changed[part][at] ?? 0) ^ 1;
        expect(() => hpkeOpen(key, info, aad, changed)).toThrow(refused);
        const cut = { ...message, [part]: message[part].subarray(0, at) };
        expect(() => hpkeOpen(key, info, aad, cut)).toThrow(refused);
      }
    }
  });

  // RFC 7748 §6.1 and RFC 9180 §7.1.4: points of low order would make the secret known to everybody.
  test.each([
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ecff${'ff'.repeat(29)}7f`,
  ])('a point of low order is refused: %s', (point) => {
    const { privateKey } = generateKeyPairSync('x25519');
    const message = { enc: bytes(point), ciphertext: randomBytes(48) };
    expect(() => hpkeOpen(privateKey, Buffer.alloc(0), Buffer.alloc(0), message)).toThrow(
      expect.objectContaining({ code: 'integrity_failure' }),
    );
    expect(() => hpkeSeal(bytes(point), Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(32))).toThrow();
  });
});

test('what we seal opens again, and never looks the same twice', () => {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const [info, aad, plain] = [randomBytes(15), randomBytes(116), randomBytes(32)];
  const seal = () => hpkeSeal(publicBytesOf(publicKey), info, aad, plain);
  const [one, two] = [seal(), seal()];
  expect(hpkeOpen(privateKey, info, aad, one)).toEqual(plain);
  expect(one.enc).not.toEqual(two.enc);
  expect(one.ciphertext).not.toEqual(two.ciphertext);
  expect(one.ciphertext).toHaveLength(48);
});
