import { describe, expect, test } from 'vitest';
import { bearer, post, servesIdentity } from '../support/identity-app.ts';

const served = servesIdentity();

const FORM = 'application/x-www-form-urlencoded';
const token = (form: string | Record<string, string>, headers: Record<string, string> = {}) =>
  post(served.app, '/v1/auth/token', {
    headers: { 'content-type': FORM, ...headers },
    payload: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  });
const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`,
});
const grant = { grant_type: 'client_credentials' };

describe('POST /v1/auth/token (RFC 6749 §4.4)', () => {
  test('by Basic authentication or in the form', async () => {
    const { source, clientSecret } = await served.home.newSource();
    const byHeader = await token(grant, basic(source.clientId, clientSecret));
    const inForm = await token({
      ...grant,
      client_id: source.clientId,
      client_secret: clientSecret,
      scope: 'x',
      other: 'y',
    });
    for (const answer of [byHeader, inForm]) {
      expect(answer.statusCode).toBe(200);
      expect(answer.json()).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        // Not longer than its session, of which a busy machine may have used up a second.
        expires_in: expect.toSatisfy((seconds: number) => seconds > 290 && seconds <= 300),
      });
      expect(answer.headers['cache-control']).toContain('no-store');
      expect(answer.headers['set-cookie']).toBeUndefined();
      const me = await served.app.inject({ url: '/v1/auth/me', headers: bearer(answer.json().access_token) });
      expect(me.json()).toMatchObject({ id: source.id, type: 'source' });
    }
  });

  test('errors are those of OAuth, with the members of a problem beside them', async () => {
    const { source, clientSecret, apiKey } = await served.home.newSource();
    const client = { client_id: source.clientId, client_secret: clientSecret };
    const cases: [Awaited<ReturnType<typeof token>>, number, string][] = [
      [await token({ ...client }), 400, 'invalid_request'],
      [await token({ ...client, grant_type: 'password' }), 400, 'unsupported_grant_type'],
      [await token({ ...client, ...grant, client_secret: apiKey }), 401, 'invalid_client'],
      [await token(grant), 401, 'invalid_client'],
      [await token(grant, { authorization: 'Bearer x' }), 401, 'invalid_client'],
      [await token(grant, { authorization: 'Basic %%%' }), 401, 'invalid_client'],
      [
        await token(grant, { authorization: `Basic ${Buffer.from('%E0%A4%A:x').toString('base64')}` }),
        401,
        'invalid_client',
      ],
      [await token({ ...grant, ...client }, basic(source.clientId, clientSecret)), 400, 'invalid_request'],
      [
        await token({ ...grant, client_id: 'other' }, basic(source.clientId, clientSecret)),
        400,
        'invalid_request',
      ],
      [await token(`grant_type=client_credentials&grant_type=client_credentials`), 400, 'invalid_request'],
      [await token({ ...grant, client_id: 'x'.repeat(201) }), 400, 'invalid_request'],
      [await token('a&'.repeat(30)), 400, 'invalid_request'],
    ];
    for (const [answer, status, error] of cases) {
      expect([answer.statusCode, answer.json().error]).toEqual([status, error]);
      expect(answer.json()).toMatchObject({
        status,
        error_description: expect.any(String),
        requestId: expect.any(String),
      });
      expect(answer.headers['content-type']).toMatch(/^application\/json/);
      expect(answer.headers['cache-control']).toContain('no-store');
      if (status === 401) expect(answer.headers['www-authenticate']).toBe('Basic realm="callvault"');
    }
  });

  test('nothing but a small form is read', async () => {
    expect((await token(JSON.stringify(grant), { 'content-type': 'application/json' })).statusCode).toBe(415);
    expect((await token(`x=${'y'.repeat(10_000)}`)).statusCode).toBe(413);
  });
});
