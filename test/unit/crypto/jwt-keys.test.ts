import { createPublicKey, createSecretKey, verify } from 'node:crypto';
import { createVerifier } from 'fast-jwt';
import { expect, test } from 'vitest';
import { ed25519Key } from '../../../src/crypto/ed25519.ts';
import { createJwtKeys } from '../../../src/crypto/jwt-keys.ts';
import { createKeyCache } from '../../../src/crypto/key-cache.ts';
import { INSTALLATION } from '../../../src/crypto/key-store.ts';
import { createKeyMaterial } from '../../support/key-material.ts';

const partsOf = (token: string) => token.split('.') as [string, string, string];
const decoded = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString());

const verified = (token: string, key: Parameters<typeof verify>[2]): boolean => {
  const [header, claims, signature] = partsOf(token);
  return verify(null, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'));
};

const createTokens = async () => {
  const material = await createKeyMaterial();
  return { ...material, tokens: await createJwtKeys({ keys: material.keys }) };
};

test('the key of RFC 8032 §7.1 test 1 and the thumbprint of RFC 8037 A.3 come out', async () => {
  const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
  const jwk = createPublicKey(ed25519Key(createSecretKey(seed))).export({ format: 'jwk' });
  expect(jwk.x).toBe('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo');
});

test('a token verifies with the key it names, by node and by the library the server uses', async () => {
  const { tokens } = await createTokens();
  const claims = { sub: 'somebody', iat: 1_800_000_000, exp: 4_000_000_000 };
  const token = await tokens.sign(claims);
  const [header, body] = partsOf(token);
  const [jwk] = (await tokens.jwks()).keys;
  expect(decoded(header)).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: jwk?.kid });
  expect(decoded(body)).toEqual(claims);
  const found = await tokens.verificationKey(jwk?.kid ?? '');
  expect(verified(token, found!.key)).toBe(true);
  const check = createVerifier({ key: found!.pem, algorithms: ['EdDSA'], checkTyp: 'at+jwt' });
  expect(check(token)).toMatchObject({ sub: 'somebody' });
  expect(() => check(`${token.slice(0, -4)}AAAA`)).toThrow();
});

test('the published keys hold nothing private', async () => {
  const { tokens } = await createTokens();
  const { keys } = await tokens.jwks();
  expect(keys).toHaveLength(1);
  expect(Object.keys(keys[0]!).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  expect((await tokens.verificationKey(keys[0]!.kid))?.key.type).toBe('public');
});

test('after a rotation the new key signs and the old one still verifies, until it is destroyed', async () => {
  const { tokens, keys } = await createTokens();
  const before = await tokens.sign({ sub: 'a' });
  await keys.rotate({ organisation: INSTALLATION, purpose: 'jwt' });
  const after = await tokens.sign({ sub: 'a' });
  const kidOf = (token: string) => (decoded(partsOf(token)[0]) as { kid: string }).kid;
  expect(kidOf(after)).not.toBe(kidOf(before));
  expect((await tokens.jwks()).keys.map(({ kid }) => kid)).toEqual([kidOf(after), kidOf(before)]);
  expect(verified(before, (await tokens.verificationKey(kidOf(before)))!.key)).toBe(true);
  await keys.destroy({ organisation: INSTALLATION, purpose: 'jwt' }, 1);
  expect(await tokens.verificationKey(kidOf(before))).toBeNull();
});

test('a restart, or a second process, signs with the same key', async () => {
  const { tokens, folder, clock } = await createTokens();
  const again = await createJwtKeys({ keys: createKeyCache({ store: folder.store, now: clock.now }) });
  expect(await again.jwks()).toEqual(await tokens.jwks());
});

test.each(['', 'none', '../../etc/passwd', 'x'.repeat(100_000)])(
  'a key id that is not ours names nothing',
  async (kid) => {
    const { tokens } = await createTokens();
    expect(await tokens.verificationKey(kid)).toBeNull();
  },
);
