import cookie from '@fastify/cookie';
import Fastify, { type InjectOptions } from 'fastify';
import { afterAll, beforeAll } from 'vitest';
import { accessPlugin, SESSION_COOKIE } from '../../src/http/plugins/access.ts';
import { createAccessTokens } from '../../src/http/plugins/access-tokens.ts';
import { openApi } from '../../src/http/plugins/open-api.ts';
import { sendProblem } from '../../src/http/problem.ts';
import { adminRoutes } from '../../src/http/routes/admin.ts';
import { authRoutes } from '../../src/http/routes/auth.ts';
import { jwksRoutes } from '../../src/http/routes/jwks.ts';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from './identity.ts';

/** The identity routes behind the real guard, without the rest of the vault. */
export const buildIdentityApp = async ({ services, jwtKeys, clock, lifetimes }: Identity) => {
  const app = Fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: false } } });
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, error));
  const tokens = createAccessTokens({
    keys: jwtKeys,
    issuer: 'c0ffee00-0000-4000-8000-000000000000',
    lifetimeSeconds: lifetimes.sourceMs / 1000,
    now: clock.now,
  });
  await app.register(cookie);
  await app.register(accessPlugin, { ...services, verifyAccessToken: tokens.verify });
  await app.register(openApi);
  await app.register(jwksRoutes, { keys: jwtKeys });
  await app.register(authRoutes, { prefix: '/v1/auth', services, tokens });
  await app.register(adminRoutes, { prefix: '/v1/admin', services });
  await app.ready();
  return { app, tokens };
};

export type IdentityApp = Awaited<ReturnType<typeof buildIdentityApp>>['app'];

/** The identity routes for the tests of a file, and an organisation whose people use them. */
export const servesIdentity = () => {
  let identity: Identity;
  let home: TestOrganisation;
  let app: IdentityApp;
  beforeAll(async () => {
    identity = await startIdentity();
    home = await newOrganisation(identity);
    ({ app } = await buildIdentityApp(identity));
  });
  afterAll(async () => {
    await app?.close();
    await identity?.close();
  });
  return {
    get identity() {
      return identity;
    },
    get home() {
      return home;
    },
    get app() {
      return app;
    },
  };
};

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** A request as the vault's own page makes it. */
export const fromOwnPage = (value: string, over: Record<string, string> = {}) => ({
  cookie: `${SESSION_COOKIE}=${value}`,
  'sec-fetch-site': 'same-origin',
  'content-type': 'application/json',
  ...over,
});

export const post = (app: IdentityApp, url: string, options: Omit<InjectOptions, 'method' | 'url'> = {}) =>
  app.inject({ method: 'POST', url, ...options });

let places = 0;

/** Signs somebody in over HTTP, from a place of its own so that no other test's failures are in the way. */
export const signInOver = async <P extends { readonly email: string; readonly password: string }>(
  app: IdentityApp,
  person: P,
) => {
  places += 1;
  const answer = await post(app, '/v1/auth/login', {
    payload: { email: person.email, password: person.password },
    remoteAddress: `2001:db8:ffff:${places.toString(16)}::1`,
  });
  if (answer.statusCode !== 200) throw new Error(`signing in answered ${answer.statusCode}`);
  const cookie = answer.cookies.find(({ name }) => name === SESSION_COOKIE)?.value ?? '';
  const { accessToken, user } = answer.json() as {
    accessToken: string;
    user: { readonly passwordChangeRequired: boolean };
  };
  return { person, cookie, accessToken, user };
};
