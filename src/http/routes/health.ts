import type { FastifyPluginAsync } from 'fastify';
import { Type } from 'typebox';
import type { Readiness } from '../../services/readiness.ts';
import { Closed } from '../schemas/common.ts';

const Status = Closed({ status: Type.String({ maxLength: 20 }) });

type Options = { readonly readiness: Pick<Readiness, 'current'> };

/** For load balancers. Strangers learn that the vault is ready or not, never why: that is in the operator's log and metrics. */
export const healthRoutes: FastifyPluginAsync<Options> = async (app, { readiness }) => {
  app.get(
    '/healthz',
    {
      config: { access: 'public' },
      schema: { tags: ['service'], operationId: 'healthz', security: [], response: { 200: Status } },
    },
    async () => ({ status: 'alive' }),
  );
  app.get(
    '/readyz',
    {
      config: { access: 'public' },
      schema: {
        tags: ['service'],
        operationId: 'readyz',
        security: [],
        response: { 200: Status, 503: Status },
      },
    },
    async (_request, reply) => {
      const { ready } = await readiness.current();
      return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
    },
  );
};
