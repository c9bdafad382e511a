import { randomUUID } from 'node:crypto';
import { createDecoder, createVerifier, TOKEN_ERROR_CODES } from 'fast-jwt';
import { isUuid } from '../../core/ids.ts';
import type { OpenedSession } from '../../services/session-limits.ts';

type PublicKey = { readonly kid: string; readonly pem: string };
type PublicJwk = {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
};

/** What signs and knows the signing keys; private keys stay in there (crypto/jwt-keys.ts). */
export type AccessTokenKeys = {
  readonly sign: (claims: Readonly<Record<string, unknown>>) => Promise<string>;
  /** Null: not a key of this vault. */
  readonly verificationKey: (kid: string) => Promise<PublicKey | null>;
  readonly jwks: () => Promise<{ readonly keys: readonly PublicJwk[] }>;
};

export type AccessTokenDeps = {
  readonly keys: AccessTokenKeys;
  /** Id of the installation: a token of another vault is worth nothing here. */
  readonly issuer: string;
  readonly lifetimeSeconds?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** `expired`: genuine, but too old: the ordinary end of a token. `forged`: whatever this vault has not signed as it stands. */
export type TokenVerdict = { readonly sessionId: string } | 'expired' | 'forged';

export type AccessTokens = {
  /** A token for the session, never living longer than it. `expiresIn` in seconds. */
  readonly sign: (
    session: OpenedSession,
  ) => Promise<{ readonly accessToken: string; readonly expiresIn: number }>;
  /** `token` is attacker-controlled and may have any length. Whether the session still counts is not asked here. */
  readonly verify: (token: string) => Promise<TokenVerdict>;
};

const AUDIENCE = 'callvault';
/** RFC 9068: an access token cannot be taken for any other kind of JWT. */
const TYPE = 'at+jwt';
const LIFETIME_SECONDS = 300;
/** Ours have about 500 characters. */
const MAX_TOKEN = 2048;
/** Verified tokens remembered per key, so that the signature is checked once and not on every request. */
const REMEMBERED = 5_000;
/** Live keys are one or two; verifiers of destroyed ones are dropped when there are this many. */
const MAX_VERIFIERS = 16;

type Verifier = (token: string) => Readonly<Record<string, unknown>>;

const verifierFor = ({ pem }: PublicKey, issuer: string): Verifier =>
  createVerifier({
    key: pem,
    algorithms: ['EdDSA'],
    allowedIss: [issuer],
    allowedAud: [AUDIENCE],
    checkTyp: TYPE,
    requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub', 'sid'],
    cache: REMEMBERED,
  });

const decode = createDecoder({ complete: true });

/** The key a token names, unverified: only used to look among our own. */
const namedKey = (token: string): string | null => {
  try {
    const { kid } = decode(token).header;
    return typeof kid === 'string' && kid.length <= 64 ? kid : null;
  } catch {
    return null;
  }
};

const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown } | null)?.code;

const createVerify = ({ keys, issuer }: AccessTokenDeps): AccessTokens['verify'] => {
  const verifiers = new Map<string, Verifier>();
  const verifierOf = (key: PublicKey): Verifier => {
    const known = verifiers.get(key.kid);
    if (known !== undefined) return known;
    if (verifiers.size >= MAX_VERIFIERS) verifiers.clear();
    const made = verifierFor(key, issuer);
    verifiers.set(key.kid, made);
    return made;
  };
  return async (token) => {
    const kid = token.length > MAX_TOKEN ? null : namedKey(token);
    // Asked every time: a key that was destroyed verifies nothing from then on.
    const key = kid === null ? null : await keys.verificationKey(kid);
    if (key === null) return 'forged';
    try {
      const { sid } = verifierOf(key)(token);
      return typeof sid === 'string' && isUuid(sid) ? { sessionId: sid } : 'forged';
    } catch (error) {
      return codeOf(error) === TOKEN_ERROR_CODES.expired ? 'expired' : 'forged';
    }
  };
};

const createSign =
  ({ keys, issuer, lifetimeSeconds = LIFETIME_SECONDS, now }: AccessTokenDeps): AccessTokens['sign'] =>
  async ({ id, subject, expiresAt }) => {
    const iat = Math.floor(now() / 1000);
    const exp = Math.min(iat + lifetimeSeconds, Math.floor(expiresAt.getTime() / 1000));
    const claims = { iss: issuer, aud: AUDIENCE, sub: subject, sid: id, jti: randomUUID(), iat, exp };
    return { accessToken: await keys.sign(claims), expiresIn: Math.max(0, exp - iat) };
  };

/**
 * Access tokens: JWTs signed with Ed25519, no other algorithm, with a key the header names among our own; keys that a
 * token brings or points to are never looked at.
 */
export const createAccessTokens = (deps: AccessTokenDeps): AccessTokens => ({
  sign: createSign(deps),
  verify: createVerify(deps),
});
