import type { FastifyInstance, RouteShorthandOptions } from 'fastify';
import type { TSchema } from 'typebox';
import type { Caller } from '../services/authority.ts';
import type { ListQuery } from '../services/page.ts';
import { idOf, listQueryOf } from './admin-request.ts';
import { callerOf } from './caller.ts';
import { ListQuerySchema } from './schemas/admin.ts';
import { IdParams, problems } from './schemas/common.ts';

/** What the routes of one kind of thing have in common: who may ask, how one is shown. */
export type Kind<Row> = {
  readonly config: NonNullable<RouteShorthandOptions['config']>;
  readonly shown: (row: Row) => object;
};

type Described = { readonly operationId: string; readonly summary: string };

/** `GET ''`: a page of them, oldest first. */
export const listRoute = <Row>(
  app: FastifyInstance,
  { config, shown }: Kind<Row>,
  { operationId, summary }: Described,
  page: TSchema,
  list: (caller: Caller, query: ListQuery) => Promise<{ items: readonly Row[]; next: string | null }>,
): void => {
  app.get(
    '',
    {
      config,
      schema: {
        tags: ['admin'],
        operationId,
        summary,
        querystring: ListQuerySchema,
        response: { 200: page, ...problems() },
      },
    },
    async (request) => {
      const { items, next } = await list(callerOf(request), listQueryOf(request));
      return { items: items.map(shown), next };
    },
  );
};

/** Statuses of problems that one of the two can answer besides the usual ones. */
type Switch = Described & { readonly statuses?: readonly number[] };

/** `POST /:id/disable` and `POST /:id/enable`: effective on the next request of whoever is concerned. */
export const switchRoutes = <Row>(
  app: FastifyInstance,
  { config, shown }: Kind<Row>,
  switches: { readonly disable: Switch; readonly enable: Switch },
  one: TSchema,
  setDisabled: (caller: Caller, id: string, disabled: boolean) => Promise<Row>,
): void => {
  for (const path of ['disable', 'enable'] as const) {
    const { operationId, summary, statuses = [] } = switches[path];
    app.post(
      `/:id/${path}`,
      {
        config,
        schema: {
          tags: ['admin'],
          operationId,
          summary,
          params: IdParams,
          response: { 200: one, ...problems(404, ...statuses) },
        },
      },
      async (request) => shown(await setDisabled(callerOf(request), idOf(request), path === 'disable')),
    );
  }
};
