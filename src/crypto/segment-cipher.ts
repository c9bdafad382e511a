import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto';
import { HEADER_BYTES, TAG_BYTES, VAULT_SEGMENT_BYTES } from '../core/sealed-layout.ts';
import { integrityFailure } from './integrity.ts';
import { deriveKey } from './secret.ts';

/**
 * One segment of Tink's AES-GCM-HKDF streaming AEAD (docs/file-format.md §2;
 * developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming):
 *
 *     derived key = HKDF-SHA256(DEK, salt, info = AAD, 32)
 *     nonce_i     = prefix(7) ‖ uint32be(i) ‖ (0x01 if i is the last segment else 0x00)
 *     C_i         = AES-256-GCM(derived key, nonce_i, M_i, no AAD)
 *
 * Synchronous on purpose: measured, neither worker threads nor WebCrypto are faster at 64 KiB.
 */
const ALGORITHM = 'aes-256-gcm';
const GCM = { authTagLength: TAG_BYTES } as const;
const SALT_START = 1;
const PREFIX_START = 33;
const COUNTER_START = 7;
const LAST_FLAG = 11;
const NONCE_BYTES = 12;

export type SegmentCipher = {
  readonly header: Uint8Array;
  readonly segmentBytes: number;
  /** Ciphertext and tag, in memory of their own. */
  readonly seal: (index: number, last: boolean, plain: Uint8Array) => readonly [Buffer, Buffer];
  /**
   * Plaintext of one segment, in memory of its own, after its tag has verified; throws `integrity_failure` otherwise.
   * `sealed` is ciphertext ‖ tag and attacker-controlled.
   */
  readonly open: (index: number, last: boolean, sealed: Uint8Array) => Buffer;
};

export type SegmentKey = {
  readonly dek: KeyObject;
  readonly aad: Uint8Array;
  readonly header: Uint8Array;
  readonly segmentBytes?: number;
};

/** 0x28 ‖ random salt(32) ‖ random nonce prefix(7). */
export const randomHeader = (): Buffer => {
  const header = randomFillSync(Buffer.alloc(HEADER_BYTES));
  header[0] = HEADER_BYTES;
  return header;
};

export const saltOf = (header: Uint8Array): Uint8Array => header.subarray(SALT_START, PREFIX_START);

/**
 * Derives the object's key once; what comes back seals or opens its segments in any order. Sealing with the same `dek`
 * and `header` twice repeats nonces and breaks GCM: only `sealed-object.ts`, which allows it once, and test vectors do.
 */
export const segmentCipher = (input: SegmentKey): SegmentCipher => {
  const { header, segmentBytes = VAULT_SEGMENT_BYTES } = input;
  if (header.length !== HEADER_BYTES || header[0] !== HEADER_BYTES) throw integrityFailure('header');
  const key = deriveKey(input.dek, input.aad, saltOf(header));
  // Rewritten for every segment: node:crypto copies it before it returns, and nothing here awaits.
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.set(header.subarray(PREFIX_START));
  const nonceOf = (index: number, last: boolean): Buffer => {
    nonce.writeUInt32BE(index, COUNTER_START);
    nonce[LAST_FLAG] = last ? 1 : 0;
    return nonce;
  };
  return {
    header,
    segmentBytes,
    seal: (index, last, plain) => {
      const cipher = createCipheriv(ALGORITHM, key, nonceOf(index, last), GCM);
      const ciphertext = cipher.update(plain);
      cipher.final();
      return [ciphertext, cipher.getAuthTag()];
    },
    open: (index, last, sealed) => {
      if (sealed.length < TAG_BYTES) throw integrityFailure('length', index);
      const body = sealed.length - TAG_BYTES;
      const decipher = createDecipheriv(ALGORITHM, key, nonceOf(index, last), GCM);
      decipher.setAuthTag(sealed.subarray(body));
      const plain = decipher.update(sealed.subarray(0, body));
      try {
        decipher.final();
      } catch {
        plain.fill(0);
        throw integrityFailure('segment', index);
      }
      return plain;
    },
  };
};
