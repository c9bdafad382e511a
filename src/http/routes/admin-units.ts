import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { IdentityServices } from '../../services/identity-services.ts';
import { idOf, timesOf } from '../admin-request.ts';
import { type Kind, listRoute, switchRoutes } from '../admin-routes.ts';
import { callerOf } from '../caller.ts';
import { NameBody, UnitPage, UnitSchema } from '../schemas/admin.ts';
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

const kind: Kind<UnitRow> = { config, shown };

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
  listRoute(
    app,
    kind,
    { operationId: 'listUnits', summary: 'Care units of your organisation, oldest first' },
    UnitPage,
    services.units.list,
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
  switchRoutes(
    app,
    kind,
    {
      disable: {
        operationId: 'disableUnit',
        summary: 'From the next request on nobody hears recordings of the unit; they stay',
      },
      enable: { operationId: 'enableUnit', summary: 'Give the unit back to its nurses' },
    },
    UnitSchema,
    services.units.setDisabled,
  );
};

/** Care units of one's own organisation. */
export const unitRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  collection(app, options);
  unit(app, options);
};
