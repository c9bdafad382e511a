import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * Secrets a person or machine carries: API keys, client secrets, refresh values of a session. 256 random bits, so that
 * one SHA-256 is all the storage they need (a slow hash protects guessable secrets, and these are not).
 *
 *     cv_<kind>_ ‖ base64url(32 random bytes) ‖ base64url(first 3 bytes of SHA-256 of all before)
 *
 * The prefix lets scanners find a leaked one; the checksum refuses typing errors without asking the database.
 */
const kinds = { key: 'cv_key_', secret: 'cv_sec_', refresh: 'cv_ref_' } as const;
export type BearerSecretKind = keyof typeof kinds;

const RANDOM_BYTES = 32;
const RANDOM_CHARS = 43;
const CHECK_BYTES = 3;
const BODY = /^[A-Za-z0-9_-]{47}$/;

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
const checksumOf = (text: string): string => sha256(text).subarray(0, CHECK_BYTES).toString('base64url');

/** `text` is shown once and kept nowhere; `hash` (32 bytes) is what the database keeps. */
export const newBearerSecret = (kind: BearerSecretKind): { readonly text: string; readonly hash: Buffer } => {
  const start = kinds[kind] + randomBytes(RANDOM_BYTES).toString('base64url');
  const text = start + checksumOf(start);
  return { text, hash: sha256(text) };
};

/**
 * What to look up, or null when the text cannot be a secret of this kind. `text` is attacker-controlled and may have any
 * length; one look-up by the returned hash finds the row, and {@link sameHash} compares where a row was found otherwise.
 */
export const bearerSecretHash = (text: string, kind: BearerSecretKind): Buffer | null => {
  const prefix = kinds[kind];
  const body = text.slice(prefix.length);
  if (!text.startsWith(prefix) || !BODY.test(body)) return null;
  const start = prefix + body.slice(0, RANDOM_CHARS);
  return checksumOf(start) === body.slice(RANDOM_CHARS) ? sha256(text) : null;
};

/** Constant in time for equal lengths. */
export const sameHash = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b);
