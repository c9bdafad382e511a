import { randomUUID } from 'node:crypto';
import type { Server as HttpServer } from 'node:http';
import type { Readable } from 'node:stream';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import underPressure from '@fastify/under-pressure';
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { AppError } from './core/errors.ts';
import { peersOf } from './core/network-address.ts';
import { bodyInTime, isAwaited } from './http/body-deadline.ts';
import { closeAddresses } from './http/closed-addresses.ts';
import { leaveFilesUnread } from './http/head-requests.ts';
import { answerBrokenHttp, createHttpServer, type Tls } from './http/http-server.ts';
import { acceptJson } from './http/json-body.ts';
import { rememberAddresses } from './http/known-addresses.ts';
import { assertMeantForUpload } from './http/method-override.ts';
import { accessPlugin, demandDeclaredAccess } from './http/plugins/access.ts';
import { type AccessTokenDeps, createAccessTokens } from './http/plugins/access-tokens.ts';
import { type Metrics, observeRequests } from './http/plugins/metrics.ts';
import { openApi } from './http/plugins/open-api.ts';
import { sendProblem } from './http/problem.ts';
import { adminRoutes } from './http/routes/admin.ts';
import { twilioSettingRoutes } from './http/routes/admin-twilio.ts';
import { webhookRoutes } from './http/routes/admin-webhooks.ts';
import { assignmentRoutes } from './http/routes/assignments.ts';
import { auditRoutes } from './http/routes/audit.ts';
import { auditCheckpointRoutes } from './http/routes/audit-checkpoint.ts';
import { auditExportRoutes } from './http/routes/audit-export.ts';
import { auditProofRoutes } from './http/routes/audit-proofs.ts';
import { auditQuestionRoutes } from './http/routes/audit-questions.ts';
import { authRoutes } from './http/routes/auth.ts';
import { callRoutes } from './http/routes/calls.ts';
import { healthRoutes } from './http/routes/health.ts';
import { holdRoutes } from './http/routes/holds.ts';
import { importRoutes } from './http/routes/imports.ts';
import { ingestRoutes } from './http/routes/ingest.ts';
import { jwksRoutes } from './http/routes/jwks.ts';
import { playbackRoutes } from './http/routes/playbacks.ts';
import { radarRoutes } from './http/routes/radar.ts';
import { recordingRoutes } from './http/routes/recordings.ts';
import { twilioRoutes } from './http/routes/twilio.ts';
import { uploadRoutes } from './http/routes/uploads.ts';
import type { Services } from './services/services.ts';

export type AppDeps = {
  readonly services: Services;
  readonly accessTokens: AccessTokenDeps;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: {
    readonly maxUploadBytes: number;
    /** Requests per minute and address before authentication counts. */
    readonly requestsPerMinute: number;
  };
  /** Addresses of proxies whose X-Forwarded-For is believed, and who alone may come from elsewhere without TLS; empty: nobody. */
  readonly trustedProxies: readonly string[];
  readonly tls: Tls | null;
};

export type App = FastifyInstance<HttpServer>;

/** JSON bodies are small; audio is streamed past this limit by the ingest routes, which count bytes themselves. */
const JSON_BODY_LIMIT = 64 * 1024;

/**
 * Builds the server: plugins and routes in the order in which they guard. Never listens, never reads the environment.
 * Throws when a route declares no access, or parameters of its address that it does not name.
 */
export const buildApp = async (deps: AppDeps): Promise<App> => {
  const app = createServer(deps);
  demandDeclaredAccess(app);
  closeAddresses(app);
  const assertMethod = rememberAddresses(app);
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, error));
  acceptJson(app, { emptyIs: 'refused' });
  await app.register(observeRequests, { metrics: deps.metrics });
  await app.register(helmet, helmetOptions);
  guardRequests(app);
  await app.register(underPressure, {
    maxEventLoopDelay: 3_000,
    pressureHandler: createPressureHandler(app),
  });
  await app.register(rateLimit, rateLimitOptions(deps.limits.requestsPerMinute));
  // Before anybody is asked who he is, and for addresses that do not exist too: nobody can search for either.
  app.addHook('onRequest', app.rateLimit());
  guardMethods(app, assertMethod);
  app.setNotFoundHandler((request, reply) =>
    sendProblem(request, reply, new AppError('not_found', 'There is nothing at this address.')),
  );
  await app.register(cookie);
  const tokens = createAccessTokens(deps.accessTokens);
  await app.register(accessPlugin, {
    authenticate: deps.services.authenticate,
    recordDenial: deps.services.recordDenial,
    recordRefusedCredential: deps.services.recordRefusedCredential,
    verifyAccessToken: tokens.verify,
  });
  await app.register(openApi);
  await app.register(healthRoutes, { readiness: deps.services.readiness });
  await app.register(jwksRoutes, { keys: deps.accessTokens.keys });
  await app.register(authRoutes, { prefix: '/v1/auth', services: deps.services, tokens });
  await app.register(ingestRoutes, { prefix: '/v1', ...deps });
  await app.register(twilioRoutes, { prefix: '/v1', services: deps.services });
  await app.register(uploadRoutes, { prefix: '/v1', services: deps.services, limits: deps.limits });
  await app.register(importRoutes, { prefix: '/v1', services: deps.services });
  await app.register(callRoutes, { prefix: '/v1', services: deps.services });
  await app.register(radarRoutes, { prefix: '/v1/admin/radar', services: deps.services });
  await app.register(recordingRoutes, { prefix: '/v1/recordings', services: deps.services });
  await app.register(holdRoutes, { prefix: '/v1/recordings', services: deps.services });
  await app.register(assignmentRoutes, { prefix: '/v1', services: deps.services });
  await app.register(playbackRoutes, { prefix: '/v1', services: deps.services });
  await app.register(auditRoutes, { prefix: '/v1/audit', services: deps.services });
  await app.register(auditQuestionRoutes, { prefix: '/v1/audit', services: deps.services });
  await app.register(auditExportRoutes, { prefix: '/v1/audit', services: deps.services });
  await app.register(auditCheckpointRoutes, { prefix: '/v1/audit', services: deps.services });
  await app.register(auditProofRoutes, { prefix: '/v1/audit', services: deps.services });
  await app.register(webhookRoutes, { prefix: '/v1/admin/webhooks', services: deps.services });
  await app.register(twilioSettingRoutes, { prefix: '/v1/admin/sources', services: deps.services });
  await app.register(adminRoutes, { prefix: '/v1/admin', services: deps.services });
  await app.ready();
  return app;
};

/** Attacker-controlled. Node undoes the chunks and no other coding (RFC 9112 §6.1): the recording would be the coded bytes. */
const isUncoded = (transferEncoding: string | undefined): boolean =>
  transferEncoding === undefined || /^chunked$/i.test(transferEncoding);

const refusalOf = ({ ip, raw: { headers, httpVersion } }: FastifyRequest): AppError | null => {
  // Gone before it was looked at: its address is not known any more, and nobody waits for an answer.
  if ((ip as string | undefined) === undefined)
    return new AppError('client_closed', 'The connection ended before the request was looked at.');
  if (httpVersion === '1.1' && headers.host === undefined)
    return new AppError('invalid_request', 'The request has no Host header.');
  const coding = headers['content-encoding'];
  if (coding !== undefined && coding !== 'identity')
    return new AppError('unsupported_media_type', 'Send the body as it is, without Content-Encoding.');
  return isUncoded(headers['transfer-encoding'])
    ? null
    : new AppError('unsupported_media_type', 'Send the body as it is: of Transfer-Encoding only chunked.');
};

/** What is demanded of every request and answer, before and beside what its route demands. */
const guardRequests = (app: App): void => {
  leaveFilesUnread(app);
  app.addHook('onRequest', (request, _reply, done) => done(refusalOf(request) ?? undefined));
  app.addHook('preParsing', (request, reply, body, done) => {
    // Only now is it known who asks: a recording of whoever may not deliver it stays where it is (RFC 9110 §10.1.1).
    if (/^100-continue$/i.test(request.headers.expect ?? '')) reply.raw.writeContinue();
    const unhurried = request.routeOptions.config.longBody === true || !isAwaited(request.raw);
    done(null, unhurried ? body : bodyInTime(body as Readable));
  });
};

/** A method is refused before anybody is asked who he is, like an address that does not exist. */
const guardMethods = (app: App, assertMethod: (method: string, url: string) => void): void => {
  app.addHook('onRequest', async ({ method, raw, is404 }) => {
    if (is404) assertMeantForUpload(raw);
    assertMethod(method, raw.url ?? '');
  });
};

/** The first sample that is all of serving: what is measured before holds the work of the start, which blocks. */
const SETTLED_MS = 2_500;

/** A process that cannot keep up says so, before it makes everybody wait. */
const createPressureHandler = (app: App): (() => Promise<void>) => {
  let settledAt = Number.POSITIVE_INFINITY;
  app.addHook('onListen', async () => {
    settledAt = performance.now() + SETTLED_MS;
  });
  return async () => {
    if (performance.now() >= settledAt)
      throw new AppError('overloaded', 'the event loop lags behind', { retryAfter: 10 });
  };
};

const rateLimitOptions = (requestsPerMinute: number) => ({
  // By the hook below. The plugin's own would come after authentication, and guessed tokens would be free.
  global: false,
  max: requestsPerMinute,
  timeWindow: 60_000,
  // A load balancer asks often, and from the one address that everybody comes from.
  allowList: (request: FastifyRequest) => request.routeOptions.config.unlimited === true,
  // How near a stranger is to the limit is nobody's business but his own; `Retry-After` says when to come back.
  addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
  addHeadersOnExceeding: {
    'x-ratelimit-limit': false,
    'x-ratelimit-remaining': false,
    'x-ratelimit-reset': false,
  },
  errorResponseBuilder: (_request: FastifyRequest, context: { readonly ttl: number }) =>
    new AppError('rate_limited', 'Too many requests from this address. Wait and try again.', {
      retryAfter: context.ttl / 1000,
    }),
});

const helmetOptions = {
  // The API serves no page of its own; browsers must not frame, sniff or embed what it answers.
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"], 'base-uri': ["'none'"] },
  },
  crossOriginResourcePolicy: { policy: 'same-origin' as const },
  referrerPolicy: { policy: 'no-referrer' as const },
};

const createServer = (deps: AppDeps): App =>
  Fastify({
    loggerInstance: deps.logger,
    // One quiet line per answer comes from the metrics plugin; Fastify's own would repeat the URL.
    logController: new LogController({ disableRequestLogging: true }),
    // Our own id, never the caller's: a header is attacker-controlled and would enter the log.
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    bodyLimit: JSON_BODY_LIMIT,
    trustProxy: deps.trustedProxies.length === 0 ? false : [...deps.trustedProxies],
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 128, caseSensitive: true },
    exposeHeadRoutes: true,
    // What still arrives while the server closes is answered in full, and its connection closed.
    return503OnClosing: false,
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: false, allErrors: true, useDefaults: true },
    },
    frameworkErrors: (error, request, reply) => {
      sendProblem(request as FastifyRequest, reply as FastifyReply, error);
    },
    clientErrorHandler: answerBrokenHttp,
    serverFactory: (handler) => createHttpServer(handler, deps.tls, peersOf(deps.trustedProxies)),
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as App;
