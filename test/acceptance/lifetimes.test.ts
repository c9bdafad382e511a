import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonOf } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { cookieOf, startScene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** SESSION_HOURS and ACCESS_TOKEN_SECONDS, on a vault that was started with them. */
let scene: Awaited<ReturnType<typeof startScene>>;

beforeAll(async () => {
  scene = await startScene({ SESSION_HOURS: '1', ACCESS_TOKEN_SECONDS: '900' });
});
afterAll(() => scene?.close());

/** As if every sign-in so far had been so much earlier; nothing else about it changes. */
const signedInEarlier = (minutes: number): Promise<unknown> =>
  inDatabase(
    scene.folder,
    (client) =>
      client.query(`UPDATE session SET created_at = created_at - $1 * interval '1 minute'`, [minutes]),
    'superuser',
  );

const refresh = (cookie: string) =>
  scene.http.post('/v1/auth/refresh', {
    headers: { cookie, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' },
  });

test('H-1 a session of one hour ends after one hour, however often it is refreshed', async () => {
  const { cookie } = await scene.own.nurse.signIn();
  await signedInEarlier(50);
  const late = await refresh(cookie);
  // Ten minutes are left of the hour: less than the token would live by itself.
  const { expiresIn, accessToken } = jsonOf<{ expiresIn: number; accessToken: string }>(late, 200);
  expect(expiresIn).toBeLessThanOrEqual(600);
  expect(expiresIn).toBeGreaterThan(500);
  expect((await scene.http.get('/v1/auth/me', { token: accessToken })).status).toBe(200);

  await signedInEarlier(11);
  const over = await refresh(cookieOf(late));
  expectProblem(over, 401, 'unauthenticated');
  expect(over.headers['set-cookie']).toBeUndefined();
});

test('a source’s session lives as long as its token is configured to', async () => {
  const { clientId, clientSecret } = scene.home.source;
  const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret };
  const reply = await scene.http.post('/v1/auth/token', {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  });
  const { access_token: token, expires_in: seconds } = jsonOf<{ access_token: string; expires_in: number }>(
    reply,
    200,
  );
  // Not longer than its session, of which a second may be used up when it is signed.
  expect(seconds).toBeGreaterThan(840);
  expect(seconds).toBeLessThanOrEqual(900);
  const life = await inDatabase(scene.folder, async (client) => {
    const { rows } = await client.query<{ seconds: number }>(
      `SELECT extract(epoch FROM expires_at - created_at)::int AS seconds FROM session WHERE source_id IS NOT NULL`,
    );
    return rows;
  });
  expect(life).toEqual([{ seconds: 900 }]);
  expect((await scene.http.get('/v1/auth/me', { token })).status).toBe(200);
});
