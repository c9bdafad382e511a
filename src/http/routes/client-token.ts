import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { AppError, isAppError } from '../../core/errors.ts';
import type { IdentityServices } from '../../services/identity-services.ts';
import { asAppError } from '../foreign-error.ts';
import type { AccessTokens } from '../plugins/access-tokens.ts';
import { problemOf, sendProblem } from '../problem.ts';
import { ClientCredentialsBody, ClientTokenSchema, OAuthProblemSchema } from '../schemas/auth.ts';
import { problems } from '../schemas/common.ts';

type Options = {
  readonly services: Pick<IdentityServices, 'issueSourceToken'>;
  readonly tokens: AccessTokens;
};
type Form = Static<typeof ClientCredentialsBody>;
type OAuthError = 'invalid_request' | 'invalid_client' | 'unsupported_grant_type';

const FORM_LIMIT = 8 * 1024;
const MAX_PARAMETERS = 20;

const badForm = (sentence: string): AppError => new AppError('invalid_request', sentence);

/** `body` is attacker-controlled, at most FORM_LIMIT bytes. A parameter given twice is refused (RFC 6749 §3.2). */
const parseForm = (body: string): Form => {
  const parameters = [...new URLSearchParams(body)];
  if (parameters.length > MAX_PARAMETERS) throw badForm('The form has too many parameters.');
  const form = new Map(parameters);
  if (form.size !== parameters.length) throw badForm('A parameter is given more than once.');
  return Object.fromEntries(form);
};

const decoded = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '));

/** RFC 6749 §2.3.1: id and secret are form-encoded before they are joined. Null for anything else. */
const basicCredentials = (header: string): { clientId: string; clientSecret: string } | null => {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]{1,1024})$/i.exec(header)?.[1];
  const pair = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  if (colon < 1) return null;
  try {
    return { clientId: decoded(pair.slice(0, colon)), clientSecret: decoded(pair.slice(colon + 1)) };
  } catch {
    return null;
  }
};

const unknownClient = (): AppError =>
  new AppError(
    'unauthenticated',
    'Give client id and client secret, by Basic authentication or in the form.',
  );

const credentialsOf = (request: FastifyRequest, form: Form): { clientId: string; clientSecret: string } => {
  const { authorization } = request.headers;
  const { client_id: clientId, client_secret: clientSecret } = form;
  if (authorization === undefined) {
    if (clientId === undefined || clientSecret === undefined) throw unknownClient();
    return { clientId, clientSecret };
  }
  if (clientSecret !== undefined) throw badForm('Give the client secret once, in the header or in the form.');
  const basic = basicCredentials(authorization);
  if (basic === null) throw unknownClient();
  if (clientId !== undefined && clientId !== basic.clientId)
    throw badForm('The header and the form name different clients.');
  return basic;
};

const oauthErrorOf = (error: AppError): OAuthError | null => {
  if (isAppError(error, 'unauthenticated')) return 'invalid_client';
  return isAppError(error, 'invalid_request') ? 'invalid_request' : null;
};

/**
 * Errors that RFC 6749 §5.2 names are answered in its JSON, with the members of the usual problem beside them; whatever
 * else can go wrong (too many requests, log away) is a problem as everywhere.
 */
const sendOAuthError = (
  request: FastifyRequest,
  reply: FastifyReply,
  thrown: unknown,
  named?: OAuthError,
): FastifyReply => {
  const known = asAppError(thrown);
  const error = named ?? oauthErrorOf(known);
  if (error === null) return sendProblem(request, reply, thrown);
  const problem = problemOf(known, request.id);
  if (error === 'invalid_client') void reply.header('www-authenticate', 'Basic realm="callvault"');
  return reply
    .code(problem.status)
    .type('application/json')
    .send(JSON.stringify({ error, error_description: problem.detail, ...problem }));
};

/** OAuth 2.0 client credentials (RFC 6749 §4.4): how a telephony system gets a short access token. */
export const clientTokenRoute: FastifyPluginAsync<Options> = async (app, { services, tokens }) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: FORM_LIMIT },
    async (_request: FastifyRequest, body: string) => parseForm(body),
  );
  app.setErrorHandler((error, request, reply) => sendOAuthError(request, reply, error));
  app.post(
    '/token',
    {
      config: { access: 'public' },
      schema: {
        tags: ['auth'],
        operationId: 'token',
        summary: 'Access token for a source (OAuth 2.0 client credentials)',
        description:
          'Client id and secret by Basic authentication or as form parameters. 400 and 401 are application/json with error and error_description (RFC 6749 §5.2), beside which stand the members of a problem; other errors are problems as everywhere.',
        security: [],
        consumes: ['application/x-www-form-urlencoded'],
        body: ClientCredentialsBody,
        response: {
          ...problems(413, 415),
          200: ClientTokenSchema,
          400: OAuthProblemSchema,
          401: OAuthProblemSchema,
        },
      },
    },
    async (request, reply) => {
      const form = request.body as Form;
      if (form.grant_type === undefined) throw badForm('The parameter grant_type is missing.');
      if (form.grant_type !== 'client_credentials') {
        const fault = badForm('Only grant_type=client_credentials is supported.');
        return sendOAuthError(request, reply, fault, 'unsupported_grant_type');
      }
      const client = credentialsOf(request, form);
      const session = await services.issueSourceToken({
        ...client,
        address: request.ip,
        request: request.id,
      });
      const { accessToken, expiresIn } = await tokens.sign(session);
      return { access_token: accessToken, token_type: 'Bearer' as const, expires_in: expiresIn };
    },
  );
};
