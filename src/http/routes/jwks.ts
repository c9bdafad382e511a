import type { FastifyInstance } from 'fastify';
import type { AccessTokenKeys } from '../plugins/access-tokens.ts';
import { JwksSchema } from '../schemas/auth.ts';
import { problems } from '../schemas/common.ts';

/** The public keys of access tokens, for whoever wants to check one without asking the vault. */
export const jwksRoutes = async (
  app: FastifyInstance,
  { keys }: { readonly keys: Pick<AccessTokenKeys, 'jwks'> },
): Promise<void> => {
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
