import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { ed25519Key } from './ed25519.ts';
import type { KeyCache } from './key-cache.ts';
import { INSTALLATION, type StoredKey } from './key-store.ts';

/** A public key as `/.well-known/jwks.json` shows it (RFC 7517, RFC 8037). */
export type Jwk = {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
};

export type VerificationKey = { readonly kid: string; readonly key: KeyObject; readonly pem: string };

export type JwtKeys = {
  /**
   * An access token (RFC 9068: compact JWS, EdDSA, typ `at+jwt`) signed with the newest key, which the header names by `kid`.
   * The private key stays in here. Claims are taken as they are: `iat`, `exp`, `iss`, `aud` are the caller's.
   */
  readonly sign: (claims: Readonly<Record<string, unknown>>) => Promise<string>;
  /** The public key a token names, or null for one this vault does not have (any more). `kid` is attacker-controlled. */
  readonly verificationKey: (kid: string) => Promise<VerificationKey | null>;
  /** Every live key, newest first: tokens signed before a rotation stay valid until they expire. */
  readonly jwks: () => Promise<{ readonly keys: readonly Jwk[] }>;
};

const NAME = { organisation: INSTALLATION, purpose: 'jwt' } as const;

type SigningKey = VerificationKey & { readonly privateKey: KeyObject; readonly jwk: Jwk };

/** RFC 7638: SHA-256 over the required members in lexical order. */
const thumbprint = (x: string): string =>
  createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');

const signingKey = ({ key: seed }: StoredKey): SigningKey => {
  const privateKey = ed25519Key(seed);
  const key = createPublicKey(privateKey);
  const { x = '' } = key.export({ format: 'jwk' });
  const kid = thumbprint(x);
  const pem = key.export({ format: 'pem', type: 'spki' }).toString();
  return {
    privateKey,
    key,
    kid,
    pem,
    jwk: { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' },
  };
};

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Makes the first key when there is none. Throws what the key store throws. */
export const createJwtKeys = async ({ keys }: { readonly keys: KeyCache }): Promise<JwtKeys> => {
  await keys.ensure(NAME);
  // Expanded once per unwrapped seed; the entry goes when the cache lets go of the seed.
  const expanded = new WeakMap<KeyObject, SigningKey>();
  const expand = (stored: StoredKey): SigningKey => {
    const known = expanded.get(stored.key) ?? signingKey(stored);
    expanded.set(stored.key, known);
    return known;
  };
  return {
    sign: async (claims) => {
      const { kid, privateKey } = expand(await keys.newest(NAME));
      const input = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid })}.${encode(claims)}`;
      return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`;
    },
    verificationKey: async (kid) => {
      const live = (await keys.all(NAME)).map(expand);
      const found = live.find((candidate) => candidate.kid === kid);
      return found === undefined ? null : { kid, key: found.key, pem: found.pem };
    },
    jwks: async () => ({ keys: (await keys.all(NAME)).map((stored) => expand(stored).jwk) }),
  };
};
