import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify';
import { type Static, Type } from 'typebox';
import { AppError } from '../../core/errors.ts';
import type { IdentityServices } from '../../services/identity-services.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { acceptJson } from '../json-body.ts';
import { actorOf, assertNotOtherSite, SESSION_COOKIE } from '../plugins/access.ts';
import type { AccessTokens } from '../plugins/access-tokens.ts';
import { ActorSchema, LoginBody, LoginSchema, PasswordBody, TokenSchema } from '../schemas/auth.ts';
import { problems } from '../schemas/common.ts';
import { clientTokenRoute } from './client-token.ts';
import { userOf } from './recordings.ts';

export type AuthRouteOptions = {
  readonly services: Pick<
    IdentityServices,
    'signIn' | 'refreshSession' | 'signOut' | 'issueSourceToken' | 'changePassword' | 'describeActor'
  >;
  readonly tokens: AccessTokens;
};

/**
 * `__Host-`: bound to this very host and to TLS. Without an age it ends with the browser; the session itself ends earlier,
 * when nobody refreshes it.
 */
const COOKIE = { path: '/', secure: true, httpOnly: true, sameSite: 'strict' } as const;

const setCookie = (reply: FastifyReply, value: string): void => {
  void reply.setCookie(SESSION_COOKIE, value, COOKIE);
};

const loginRoute = (app: FastifyInstance, { services, tokens }: AuthRouteOptions): void => {
  app.post(
    '/login',
    {
      config: { access: 'public' },
      schema: {
        tags: ['auth'],
        operationId: 'login',
        summary: 'Sign in with e-mail address and password',
        description: 'The answer is the same for an unknown user, a wrong password and a disabled account.',
        security: [],
        body: LoginBody,
        response: { 200: LoginSchema, ...problems(415) },
      },
    },
    async (request, reply) => {
      assertNotOtherSite(request);
      const { email, password } = request.body as Static<typeof LoginBody>;
      const opened = await services.signIn({ email, password, address: request.ip, request: request.id });
      const user = await services.describeActor(opened.actor);
      const token = await tokens.sign(opened.session);
      setCookie(reply, opened.cookie);
      return { ...token, user };
    },
  );
};

const refreshRoute = (app: FastifyInstance, { services, tokens }: AuthRouteOptions): void => {
  app.post(
    '/refresh',
    {
      // The service looks the cookie up itself: to the guard, one that was replaced is only one that is not valid.
      config: { access: { action: 'session.use', credential: 'piece' } },
      schema: {
        tags: ['auth'],
        operationId: 'refresh',
        summary: 'A new access token and a new cookie for the web session',
        description:
          'Each cookie value works once. Presenting one that was replaced ends the session; within ten seconds it is answered 409: try again with the new cookie. Browsers send Sec-Fetch-Site by themselves; other clients must send Sec-Fetch-Site: same-origin, and Content-Type: application/json.',
        security: [{ session: [] }],
        response: { 200: TokenSchema, ...problems(409) },
      },
    },
    async (request, reply) => {
      const { credential } = request;
      if (credential === null) throw new AppError('internal', 'no credential on a guarded route');
      const { session, cookie } = await services.refreshSession({ credential, request: request.id });
      const token = await tokens.sign(session);
      setCookie(reply, cookie);
      return token;
    },
  );
};

const logoutRoute = (app: FastifyInstance, { services }: AuthRouteOptions): void => {
  app.post(
    '/logout',
    {
      config: { access: { action: 'session.use', credential: 'cookie' } },
      schema: {
        tags: ['auth'],
        operationId: 'logout',
        summary: 'End the session: its cookie and every token made from it',
        security: [{ session: [] }, { bearer: [] }],
        response: { 204: Type.Null(), ...problems() },
      },
    },
    async (request, reply) => {
      void reply.clearCookie(SESSION_COOKIE, COOKIE);
      await services.signOut({ actor: actorOf(request), request: request.id });
      return reply.code(204).send();
    },
  );
};

const ownRoutes = (app: FastifyInstance, { services }: AuthRouteOptions): void => {
  app.get(
    '/me',
    {
      config: { access: { action: 'session.use', credential: 'cookie' } },
      schema: {
        tags: ['auth'],
        operationId: 'me',
        summary: 'Whom the vault takes you for',
        security: [{ session: [] }, { bearer: [] }],
        response: { 200: ActorSchema, ...problems() },
      },
    },
    async (request) => services.describeActor(actorOf(request)),
  );
  app.post(
    '/password',
    {
      config: { access: { action: 'password.change', credential: 'cookie' } },
      schema: {
        tags: ['auth'],
        operationId: 'changePassword',
        summary: 'Change your own password; your other sessions end',
        security: [{ session: [] }, { bearer: [] }],
        body: PasswordBody,
        response: { 204: Type.Null(), ...problems(415) },
      },
    },
    async (request, reply) => {
      const passwords = request.body as Static<typeof PasswordBody>;
      const asked = { ...callerOf(request), actor: userOf(request), address: request.ip };
      await services.changePassword({ ...asked, ...passwords });
      return reply.code(204).send();
    },
  );
};

/** Signing in and out; what a browser, a person with curl and a telephony system need. */
export const authRoutes: FastifyPluginAsync<AuthRouteOptions> = async (app, options) => {
  forbidStoring(app);
  // With the cookie, requests must be JSON; some have nothing to say, so an empty body is as good as {}.
  acceptJson(app, { emptyIs: 'nothing' });
  loginRoute(app, options);
  refreshRoute(app, options);
  logoutRoute(app, options);
  ownRoutes(app, options);
  // Not all options: they hold the prefix under which these routes lie already.
  await app.register(clientTokenRoute, { services: options.services, tokens: options.tokens });
};
