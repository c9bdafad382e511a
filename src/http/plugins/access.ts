import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type ActorContext, mayEver } from '../../core/access.ts';
import { AppError } from '../../core/errors.ts';
import type { Authenticate, Credential } from '../../services/authenticate.ts';
import type { RecordDenial } from '../../services/record-denial.ts';
import type { RouteAccess } from '../route-access.ts';

export type AccessDeps = {
  readonly authenticate: Authenticate;
  readonly recordDenial: RecordDenial;
  /** Verifies signature, algorithm, type, issuer, audience and time of an access token; null when any is wrong. */
  readonly verifyAccessToken: (token: string) => { readonly sessionId: string } | null;
};

export const SESSION_COOKIE = '__Host-cv';
const API_KEY_PREFIX = 'cv_';
/** Longer credentials are refused unread: attacker-controlled. */
const MAX_CREDENTIAL = 4096;

const unauthenticated = (): AppError =>
  new AppError('unauthenticated', 'Sign in first: no valid credential came with this request.');

const bearerCredential = (header: string, verify: AccessDeps['verifyAccessToken']): Credential => {
  const match = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header);
  const value = match?.[1];
  if (value === undefined || header.length > MAX_CREDENTIAL) throw unauthenticated();
  if (value.startsWith(API_KEY_PREFIX)) return { kind: 'api_key', value };
  const token = verify(value);
  if (token === null) throw unauthenticated();
  return { kind: 'session', sessionId: token.sessionId };
};

/**
 * A browser attaches the cookie by itself, so a request that changes something must prove that our own page made it:
 * same origin and JSON, which a foreign page cannot send without a preflight that nobody answers.
 */
const assertSameOrigin = (request: FastifyRequest): void => {
  const site = request.headers['sec-fetch-site'];
  if (request.method === 'GET' || request.method === 'HEAD') {
    if (site === 'cross-site' || site === 'same-site')
      throw new AppError('cross_site', 'This address is not for other sites.');
    return;
  }
  if (site !== 'same-origin' || !/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    throw new AppError('cross_site', 'A request with the session cookie must be same-origin and JSON.');
};

const credentialOf = (
  request: FastifyRequest,
  access: Exclude<RouteAccess, 'public'>,
  deps: AccessDeps,
): Credential => {
  const { authorization } = request.headers;
  if (authorization !== undefined) return bearerCredential(authorization, deps.verifyAccessToken);
  const cookie = access.credential === undefined ? undefined : request.cookies[SESSION_COOKIE];
  if (cookie === undefined || cookie === '' || cookie.length > MAX_CREDENTIAL) throw unauthenticated();
  assertSameOrigin(request);
  return { kind: 'cookie', value: cookie };
};

const admit = async (request: FastifyRequest, access: RouteAccess, deps: AccessDeps): Promise<void> => {
  if (access === 'public') return;
  request.credential = credentialOf(request, access, deps);
  if (access.credential === 'piece') return;
  const actor = await deps.authenticate(request.credential);
  request.actor = actor;
  if (mayEver(actor.role, access.action)) return;
  await deps.recordDenial({
    actor,
    request: request.id,
    route: request.routeOptions.url ?? 'unknown',
    reason: 'role',
  });
  throw new AppError('forbidden', `Your role does not permit this (${access.action}).`);
};

/** Deny by default: a route without declared access stops the boot; every request is decided in `onRequest`. */
export const accessPlugin = fp(
  async (app: FastifyInstance, deps: AccessDeps) => {
    app.decorateRequest('actor', null);
    app.decorateRequest('credential', null);
    app.addHook('onRoute', (route) => {
      if (route.config?.access === undefined)
        throw new Error(`The route ${String(route.method)} ${route.url} declares no access; the server does not start.`);
    });
    app.addHook('onRequest', async (request) => {
      const { access } = request.routeOptions.config;
      // Not found: there is no route and nothing to guard; the handler answers 404 to everyone alike.
      if (access !== undefined) await admit(request, access, deps);
    });
  },
  { name: 'access', dependencies: ['@fastify/cookie'] },
);

/** The actor of a guarded route. Throws if the guard did not run, so a mistake in wiring cannot become an open door. */
export const actorOf = (request: FastifyRequest): ActorContext => {
  if (request.actor === null) throw new AppError('internal', 'no actor on a guarded route');
  return request.actor;
};
