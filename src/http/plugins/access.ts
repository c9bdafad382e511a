import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Action, type ActorContext, mayEver, mustChoosePassword } from '../../core/access.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import type { Authenticate, Credential } from '../../services/authenticate.ts';
import type { RecordDenial } from '../../services/record-denial.ts';
import type { RecordRefusedCredential, RefusedCredential } from '../../services/record-refused-credential.ts';
import { formatOf } from '../answer-format.ts';
import type { RouteAccess } from '../route-access.ts';
import type { AccessTokens } from './access-tokens.ts';

export type AccessDeps = {
  readonly authenticate: Authenticate;
  readonly recordDenial: RecordDenial;
  readonly recordRefusedCredential: RecordRefusedCredential;
  /** Verifies signature, algorithm, type, issuer, audience and time of an access token. */
  readonly verifyAccessToken: AccessTokens['verify'];
};

export const SESSION_COOKIE = '__Host-cv';
const API_KEY_PREFIX = 'cv_';
/** Longer credentials are refused unread: attacker-controlled. */
const MAX_CREDENTIAL = 4096;

const unauthenticated = (): AppError =>
  new AppError('unauthenticated', 'Sign in first: no valid credential came with this request.');

/** What this vault never gave, or took back, is counted in the log; what has merely expired is not worth an entry. */
const recordRefused = (
  request: FastifyRequest,
  reason: RefusedCredential['reason'],
  deps: AccessDeps,
): Promise<void> => deps.recordRefusedCredential({ address: request.ip, reason, request: request.id });

const bearerCredential = async (
  request: FastifyRequest,
  header: string,
  deps: AccessDeps,
): Promise<Credential> => {
  const match = header.length > MAX_CREDENTIAL ? null : /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header);
  const value = match?.[1];
  if (value === undefined) throw unauthenticated();
  if (value.startsWith(API_KEY_PREFIX)) return { kind: 'api_key', value };
  const verdict = await deps.verifyAccessToken(value);
  if (verdict === 'forged') await recordRefused(request, 'forged_token', deps);
  if (verdict === 'forged' || verdict === 'expired') throw unauthenticated();
  return { kind: 'session', sessionId: verdict.sessionId };
};

/** What follows the first colon is the API key, whatever the user is called. `header` is attacker-controlled. */
const basicCredential = async (header: string): Promise<Credential> => {
  const encoded =
    header.length > MAX_CREDENTIAL ? undefined : /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  const text = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('latin1');
  const value = text.slice(text.indexOf(':') + 1);
  if (!text.includes(':') || !value.startsWith(API_KEY_PREFIX)) throw unauthenticated();
  return { kind: 'api_key', value };
};

/** A page of another site has no business here. Clients that are no browsers send no `Sec-Fetch-Site`. */
export const assertNotOtherSite = (request: FastifyRequest): void => {
  const site = request.headers['sec-fetch-site'];
  if (site === 'cross-site' || site === 'same-site')
    throw new AppError('cross_site', 'This address is not for other sites.');
};

/**
 * A browser attaches the cookie by itself, so a request that changes something must prove that our own page made it:
 * same origin and JSON, which a foreign page cannot send without a preflight that nobody answers.
 */
const assertSameOrigin = (request: FastifyRequest): void => {
  if (request.method === 'GET' || request.method === 'HEAD') {
    assertNotOtherSite(request);
    return;
  }
  const site = request.headers['sec-fetch-site'];
  if (site !== 'same-origin' || !/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    throw new AppError(
      'cross_site',
      'A request that changes something with the session cookie needs the headers Sec-Fetch-Site: same-origin, which browsers send by themselves, and Content-Type: application/json.',
    );
};

const credentialOf = async (
  request: FastifyRequest,
  access: Exclude<RouteAccess, 'public'>,
  deps: AccessDeps,
): Promise<Credential> => {
  const { authorization } = request.headers;
  const { credential } = access;
  if (authorization !== undefined)
    return credential === 'basic' && /^basic /i.test(authorization)
      ? basicCredential(authorization)
      : bearerCredential(request, authorization, deps);
  const cookie =
    credential === 'cookie' || credential === 'piece' ? request.cookies[SESSION_COOKIE] : undefined;
  if (cookie === undefined || cookie === '' || cookie.length > MAX_CREDENTIAL) throw unauthenticated();
  assertSameOrigin(request);
  return { kind: 'cookie', value: cookie };
};

const admit = async (request: FastifyRequest, access: RouteAccess, deps: AccessDeps): Promise<void> => {
  if (access === 'public' || access.credential === 'signature') return;
  const credential = await credentialOf(request, access, deps);
  request.credential = credential;
  if (access.credential === 'piece') return;
  const actor = await deps.authenticate(credential).catch(async (error: unknown) => {
    if (credential.kind === 'api_key' && isAppError(error, 'unauthenticated'))
      await recordRefused(request, 'unknown_key', deps);
    throw error;
  });
  request.actor = actor;
  await permit(request, actor, access.action, deps);
};

/** Refused to a role whatever it asks about, and to whoever still has a password of somebody else; the refusal is an entry. */
const permit = async (
  request: FastifyRequest,
  actor: ActorContext,
  action: Action,
  deps: AccessDeps,
): Promise<void> => {
  const route = request.routeOptions.url ?? 'unknown';
  const { id } = request.params as { readonly id?: string };
  const recording = route.startsWith('/v1/recordings/:id') ? id : undefined;
  const denial = { actor, request: request.id, route, recording };
  if (mustChoosePassword(actor, action)) {
    await deps.recordDenial({ ...denial, reason: 'initial_password' });
    throw new AppError(
      'password_change_required',
      'This password was made by somebody else: choose your own first (POST /v1/auth/password).',
    );
  }
  if (mayEver(actor.role, action)) return;
  await deps.recordDenial({ ...denial, reason: 'role' });
  throw new AppError('forbidden', `Your role does not permit this (${action}).`);
};

/** Whether it is a file that is asked for may stand in the body; nothing has been done yet when it is known. */
const admitFile = async (request: FastifyRequest, deps: AccessDeps): Promise<void> => {
  const { access } = request.routeOptions.config;
  if (access === undefined || access === 'public' || access.file === undefined) return;
  request.answerFormat = formatOf(request, access.file.offers);
  if (request.answerFormat !== 'json') await permit(request, actorOf(request), access.file.action, deps);
};

/**
 * Deny by default: from here on a route without declared access stops the boot. To be called before anything else can
 * register one.
 */
export const demandDeclaredAccess = (app: FastifyInstance): void => {
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined)
      throw new Error(
        `The route ${String(route.method)} ${route.url} declares no access; the server does not start.`,
      );
  });
};

/** Every request is decided in `onRequest`, before a byte of its body is read. */
export const accessPlugin = fp(
  async (app: FastifyInstance, deps: AccessDeps) => {
    app.decorateRequest('actor', null);
    app.decorateRequest('credential', null);
    app.decorateRequest('answerFormat', 'json');
    app.addHook('preHandler', (request) => admitFile(request, deps));
    app.addHook('onRequest', async (request) => {
      const { access } = request.routeOptions.config;
      if (access !== undefined) await admit(request, access, deps);
      // Not found: there is no route and nothing to guard; the handler answers 404 to everyone alike.
      else if (!request.is404) throw new AppError('internal', 'a route that declares no access');
    });
  },
  { name: 'access', dependencies: ['@fastify/cookie'] },
);

/** The actor of a guarded route. Throws if the guard did not run, so a mistake in wiring cannot become an open door. */
export const actorOf = (request: FastifyRequest): ActorContext => {
  if (request.actor === null) throw new AppError('internal', 'no actor on a guarded route');
  return request.actor;
};

/** The credential of a guarded route. Throws if the guard did not run. */
export const provenBy = (request: FastifyRequest): Credential => {
  if (request.credential === null) throw new AppError('internal', 'no credential on a guarded route');
  return request.credential;
};
