import type { FastifyPluginAsync } from 'fastify';
import type { AccessTokenKeys } from '../plugins/access-tokens.ts';
import { JwksSchema } from '../schemas/auth.ts';
import { problems } from '../schemas/common.ts';

type Options = { readonly keys: Pick<AccessTokenKeys, 'jwks'> };

/** The public keys of access tokens, for whoever wants to check one without asking the vault. */
export const jwksRoutes: FastifyPluginAsync<Options> = async (app, { keys }) => {
  app.get(
    '/.well-known/jwks.json',
    {
      config: { access: 'public' },
      schema: {
        tags: ['auth'],
        operationId: 'jwks',
        summary: 'Public keys of access tokens (RFC 7517)',
        security: [],
        response: { 200: JwksSchema, ...problems() },
      },
    },
    async (_request, reply) => {
      void reply.header('cache-control', 'public, max-age=300');
      return keys.jwks();
    },
  );
};
