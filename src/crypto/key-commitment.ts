import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { integrityFailure } from './integrity.ts';
import { labelled, labels } from './labels.ts';
import { hkdf } from './secret.ts';
import { saltOf } from './segment-cipher.ts';

/**
 * kc = HKDF-SHA256(DEK, salt, "cv/commit/v1\0" ‖ AAD, 32) (docs/file-format.md §4.1). GCM does not commit to its key: one object
 * can be made to open under two data keys with different audio. The envelope pins the one it was sealed with.
 */
export const keyCommitment = (dek: KeyObject, header: Uint8Array, aad: Uint8Array): Buffer =>
  hkdf(dek, saltOf(header), labelled(labels.commitment, aad));

/** Throws `integrity_failure` unless `expected` is this key's commitment. Stands before every first decryption. */
export const assertKeyCommitment = (
  dek: KeyObject,
  header: Uint8Array,
  aad: Uint8Array,
  expected: Uint8Array,
): void => {
  const actual = keyCommitment(dek, header, aad);
  if (expected.length !== actual.length || !timingSafeEqual(actual, expected))
    throw integrityFailure('key_commitment');
};
