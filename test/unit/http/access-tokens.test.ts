import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createJwtKeys } from '../../../src/crypto/jwt-keys.ts';
import { INSTALLATION } from '../../../src/crypto/key-store.ts';
import { createAccessTokens } from '../../../src/http/plugins/access-tokens.ts';
import { createKeyMaterial } from '../../support/key-material.ts';

const ISSUER = randomUUID();
const JWT = { organisation: INSTALLATION, purpose: 'jwt' } as const;

const create = async () => {
  const material = await createKeyMaterial();
  const keys = await createJwtKeys({ keys: material.keys });
  const tokens = createAccessTokens({ keys, issuer: ISSUER, now: Date.now });
  const [jwk] = (await keys.jwks()).keys;
  return { ...material, jwtKeys: keys, tokens, jwk: jwk! };
};
type Setup = Awaited<ReturnType<typeof create>>;

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;
const session = () => ({
  id: randomUUID(),
  subject: randomUUID(),
  expiresAt: new Date(Date.now() + 3_600_000),
});
const claims = (over: Record<string, unknown> = {}) => ({
  iss: ISSUER,
  aud: 'callvault',
  sub: randomUUID(),
  sid: randomUUID(),
  jti: randomUUID(),
  iat: Math.floor(Date.now() / 1000),
  exp: inAnHour(),
  ...over,
});

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decoded = (part: string | undefined) => JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
const header = ({ jwk }: Setup, over: Record<string, unknown> = {}) => ({
  alg: 'EdDSA',
  typ: 'at+jwt',
  kid: jwk.kid,
  ...over,
});
/** A token put together by hand and signed with any key. */
const forge = (head: unknown, body: unknown, key: KeyObject): string => {
  const input = `${encode(head)}.${encode(body)}`;
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`;
};
const foreignKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;

describe('a genuine token', () => {
  test('names its session, and no more than ids', async () => {
    const { tokens } = await create();
    const opened = session();
    const { accessToken, expiresIn } = await tokens.sign(opened);
    expect(await tokens.verify(accessToken)).toEqual({ sessionId: opened.id });
    expect(expiresIn).toBe(300);
    const [head, body] = accessToken.split('.').map((part, i) => (i < 2 ? decoded(part) : part));
    expect(Object.keys(head).toSorted()).toEqual(['alg', 'kid', 'typ']);
    expect(body).toMatchObject({ iss: ISSUER, aud: 'callvault', sub: opened.subject, sid: opened.id });
    expect(Object.keys(body).toSorted()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'sid', 'sub']);
  });

  test('never lives longer than its session', async () => {
    const { tokens } = await create();
    const { accessToken, expiresIn } = await tokens.sign({
      ...session(),
      expiresAt: new Date(Date.now() + 30_000),
    });
    expect(expiresIn).toBeLessThanOrEqual(30);
    expect(decoded(accessToken.split('.')[1]).exp * 1000).toBeLessThanOrEqual(Date.now() + 30_000);
  });

  test('is verified the same the second time, from memory', async () => {
    const { tokens } = await create();
    const { accessToken } = await tokens.sign(session());
    const first = await tokens.verify(accessToken);
    expect(await tokens.verify(accessToken)).toEqual(first);
  });

  test('outlives a rotation, and not the destruction of its key, however well it is remembered', async () => {
    const { tokens, keys } = await create();
    const { accessToken } = await tokens.sign(session());
    await keys.rotate(JWT);
    expect(await tokens.verify(accessToken)).toHaveProperty('sessionId');
    await keys.destroy(JWT, 1);
    expect(await tokens.verify(accessToken)).toBe('forged');
  });
});

describe('claims that this vault signed but that do not hold here or now', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['too old', { iat: 1_700_000_000, exp: 1_700_000_300 }, 'expired'],
    ['not valid yet', { nbf: inAnHour() }, 'forged'],
    ['another audience', { aud: 'somebody-else' }, 'forged'],
    ['another audience among several', { aud: ['a', 'b'] }, 'forged'],
    ['another issuer', { iss: randomUUID() }, 'forged'],
    ['no issuer', { iss: undefined }, 'forged'],
    ['no audience', { aud: undefined }, 'forged'],
    ['no end', { exp: undefined }, 'forged'],
    ['an end that is no number', { exp: '9999999999' }, 'forged'],
    ['no session', { sid: undefined }, 'forged'],
    ['a session that is no id', { sid: "' OR 1=1 --" }, 'forged'],
    ['a session that is no text', { sid: { $ne: null } }, 'forged'],
    ['no subject', { sub: undefined }, 'forged'],
    ['more than we ever say', { pad: 'x'.repeat(2_000) }, 'forged'],
  ])('%s', async (_name, over, verdict) => {
    const { tokens, jwtKeys } = await create();
    expect(await tokens.verify(await jwtKeys.sign(claims(over)))).toBe(verdict);
  });

  test('what was good is not good for ever: the memory forgets at the end of the token', async () => {
    const { tokens, jwtKeys } = await create();
    // Two whole seconds at least: it has to be good first.
    const exp = Math.floor(Date.now() / 1000) + 3;
    const token = await jwtKeys.sign(claims({ exp }));
    expect(await tokens.verify(token)).toHaveProperty('sessionId');
    await expect.poll(() => tokens.verify(token)).toBe('expired');
  });
});

const pemOf = ({ jwk }: Setup): string =>
  createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }).toString();
const hmacForge = (setup: Setup, secret: string): string => {
  const input = `${encode(header(setup, { alg: 'HS256' }))}.${encode(claims())}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
};

type Attack = [string, (setup: Setup, genuine: string) => string];

const byName: Attack[] = [
  ['alg none', (setup) => `${encode(header(setup, { alg: 'none' }))}.${encode(claims())}.`],
  ['alg None, with a signature', (setup) => forge(header(setup, { alg: 'None' }), claims(), foreignKey())],
  ['no alg', (setup) => forge(header(setup, { alg: undefined }), claims(), foreignKey())],
  ['HS256 with the public key (JWK) as the secret', (setup) => hmacForge(setup, setup.jwk.x)],
  ['HS256 with the public key (PEM) as the secret', (setup) => hmacForge(setup, pemOf(setup))],
  ['another key under our name', (setup) => forge(header(setup), claims(), foreignKey())],
  [
    'another key under its own name',
    (setup) => forge(header(setup, { kid: 'mine' }), claims(), foreignKey()),
  ],
  ['no name of a key', (setup) => forge(header(setup, { kid: undefined }), claims(), foreignKey())],
  [
    'a name that is a path',
    (setup) => forge(header(setup, { kid: '../../../dev/null' }), claims(), foreignKey()),
  ],
  ['a name that is no text', (setup) => forge(header(setup, { kid: ['a'] }), claims(), foreignKey())],
];

const byKeyOrShape: Attack[] = [
  [
    'a key brought along (jwk)',
    (setup) => {
      const pair = generateKeyPairSync('ed25519');
      return forge(
        header(setup, { jwk: pair.publicKey.export({ format: 'jwk' }) }),
        claims(),
        pair.privateKey,
      );
    },
  ],
  [
    'a key pointed to (jku)',
    (setup) => forge(header(setup, { jku: 'http://127.0.0.1:9/k' }), claims(), foreignKey()),
  ],
  [
    'a key pointed to (x5u)',
    (setup) => forge(header(setup, { x5u: 'http://127.0.0.1:9/k' }), claims(), foreignKey()),
  ],
  [
    'a certificate brought along (x5c)',
    (setup) => forge(header(setup, { x5c: ['MIIB'] }), claims(), foreignKey()),
  ],
  [
    'an unknown critical extension',
    (setup) => forge(header(setup, { crit: ['b64'], b64: false }), claims(), foreignKey()),
  ],
  [
    'other claims under a genuine signature',
    (_s, genuine) => genuine.replace(/\.[^.]+\./, `.${encode(claims())}.`),
  ],
  ['a signature cut short', (_s, genuine) => genuine.slice(0, -8)],
  ['no signature', (_s, genuine) => genuine.slice(0, genuine.lastIndexOf('.') + 1)],
  [
    'a signature of zeros',
    (_s, genuine) => genuine.replace(/[^.]+$/, Buffer.alloc(64).toString('base64url')),
  ],
  ['a fourth part', (_s, genuine) => `${genuine}.x`],
  ['nothing', () => ''],
  ['dots', () => '..'],
  ['garbage', () => 'not a token at all'],
  ['a header that is no object', () => `${encode('x')}.${encode(claims())}.AAAA`],
  ['100 kB', (_s, genuine) => `${genuine}${'A'.repeat(100_000)}`],
  ['100 kB of header', (setup) => forge(header(setup, { pad: 'x'.repeat(75_000) }), claims(), foreignKey())],
];

describe('forgeries', () => {
  test.each([...byName, ...byKeyOrShape])('%s is refused', async (_name, attack) => {
    const setup = await create();
    const { accessToken } = await setup.tokens.sign(session());
    expect(await setup.tokens.verify(attack(setup, accessToken))).toBe('forged');
    expect(await setup.tokens.verify(accessToken)).toHaveProperty('sessionId');
  });
});

describe('signed with our own key, by somebody who got hold of the signer but not of the rules', () => {
  /** The stored seed itself: only here, to show that the type and the algorithm count, and not the signature alone. */
  const ownKey = async ({ keys }: Setup): Promise<KeyObject> => {
    const seed = (await keys.newest(JWT)).key.export();
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  };

  test.each<[string, Record<string, unknown>]>([
    ['a JWT of another type', { typ: 'JWT' }],
    ['a signed note', { typ: 'note+jwt' }],
    ['no type', { typ: undefined }],
    ['another algorithm named', { alg: 'ES256' }],
    ['an unknown critical extension', { crit: ['exp2'], exp2: 1 }],
  ])('%s', async (_name, over) => {
    const setup = await create();
    const key = await ownKey(setup);
    expect(await setup.tokens.verify(forge(header(setup), claims(), key))).toHaveProperty('sessionId');
    expect(await setup.tokens.verify(forge(header(setup, over), claims(), key))).toBe('forged');
  });
});

test('a token of another installation is worth nothing here, even under the same keys', async () => {
  const { jwtKeys, tokens } = await create();
  const elsewhere = createAccessTokens({ keys: jwtKeys, issuer: randomUUID(), now: Date.now });
  const { accessToken } = await elsewhere.sign(session());
  expect(await tokens.verify(accessToken)).toBe('forged');
});
