import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../services/authority.ts';
import { actorOf } from './plugins/access.ts';

/** Who asks, for the services that write it into the log. */
export const callerOf = (request: FastifyRequest): Caller => ({
  actor: actorOf(request),
  request: request.id,
  route: request.routeOptions.url ?? 'unknown',
});

/** For every route of a plugin: answers hold names, tokens or secrets, and nobody on the way may keep them. */
export const forbidStoring = (app: FastifyInstance): void => {
  app.addHook('onRequest', async (_request, reply) => {
    void reply.header('cache-control', 'private, no-store');
  });
};
