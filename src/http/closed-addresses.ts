import type { FastifyInstance } from 'fastify';
import { Closed } from './schemas/common.ts';

/** An address ends up in logs: whatever is to be said of a call stands elsewhere. */
const NoQuery = Closed({});

const isClosed = (schema: unknown): boolean =>
  (schema as { readonly additionalProperties?: unknown }).additionalProperties === false;

/**
 * A parameter that is passed over would be a filter that shows everything: from here on a route that declares no parameters of
 * its address takes none, and one that declares them without naming all stops the boot. To be called before anything else can
 * register a route.
 */
export const closeAddresses = (app: FastifyInstance): void => {
  app.addHook('onRoute', (route) => {
    const { querystring = NoQuery, query, ...schema } = (route.schema ?? {}) as Record<string, unknown>;
    // The framework knows two names for it; here is one.
    if (query !== undefined || !isClosed(querystring))
      throw new Error(
        `The route ${String(route.method)} ${route.url} takes parameters that it does not name; the server does not start.`,
      );
    route.schema = { ...schema, querystring };
  });
};
