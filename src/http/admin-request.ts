import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { ListQuery } from '../services/page.ts';
import type { ListQuerySchema } from './schemas/admin.ts';
import type { IdParams } from './schemas/common.ts';

/** Validated by the route's schema: digits from 1 to 200. */
export const listQueryOf = (request: FastifyRequest): ListQuery => {
  const { limit, cursor } = request.query as Static<typeof ListQuerySchema>;
  return {
    ...(limit === undefined ? {} : { limit: Number(limit) }),
    ...(cursor === undefined ? {} : { cursor }),
  };
};

export const idOf = (request: FastifyRequest): string => (request.params as Static<typeof IdParams>).id;

/** Times as every answer writes them: RFC 3339, UTC. */
export const timesOf = (row: { readonly createdAt: Date; readonly disabledAt: Date | null }) => ({
  createdAt: row.createdAt.toISOString(),
  disabledAt: row.disabledAt?.toISOString() ?? null,
});
