import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto';
import { TAG_BYTES } from '../core/sealed-layout.ts';

/**
 * AES-256-GCM for small secrets (wrapped keys, fields): `nonce(12) ‖ ciphertext ‖ tag(16)`, nonce random. One key must
 * not seal more than 2^32 of them (NIST SP 800-38D §8.3), which is why wrap keys are derived per recording and field keys
 * per column.
 */
const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
export const BOX_OVERHEAD = NONCE_BYTES + TAG_BYTES;

/** `prefix` is put before the box in the clear; it is not authenticated by it. */
export const sealBox = (
  key: KeyObject,
  aad: Uint8Array,
  plain: Uint8Array,
  prefix: Uint8Array = Buffer.alloc(0),
): Buffer => {
  const nonce = randomFillSync(Buffer.alloc(NONCE_BYTES));
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAAD(aad);
  return Buffer.concat([prefix, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
};

/**
 * The plaintext, in memory of its own which the caller overwrites if it is a key; or null when the box was not made with
 * this key for this `aad`. `box` is attacker-controlled; nothing of it is released before its tag has verified.
 */
export const openBox = (key: KeyObject, aad: Uint8Array, box: Uint8Array): Buffer | null => {
  if (box.length < BOX_OVERHEAD) return null;
  const decipher = createDecipheriv(ALGORITHM, key, box.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(aad).setAuthTag(box.subarray(box.length - TAG_BYTES));
  const plain = decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES));
  try {
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    return null;
  }
};
