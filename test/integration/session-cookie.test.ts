import { describe, expect, test } from 'vitest';
import { ROTATION_GRACE_MS } from '../../src/services/session-limits.ts';
import { bearer, fromOwnPage, post, servesIdentity, signInOver } from '../support/identity-app.ts';

const served = servesIdentity();

const signedIn = async () => signInOver(served.app, await served.home.newUser('nurse'));

const withCookie = (
  url: string,
  cookie: string,
  over: Record<string, string> = {},
  payload: object | string = {},
) => post(served.app, url, { headers: fromOwnPage(cookie, over), payload });

describe('the cookie (CSRF)', () => {
  test('refreshes from the own page, with an empty body too', async () => {
    const { cookie } = await signedIn();
    const first = await withCookie('/v1/auth/refresh', cookie);
    expect(first.statusCode).toBe(200);
    expect(first.json()).toEqual({ accessToken: expect.any(String), expiresIn: 300 });
    const [next] = first.cookies;
    expect(next).toMatchObject({
      name: '__Host-cv',
      httpOnly: true,
      secure: true,
      sameSite: 'Strict',
      path: '/',
    });
    const second = await withCookie('/v1/auth/refresh', next?.value ?? '', {}, '');
    expect(second.statusCode).toBe(200);
    const me = await served.app.inject({ url: '/v1/auth/me', headers: bearer(second.json().accessToken) });
    expect(me.statusCode).toBe(200);
  });

  test.each([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a neighbour under the same domain', { 'sec-fetch-site': 'same-site' }],
    ['an address typed in', { 'sec-fetch-site': 'none' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a form with a file', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['plain text', { 'content-type': 'text/plain' }],
    ['something that begins like JSON', { 'content-type': 'application/jsonp' }],
  ])('%s changes nothing', async (_name, over: Record<string, string>) => {
    const { cookie } = await signedIn();
    for (const url of ['/v1/auth/refresh', '/v1/auth/logout', '/v1/auth/password']) {
      const answer = await withCookie(url, cookie, over, '{}');
      expect(answer.statusCode).toBe(403);
      expect(answer.json().code).toBe('cross_site');
    }
    expect((await withCookie('/v1/auth/refresh', cookie)).statusCode).toBe(200);
  });

  test('a client that does not say where it comes from changes nothing', async () => {
    const { cookie } = await signedIn();
    const headers = { cookie: `__Host-cv=${cookie}`, 'content-type': 'application/json' };
    const answer = await post(served.app, '/v1/auth/logout', { headers, payload: {} });
    expect(answer.json().code).toBe('cross_site');
    // Whoever writes such a client is told what is missing.
    expect(answer.json().detail).toContain('Sec-Fetch-Site: same-origin');
    expect(answer.json().detail).toContain('application/json');
  });

  test('does not open what is not for it: administration takes tokens only', async () => {
    const answer = await served.app.inject({
      url: '/v1/admin/users',
      headers: fromOwnPage(served.home.admin.cookie),
    });
    expect(answer.statusCode).toBe(401);
  });

  test('reads who one is, but not for another site', async () => {
    const { cookie, person: nurse } = await signedIn();
    const me = (site: string) =>
      served.app.inject({
        url: '/v1/auth/me',
        headers: { cookie: `__Host-cv=${cookie}`, 'sec-fetch-site': site },
      });
    expect((await me('same-origin')).json().id).toBe(nurse.id);
    expect((await me('cross-site')).statusCode).toBe(403);
    expect((await me('same-site')).statusCode).toBe(403);
  });
});

describe('the cookie has an end', () => {
  test('twice the same value: at once 409, later the session is over', async () => {
    const { cookie } = await signedIn();
    const { cookies } = await withCookie('/v1/auth/refresh', cookie);
    expect((await withCookie('/v1/auth/refresh', cookie)).statusCode).toBe(409);
    served.identity.clock.advance(ROTATION_GRACE_MS + 1);
    expect((await withCookie('/v1/auth/refresh', cookie)).statusCode).toBe(401);
    expect((await withCookie('/v1/auth/refresh', cookies[0]?.value ?? '')).statusCode).toBe(401);
  });

  test('logging out clears it and ends the tokens', async () => {
    const { cookie, accessToken } = await signedIn();
    const answer = await withCookie('/v1/auth/logout', cookie);
    expect(answer.statusCode).toBe(204);
    expect(answer.cookies[0]).toMatchObject({ name: '__Host-cv', value: '', path: '/', secure: true });
    expect((await served.app.inject({ url: '/v1/auth/me', headers: bearer(accessToken) })).statusCode).toBe(
      401,
    );
  });
});
