import { describe, expect, test } from 'vitest';
import { bearer, fromOwnPage, post, servesIdentity, signInOver } from '../support/identity-app.ts';

const served = servesIdentity();

let address = 0;
/** From a place of its own, so that no other test's failures are in the way. */
const login = (payload: object, headers: Record<string, string> = {}) => {
  address += 1;
  const remoteAddress = `2001:db8:${address.toString(16)}::1`;
  return post(served.app, '/v1/auth/login', { payload, headers, remoteAddress });
};
const signedIn = async () => signInOver(served.app, await served.home.newUser('nurse'));

describe('POST /v1/auth/login', () => {
  test('answers with a token, the person, and a cookie no script can read and no other site can send', async () => {
    const unit = await served.home.newUnit('Akuten');
    const nurse = await served.home.newUser('nurse', [unit.id]);
    const answer = await login({ email: nurse.email, password: nurse.password });
    expect(answer.json()).toEqual({
      accessToken: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      expiresIn: 300,
      user: {
        id: nurse.id,
        type: 'user',
        role: 'nurse',
        name: 'nurse',
        email: nurse.email,
        organisation: { id: served.home.id, name: expect.any(String) },
        units: [{ id: unit.id, name: 'Akuten' }],
        passwordChangeRequired: false,
      },
    });
    const [cookie, ...others] = [answer.headers['set-cookie']].flat();
    expect(others).toEqual([]);
    const [pair, ...attributes] = (cookie ?? '').split('; ');
    expect(pair).toMatch(/^__Host-cv=cv_ref_[\w-]{47}$/);
    expect(attributes.toSorted()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Strict', 'Secure']);
    expect(answer.headers['cache-control']).toBe('private, no-store');
    expect(answer.body).not.toContain('cv_ref_');
  });

  test('unknown user, wrong password and disabled account get one answer', async () => {
    const nurse = await served.home.newUser('nurse');
    const gone = await served.home.newUser('nurse');
    await served.identity.services.userAccess.disable(served.home.caller(), gone.id);
    const answers = await Promise.all([
      login({ email: nurse.email, password: 'wrong' }),
      login({ email: 'nobody@x.example', password: 'wrong' }),
      login({ email: gone.email, password: gone.password }),
    ]);
    const shown = answers.map((answer) => {
      const { requestId, ...body } = answer.json();
      return {
        status: answer.statusCode,
        type: answer.headers['content-type'],
        cookie: answer.headers['set-cookie'],
        body,
      };
    });
    expect(shown[0]).toMatchObject({ status: 401, body: { code: 'unauthenticated' }, cookie: undefined });
    expect(shown[1]).toEqual(shown[0]);
    expect(shown[2]).toEqual(shown[0]);
  });
});

describe('POST /v1/auth/login with what nobody should send', () => {
  test.each<[string, Parameters<typeof login>[0]]>([
    ['nothing', {}],
    ['a number', { email: 'a@b.se', password: 12345678 }],
    ['an unknown field', { email: 'a@b.se', password: 'x', admin: true }],
    ['a list', []],
    ['a long password', { email: 'a@b.se', password: 'x'.repeat(201) }],
  ])('%s is a 400 that names the fault and repeats no value', async (_name, payload) => {
    const answer = await login(payload);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({
      code: 'invalid_request',
      faults: [{ where: expect.stringMatching(/^body/) }],
    });
    expect(answer.body).not.toContain('12345678');
  });

  test('a form is no JSON, and a page of another site does not sign anybody in', async () => {
    const nurse = await served.home.newUser('nurse');
    const body = { email: nurse.email, password: nurse.password };
    const form = await post(served.app, '/v1/auth/login', {
      payload: new URLSearchParams(body).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(form.statusCode).toBe(415);
    const text = await post(served.app, '/v1/auth/login', {
      payload: JSON.stringify(body),
      headers: { 'content-type': 'text/plain' },
    });
    expect([400, 415]).toContain(text.statusCode);
    for (const site of ['cross-site', 'same-site']) {
      const answer = await login(body, { 'sec-fetch-site': site });
      expect(answer.statusCode).toBe(403);
      expect(answer.json().code).toBe('cross_site');
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
    for (const site of ['same-origin', 'none'])
      expect((await login(body, { 'sec-fetch-site': site })).statusCode).toBe(200);
  });
});

describe('POST /v1/auth/login under pressure', () => {
  test('too many guesses: 429 with the seconds to wait', async () => {
    const nurse = await served.home.newUser('nurse');
    const guess = () =>
      post(served.app, '/v1/auth/login', {
        payload: { email: nurse.email, password: 'guess' },
        remoteAddress: '203.0.113.5',
      });
    const answer = await served.identity.clock.standStill(async () => {
      for (let i = 0; i < 10; i += 1) expect((await guess()).statusCode).toBe(401);
      return guess();
    });
    expect(answer.statusCode).toBe(429);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('with the log away: 503, no token, no cookie', async () => {
    const nurse = await served.home.newUser('nurse');
    await served.identity.stopLog();
    try {
      const answer = await login({ email: nurse.email, password: nurse.password });
      expect(answer.statusCode).toBe(503);
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(answer.body).not.toContain('accessToken');
      expect(answer.headers['retry-after']).toBeDefined();
    } finally {
      await served.identity.resumeLog();
      await expect.poll(() => served.identity.audit.state()).toBe('ready');
    }
  });
});

describe('tokens', () => {
  test('logging out with a token needs no cookie and no body', async () => {
    const { accessToken } = await signedIn();
    const answer = await post(served.app, '/v1/auth/logout', { headers: bearer(accessToken) });
    expect(answer.statusCode).toBe(204);
    expect((await served.app.inject({ url: '/v1/auth/me', headers: bearer(accessToken) })).statusCode).toBe(
      401,
    );
  });

  test('a disabled user is out at the next request, token or cookie', async () => {
    const { person: nurse, cookie, accessToken } = await signedIn();
    const me = (headers: Record<string, string>) => served.app.inject({ url: '/v1/auth/me', headers });
    expect((await me(bearer(accessToken))).statusCode).toBe(200);
    await served.identity.services.userAccess.disable(served.home.caller(), nurse.id);
    expect((await me(bearer(accessToken))).statusCode).toBe(401);
    expect((await me(fromOwnPage(cookie))).statusCode).toBe(401);
  });

  test('a forged token is a 401 and counted in the log; an expired one is only a 401', async () => {
    const { accessToken } = await signedIn();
    const before = (await served.identity.entries('session.refused')).length;
    const ask = (token: string, remoteAddress: string) =>
      served.app.inject({ url: '/v1/auth/me', headers: bearer(token), remoteAddress });
    const answer = await ask(`${accessToken.slice(0, -6)}AAAAAA`, '203.0.113.77');
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="callvault"');
    expect((await served.identity.entries('session.refused')).slice(before)).toMatchObject([
      { detail: { reason: 'forged_token', account: null, count: 1 } },
    ]);
    const expired = await served.identity.jwtKeys.sign({
      iss: 'c0ffee00-0000-4000-8000-000000000000',
      aud: 'callvault',
      sub: 'x',
      sid: served.home.id,
      iat: 1_700_000_000,
      exp: 1_700_000_300,
    });
    expect((await ask(expired, '203.0.114.77')).statusCode).toBe(401);
    expect((await served.identity.entries('session.refused')).length).toBe(before + 1);
  });

  test('an unknown API key is counted, a known one is who it is', async () => {
    const { apiKey, source } = await served.home.newSource();
    const ask = (token: string) =>
      served.app.inject({ url: '/v1/auth/me', headers: bearer(token), remoteAddress: '203.0.115.1' });
    expect((await ask(apiKey)).json()).toMatchObject({ id: source.id, type: 'source' });
    expect((await ask(`${apiKey.slice(0, -1)}_`)).statusCode).toBe(401);
    expect((await served.identity.entries('session.refused')).at(-1)?.detail.reason).toBe('unknown_key');
  });

  test.each([
    ['another scheme', 'Basic YTpi'],
    ['a scheme and nothing', 'Bearer'],
    ['a scheme and a blank', 'Bearer '],
    ['two words', 'Bearer a b'],
    ['markup', 'Bearer <script>'],
    ['5 kB', `Bearer ${'x'.repeat(5_000)}`],
    ['an unknown scheme', 'Token abc'],
    ['nothing', ''],
  ])('%s is no credential', async (_name, authorization) => {
    const answer = await served.app.inject({ url: '/v1/auth/me', headers: { authorization } });
    expect(answer.statusCode).toBe(401);
  });

  test('the public keys are for everyone, and only public', async () => {
    const answer = await served.app.inject({ url: '/.well-known/jwks.json' });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual(await served.identity.jwtKeys.jwks());
    expect(answer.body).not.toContain('"d"');
  });
});

describe('POST /v1/auth/password', () => {
  test('changes it, with the current one', async () => {
    const { person: nurse, accessToken } = await signedIn();
    const change = (currentPassword: string, newPassword: string) =>
      post(served.app, '/v1/auth/password', {
        headers: bearer(accessToken),
        payload: { currentPassword, newPassword },
      });
    expect((await change('wrong', 'en helt ny mening')).statusCode).toBe(403);
    const weak = await change(nurse.password, 'nurse');
    expect(weak.json()).toMatchObject({ code: 'invalid_request', faults: [{ where: 'body/newPassword' }] });
    expect((await change(nurse.password, 'en helt ny mening')).statusCode).toBe(204);
    expect((await login({ email: nurse.email, password: 'en helt ny mening' })).statusCode).toBe(200);
    expect((await login({ email: nurse.email, password: nurse.password })).statusCode).toBe(401);
  });

  test('is not changed to itself', async () => {
    const { person: nurse, accessToken } = await signedIn();
    const same = { currentPassword: nurse.password, newPassword: nurse.password };
    const answer = await post(served.app, '/v1/auth/password', {
      headers: bearer(accessToken),
      payload: same,
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'invalid_request', faults: [{ where: 'body/newPassword' }] });
  });

  test('one that an administrator has made opens nothing but the way to another; each refusal is an entry', async () => {
    const { id, email } = await served.home.newUser('compliance');
    const reset = await served.identity.services.userAccess.resetPassword(served.home.caller(), id);
    const { accessToken: token, user } = await signInOver(served.app, {
      email,
      password: reset.initialPassword,
    });
    const due = async () =>
      (await served.app.inject({ url: '/v1/auth/me', headers: bearer(token) })).json().passwordChangeRequired;
    expect([user.passwordChangeRequired, await due()]).toEqual([true, true]);
    const read = () => served.app.inject({ url: '/v1/admin/users', headers: bearer(token) });
    const before = (await served.identity.entries('access.denied')).length;
    const answer = await read();
    expect(answer.statusCode).toBe(403);
    expect(answer.json()).toMatchObject({ code: 'password_change_required' });
    expect((await served.identity.entries('access.denied')).slice(before)).toMatchObject([
      { actor: { id }, detail: { route: '/v1/admin/users', reason: 'initial_password' } },
    ]);
    const change = (newPassword: string) =>
      post(served.app, '/v1/auth/password', {
        headers: bearer(token),
        payload: { currentPassword: reset.initialPassword, newPassword },
      });
    expect((await change(reset.initialPassword)).statusCode).toBe(400);
    expect((await read()).json()).toMatchObject({ code: 'password_change_required' });
    expect((await change('min alldeles egna mening')).statusCode).toBe(204);
    expect(await due()).toBe(false);
    const newPassword = 'min alldeles egna mening';
    expect((await signInOver(served.app, { email, password: newPassword })).user.passwordChangeRequired).toBe(
      false,
    );
    // From here on it is the role that decides.
    expect((await read()).json()).toMatchObject({ code: 'forbidden' });
    const changes = (await served.identity.entries('user.changed')).filter(
      ({ detail }) => detail.target === id,
    );
    expect(changes.map(({ detail }) => detail.change).slice(-2)).toEqual(['password reset', 'own_password']);
  });

  test('is not for sources', async () => {
    const { apiKey } = await served.home.newSource();
    const payload = { currentPassword: 'x', newPassword: 'en helt ny mening' };
    const answer = await post(served.app, '/v1/auth/password', { headers: bearer(apiKey), payload });
    expect(answer.statusCode).toBe(403);
  });
});
