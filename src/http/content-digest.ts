import { AppError } from '../core/errors.ts';

const bad = (): AppError =>
  new AppError(
    'invalid_request',
    'The SHA-256 is not readable: write 64 hex digits, or sha-256=:base64: (RFC 9530).',
  );

/** A SHA-256 written as 64 hex digits. Attacker-controlled. */
export const sha256Digest = (hex: string): Buffer => {
  const text = hex.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw bad();
  return Buffer.from(text, 'hex');
};

/** `Content-Digest` (RFC 9530); null when the header is absent or names only other algorithms. Attacker-controlled. */
export const contentDigest = (header: string | undefined): Buffer | null => {
  if (header === undefined) return null;
  if (header.length > 1024) throw bad();
  const member = header.split(',').find((part) => /^\s*sha-256\b/i.test(part));
  if (member === undefined) return null;
  const value = /^\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*$/i.exec(member)?.[1];
  if (value === undefined) throw bad();
  return Buffer.from(value, 'base64');
};
