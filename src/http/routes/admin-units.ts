import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { IdentityServices } from '../../services/identity-services.ts';
import { idOf, listQueryOf, timesOf } from '../admin-request.ts';
import { callerOf } from '../caller.ts';
import { ListQuerySchema, NameBody, UnitPage, UnitSchema } from '../schemas/admin.ts';
import { IdParams, problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<IdentityServices, 'units'> };
type UnitRow = Awaited<ReturnType<IdentityServices['units']['rename']>>;

const config = { access: { action: 'unit.manage' } } as const;
const tags = ['admin'];

const shown = (unit: UnitRow): Static<typeof UnitSchema> => ({
  id: unit.id,
  name: unit.name,
  ...timesOf(unit),
});

const collection = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'createUnit',
        summary: 'Make a care unit in your organisation',
        body: NameBody,
        response: { 201: UnitSchema, ...problems(409, 415) },
      },
    },
    async (request, reply) => {
      const unit = await services.units.create(callerOf(request), request.body as Static<typeof NameBody>);
      return reply.code(201).send(shown(unit));
    },
  );
  app.get(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'listUnits',
        summary: 'Care units of your organisation, oldest first',
        querystring: ListQuerySchema,
        response: { 200: UnitPage, ...problems() },
      },
    },
    async (request) => {
      const { items, next } = await services.units.list(callerOf(request), listQueryOf(request));
      return { items: items.map(shown), next };
    },
  );
};

const unit = (app: FastifyInstance, { services }: Options): void => {
  app.patch(
    '/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'renameUnit',
        summary: 'Rename a care unit',
        params: IdParams,
        body: NameBody,
        response: { 200: UnitSchema, ...problems(404, 409, 415) },
      },
    },
    async (request) => {
      const asked = request.body as Static<typeof NameBody>;
      return shown(await services.units.rename(callerOf(request), idOf(request), asked));
    },
  );
  for (const { path, operationId, summary, disabled } of switches)
    app.post(
      `/:id/${path}`,
      {
        config,
        schema: {
          tags,
          operationId,
          summary,
          params: IdParams,
          response: { 200: UnitSchema, ...problems(404) },
        },
      },
      async (request) => shown(await services.units.setDisabled(callerOf(request), idOf(request), disabled)),
    );
};

const switches = [
  {
    path: 'disable',
    operationId: 'disableUnit',
    summary: 'From the next request on nobody hears recordings of the unit; they stay',
    disabled: true,
  },
  { path: 'enable', operationId: 'enableUnit', summary: 'Give the unit back to its nurses', disabled: false },
] as const;

/** Care units of one's own organisation. */
export const unitRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  collection(app, options);
  unit(app, options);
};
