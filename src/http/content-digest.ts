import { AppError } from '../core/errors.ts';

const bad = (): AppError =>
  new AppError(
    'invalid_request',
    'The SHA-256 is not readable: write 64 hex digits, or sha-256=:base64: (RFC 9530).',
  );

const unchecked = (header: string): AppError =>
  new AppError(
    'invalid_request',
    `The header ${header} cannot be checked here, and passing it over would look like a check: send Content-Digest: sha-256=:base64: (RFC 9530).`,
  );

/** A SHA-256 written as 64 hex digits. Attacker-controlled. */
export const sha256Digest = (hex: string): Buffer => {
  const text = hex.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw bad();
  return Buffer.from(text, 'hex');
};

const MEMBER = /^\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*$/i;

/** The one `sha-256` of a digest field (RFC 9530), beside which other algorithms may stand. Attacker-controlled. */
const memberOf = (name: string, value: string): Buffer => {
  if (value.length > 1024) throw bad();
  const members = value.split(',').filter((part) => /^\s*sha-256\b/i.test(part));
  if (members.length === 0) throw unchecked(name);
  const encoded = MEMBER.exec(members[0]!)?.[1];
  if (encoded === undefined || members.length > 1) throw bad();
  return Buffer.from(encoded, 'base64');
};

/** Headers by their names in lower case; sent twice, joined by commas. */
export type HeaderOf = (name: string) => string | undefined;

/**
 * The SHA-256 that headers declare for the bytes they head, or null when they declare no digest at all. Nothing that looks
 * like a digest is passed over: one that cannot be checked, or two that differ, throw `invalid_request`. Without a content
 * coding, which is never accepted, `Repr-Digest` is of the same bytes as `Content-Digest`. Attacker-controlled.
 */
export const declaredDigest = (header: HeaderOf): Buffer | null => {
  for (const [name, shown] of [
    ['digest', 'Digest'],
    ['content-md5', 'Content-MD5'],
  ] as const)
    if (header(name) !== undefined) throw unchecked(shown);
  if (/digest|content-md5/i.test(header('trailer') ?? ''))
    throw new AppError(
      'invalid_request',
      'A digest in a trailer is not checked: send Content-Digest before the body.',
    );
  const [content, repr] = (['Content-Digest', 'Repr-Digest'] as const).map((name) => {
    const value = header(name.toLowerCase());
    return value === undefined ? null : memberOf(name, value);
  });
  if (content && repr && !content.equals(repr))
    throw new AppError('invalid_request', 'Content-Digest and Repr-Digest are not the same digest.');
  return content ?? repr ?? null;
};

const ALL = ['content-digest', 'repr-digest', 'digest', 'content-md5'];

/** Whether headers say anything of a digest. */
export const namesDigest = (header: HeaderOf): boolean =>
  ALL.some((name) => header(name) !== undefined) || /digest|content-md5/i.test(header('trailer') ?? '');
