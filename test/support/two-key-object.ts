import { createCipheriv, type KeyObject } from 'node:crypto';
import { deriveKey } from '../../src/crypto/secret.ts';

/**
 * Builds one object that opens under two data keys, as the reports CVE-2025-14762 to 14764 and their siblings describe for
 * stores that keep the wrapped key apart from the object. GCM's tag is a polynomial in the key; with one block of
 * ciphertext left free, a value can be found for which both keys give the same tag.
 */
const BLOCK = 16;
/** x^128 + x^7 + x^2 + x + 1, in GCM's reflected bit order (NIST SP 800-38D §6.3). */
const R = 0xe1n << 120n;

const multiply = (x: bigint, y: bigint): bigint => {
  let z = 0n;
  let v = y;
  for (let bit = 127n; bit >= 0n; bit -= 1n) {
    if (((x >> bit) & 1n) === 1n) z ^= v;
    v = (v & 1n) === 1n ? (v >> 1n) ^ R : v >> 1n;
  }
  return z;
};

const ONE = 1n << 127n;

const power = (base: bigint, exponent: bigint): bigint => {
  let result = ONE;
  let square = base;
  for (let e = exponent; e > 0n; e >>= 1n) {
    if ((e & 1n) === 1n) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
};

const inverse = (x: bigint): bigint => power(x, (1n << 128n) - 2n);
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const blockOf = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(32, '0'), 'hex');
const encrypt = (key: KeyObject, block: Uint8Array): Buffer =>
  createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(block);

const counterBlock = (nonce: Uint8Array, counter: number): Buffer => {
  const block = Buffer.alloc(BLOCK);
  block.set(nonce);
  block.writeUInt32BE(counter, 12);
  return block;
};

const keystream = (key: KeyObject, nonce: Uint8Array, blocks: number): Buffer =>
  Buffer.concat(Array.from({ length: blocks }, (_, i) => encrypt(key, counterBlock(nonce, i + 2))));

const xor = (a: Uint8Array, b: Uint8Array): Buffer => Buffer.from(a.map((byte, i) => byte ^ b[i]!));

/** Tag without its free block: everything GHASH adds up except c_free · H^(n - free + 1). */
const tagParts = (key: KeyObject, nonce: Uint8Array, blocks: readonly bigint[]) => {
  const h = numberOf(encrypt(key, Buffer.alloc(BLOCK)));
  const lengths = BigInt(blocks.length * BLOCK * 8);
  let hash = 0n;
  for (const block of [...blocks, lengths]) hash = multiply(hash ^ block, h);
  return { h, tag: hash ^ numberOf(encrypt(key, counterBlock(nonce, 1))) };
};

/**
 * A one-segment object that opens with `first` to a message beginning with `firstText` and with `second` to one that
 * has `secondText` right behind it. Texts are of whole blocks of 16 bytes.
 */
export const twoKeyObject = (input: {
  readonly first: KeyObject;
  readonly second: KeyObject;
  readonly header: Uint8Array;
  readonly aad: Uint8Array;
  readonly firstText: Buffer;
  readonly secondText: Buffer;
}): Buffer => {
  const { header, aad, firstText, secondText } = input;
  const salt = header.subarray(1, 33);
  const keys = [deriveKey(input.first, aad, salt), deriveKey(input.second, aad, salt)] as const;
  const nonce = Buffer.concat([header.subarray(33), Buffer.from([0, 0, 0, 0, 1])]);
  const total = (firstText.length + secondText.length) / BLOCK + 1;
  const [one, two] = keys.map((key) => keystream(key, nonce, total)) as [Buffer, Buffer];
  const ciphertext = Buffer.alloc(total * BLOCK);
  ciphertext.set(xor(firstText, one));
  ciphertext.set(xor(secondText, two.subarray(firstText.length)), firstText.length);
  const blocks = Array.from({ length: total }, (_, i) =>
    numberOf(ciphertext.subarray(i * BLOCK, (i + 1) * BLOCK)),
  );
  // The last block is free: it enters the tag as c · H², and c · (H1² + H2²) must make up the difference.
  const parts = keys.map((key) => tagParts(key, nonce, blocks)) as [
    { h: bigint; tag: bigint },
    { h: bigint; tag: bigint },
  ];
  const factor = multiply(parts[0].h, parts[0].h) ^ multiply(parts[1].h, parts[1].h);
  const free = multiply(parts[0].tag ^ parts[1].tag, inverse(factor));
  ciphertext.set(blockOf(free), (total - 1) * BLOCK);
  const { tag } = tagParts(keys[0], nonce, [...blocks.slice(0, -1), free]);
  return Buffer.concat([header, ciphertext, blockOf(tag)]);
};
