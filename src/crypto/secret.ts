import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomFillSync } from 'node:crypto';
import { type Label, labelled, labels } from './labels.ts';

/**
 * How key material lives in this process: as bytes for as short as possible, in memory of its own (never Node's shared
 * pool) that is overwritten afterwards; otherwise as a KeyObject, which no heap snapshot shows; never as a string.
 */
export const KEY_BYTES = 32;

const NO_SALT = Buffer.alloc(0);

/** Takes the bytes over: the source reads zero afterwards. Throws RangeError unless there are 32. */
export const secretKey = (bytes: Uint8Array): KeyObject => {
  try {
    if (bytes.length !== KEY_BYTES) throw new RangeError('a key has 32 bytes');
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
};

export const randomKey = (): KeyObject => secretKey(randomFillSync(Buffer.alloc(KEY_BYTES)));

/** Lends the key's bytes to `use` and overwrites them when it is done, also when it throws. */
export const withKeyBytes = <T>(key: KeyObject, use: (bytes: Buffer) => T): T => {
  const bytes = key.export();
  try {
    return use(bytes);
  } finally {
    bytes.fill(0);
  }
};

/** HKDF-SHA256 to 32 bytes. `info` may have 1,024 bytes at most. */
export const hkdf = (key: KeyObject, salt: Uint8Array, info: Uint8Array): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, info, KEY_BYTES));

export const deriveKey = (key: KeyObject, info: Uint8Array, salt: Uint8Array = NO_SALT): KeyObject =>
  secretKey(hkdf(key, salt, info));

/** HMAC-SHA256 over label ‖ parts. */
export const mac = (key: KeyObject, label: Label, ...parts: readonly Uint8Array[]): Buffer =>
  createHmac('sha256', key)
    .update(labelled(label, ...parts))
    .digest();

const KEY_ID_BYTES = 8;

/** Tells one key from another without showing either (docs/file-format.md §5.1): HMAC-SHA256(key, "cv/check/v1\0"). */
export const checkValueOf = (key: KeyObject): Buffer => mac(key, labels.check);

/** The first 8 bytes of the check value, in hex; not secret. */
export const keyIdOf = (key: KeyObject): string =>
  checkValueOf(key).subarray(0, KEY_ID_BYTES).toString('hex');
