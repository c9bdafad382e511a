import type { FastifyPluginAsync } from 'fastify';
import { Type } from 'typebox';
import type { Readiness } from '../../services/readiness.ts';
import { Closed } from '../schemas/common.ts';

const Status = Closed({ status: Type.String({ maxLength: 20 }) });

type Options = { readonly readiness: Pick<Readiness, 'current'> };

const config = { access: 'public', unlimited: true } as const;

/** For load balancers. Strangers learn that the vault is ready or not, never why: that is in the operator's log and metrics. */
export const healthRoutes: FastifyPluginAsync<Options> = async (app, { readiness }) => {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/healthz',
    config,
    schema: { tags: ['service'], operationId: 'healthz', security: [], response: { 200: Status } },
    handler: async () => ({ status: 'alive' }),
  });
  app.route({
    method: ['GET', 'HEAD'],
    url: '/readyz',
    config,
    schema: {
      tags: ['service'],
      operationId: 'readyz',
      security: [],
      response: { 200: Status, 503: Status },
    },
    handler: async (_request, reply) => {
      const { ready } = await readiness.current();
      return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
    },
  });
};
