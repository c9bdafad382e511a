import { createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonOf } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';
import { closeUnharmed, expectUnchanged } from '../support/unchanged.ts';

/** Credentials that are forged, misplaced, another’s or sent by another site: each refused; nothing told, the process alive. */
let scene: Awaited<ReturnType<typeof startScene>>;
let nurse: string;

beforeAll(async () => {
  scene = await startScene();
  nurse = await scene.own.nurse.token();
});
afterAll(() => closeUnharmed(scene));
expectUnchanged(() => scene.folder);

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Tokens that somebody made who has everything but the key. */
const forgeries = async (): Promise<Record<string, string>> => {
  const [head = '', payload = '', signature = ''] = nurse.split('.');
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>;
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const signed = (by: Record<string, unknown>, says: Record<string, unknown>): string => {
    const text = `${encoded(by)}.${encoded(says)}`;
    return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
  };
  const { keys } = jsonOf<{ keys: Record<string, string>[] }>(
    await scene.http.get('/.well-known/jwks.json'),
    200,
  );
  const pem = createPublicKey({ key: keys[0] as never, format: 'jwk' }).export({
    type: 'spki',
    format: 'pem',
  });
  const hmac = (alg: string): string => {
    const text = `${encoded({ ...header, alg })}.${payload}`;
    return `${text}.${createHmac(alg === 'HS256' ? 'sha256' : 'sha512', pem)
      .update(text)
      .digest('base64url')}`;
  };
  const changed = (change: object): string => `${head}.${encoded({ ...claims, ...change })}.${signature}`;
  return {
    'no algorithm': `${encoded({ ...header, alg: 'none' })}.${payload}.`,
    'no algorithm, in capitals': `${encoded({ ...header, alg: 'NONE' })}.${payload}.${signature}`,
    'no signature': `${head}.${payload}.`,
    'half a signature': nurse.slice(0, -40),
    'another key': signed(header, claims),
    'a key of its own': signed({ ...header, jwk: publicKey.export({ format: 'jwk' }) }, claims),
    'a key from elsewhere': signed(
      { ...header, jku: 'http://127.0.0.1/keys', x5u: 'http://127.0.0.1/x' },
      claims,
    ),
    'an unknown key': signed({ ...header, kid: 'unknown' }, claims),
    'a key that is a path': signed({ ...header, kid: '../../../../dev/null' }, claims),
    'a key that is no text': signed({ ...header, kid: 5 }, claims),
    'the public key as a secret': hmac('HS256'),
    'the public key as a long secret': hmac('HS512'),
    'another audience': changed({ aud: 'another' }),
    'another issuer': changed({ iss: randomUUID() }),
    'another session': changed({ sid: randomUUID() }),
    'no end': changed({ exp: 9_999_999_999 }),
    'another kind of token': signed({ ...header, typ: 'JWT' }, claims),
    'three dots': '...',
    'no token at all': 'null',
    'very long': 'a'.repeat(5000),
    'an API key with another name': scene.home.source.apiKey.replace('cv_', 'vc_'),
    'an API key, shortened': scene.home.source.apiKey.slice(0, -1),
    'an API key, in capitals': scene.home.source.apiKey.toUpperCase(),
    'a client secret': scene.home.source.clientSecret,
    'a password': scene.own.nurse.password,
  };
};

test('ASVS 9.1 a forged token opens nothing, whatever is forged: 401', async () => {
  for (const [what, token] of Object.entries(await forgeries()))
    for (const path of [
      '/v1/auth/me',
      `/v1/recordings/${scene.own.recording.id}`,
      `/v1/playbacks/${randomUUID()}/audio`,
    ]) {
      const reply = await scene.http.get(path, { token });
      expect([what, path, reply.status]).toEqual([what, path, 401]);
      expectProblem(reply, 401, 'unauthenticated');
      expect(reply.headers['www-authenticate']).toBe('Bearer realm="callvault"');
    }
  const auditor = await scene.installationAuditor.token();
  const told = await scene.http.post('/v1/audit/search', {
    token: auditor,
    json: { action: 'session.refused' },
  });
  const reasons = jsonOf<{ entries: { detail: { reason: string } }[] }>(told, 200).entries;
  expect(reasons.map(({ detail }) => detail.reason)).toContain('forged_token');
});

test('ASVS 14.2.1 a credential anywhere but in its place is none', async () => {
  const { cookie } = await scene.own.nurse.signIn();
  const value = cookie.slice('__Host-cv='.length);
  const { apiKey } = scene.home.source;
  const asks = [
    { headers: { authorization: `Basic ${Buffer.from(`nurse:${nurse}`).toString('base64')}` } },
    { headers: { authorization: nurse } },
    { headers: { authorization: `Bearer ${nurse}, Bearer ${nurse}` } },
    { headers: { authorization: 'Bearer' } },
    { headers: { 'x-api-key': apiKey } },
    { headers: { cookie: `access_token=${nurse}; session=${value}; cv=${value}; __Host-cv=${nurse}` } },
    { token: value },
  ];
  for (const ask of asks) expectProblem(await scene.http.get('/v1/auth/me', ask), 401, 'unauthenticated');
  for (const name of ['access_token', 'token', 'key'])
    expectProblem(await scene.http.get(`/v1/auth/me?${name}=${nurse}`), 401, 'unauthenticated');
});

test('PDL-2 a source’s key or token is worth nothing but for delivering', async () => {
  for (const path of [
    '/v1/recordings/search',
    `/v1/recordings/${scene.own.recording.id}/playbacks`,
    '/v1/audit/search',
  ])
    expectProblem(
      await scene.http.post(path, { token: scene.home.source.apiKey, json: {} }),
      403,
      'forbidden',
    );
  const reply = await scene.http.get(`/v1/playbacks/${randomUUID()}/audio`, {
    token: scene.home.source.apiKey,
  });
  expectProblem(reply, 403, 'forbidden');
});

test('the session’s cookie is bound to host, TLS, HTTP and our own site', async () => {
  const { email, password } = scene.own.nurse;
  const reply = await scene.http.post('/v1/auth/login', { json: { email, password } });
  const [line = ''] = reply.headers['set-cookie'] ?? [];
  const [, ...attributes] = line.split('; ');
  expect(line).toMatch(/^__Host-cv=[\w-]{40,}; /);
  expect(new Set(attributes)).toEqual(new Set(['Path=/', 'HttpOnly', 'Secure', 'SameSite=Strict']));
});

test('another site has no use of the session, and reads nothing', async () => {
  const { cookie } = await scene.own.nurse.signIn();
  const json = 'application/json';
  const foreign: readonly Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site', 'content-type': json },
    { 'sec-fetch-site': 'same-site', 'content-type': json },
    { 'sec-fetch-site': 'none', 'content-type': json },
    { 'content-type': json },
    { 'sec-fetch-site': 'same-origin', 'content-type': 'text/plain' },
    { 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' },
    { 'sec-fetch-site': 'same-origin' },
  ];
  for (const headers of foreign)
    for (const path of [
      '/v1/auth/logout',
      '/v1/auth/refresh',
      '/v1/auth/password',
      `/v1/playbacks/${randomUUID()}/heard`,
    ])
      expectProblem(
        await scene.http.post(path, { body: '{}', headers: { ...headers, cookie } }),
        403,
        'cross_site',
      );
  for (const site of ['cross-site', 'same-site']) {
    const headers = { cookie, 'sec-fetch-site': site };
    expectProblem(await scene.http.get('/v1/auth/me', { headers }), 403, 'cross_site');
    const { email, password } = scene.own.nurse;
    const login = { json: { email, password }, headers: { 'sec-fetch-site': site } };
    expectProblem(await scene.http.post('/v1/auth/login', login), 403, 'cross_site');
  }
  const still = await scene.http.get('/v1/auth/me', { headers: { cookie, 'sec-fetch-site': 'same-origin' } });
  expect(still.status).toBe(200);
});

test('no origin is allowed anything: a preflight is answered like any unknown method', async () => {
  const headers = {
    origin: 'https://evil.example',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  };
  for (const path of ['/v1/auth/login', '/v1/recordings/search', `/v1/playbacks/${randomUUID()}/audio`]) {
    const reply = await scene.http.ask('OPTIONS', path, { headers });
    expectProblem(reply, 405, 'method_not_allowed');
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  }
});
