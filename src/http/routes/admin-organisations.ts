import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { IdentityServices } from '../../services/identity-services.ts';
import { idOf, timesOf } from '../admin-request.ts';
import { type Kind, listRoute, switchRoutes } from '../admin-routes.ts';
import { callerOf } from '../caller.ts';
import {
  NameBody,
  NewOrganisationBody,
  NewOrganisationSchema,
  OrganisationPage,
  OrganisationSchema,
} from '../schemas/admin.ts';
import { IdParams, problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<IdentityServices, 'organisations'> };
type OrganisationRow = Awaited<ReturnType<IdentityServices['organisations']['rename']>>;

const config = { access: { action: 'organisation.manage' } } as const;
const tags = ['admin'];

const shown = (organisation: OrganisationRow): Static<typeof OrganisationSchema> => ({
  id: organisation.id,
  name: organisation.name,
  ...timesOf(organisation),
});

const kind: Kind<OrganisationRow> = { config, shown };

const collection = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'createOrganisation',
        summary: 'Make an organisation with its keys and its first administrator',
        description: 'The initial password of the administrator is shown once.',
        body: NewOrganisationBody,
        response: { 201: NewOrganisationSchema, ...problems(409, 415) },
      },
    },
    async (request, reply) => {
      const asked = request.body as Static<typeof NewOrganisationBody>;
      const made = await services.organisations.create(callerOf(request), asked);
      const admin = { id: made.adminId, initialPassword: made.initialPassword };
      return reply.code(201).send({ organisation: shown(made.organisation), admin });
    },
  );
  listRoute(
    app,
    kind,
    { operationId: 'listOrganisations', summary: 'Organisations of this installation, oldest first' },
    OrganisationPage,
    services.organisations.list,
  );
};

const organisation = (app: FastifyInstance, { services }: Options): void => {
  app.patch(
    '/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'renameOrganisation',
        summary: 'Rename an organisation',
        params: IdParams,
        body: NameBody,
        response: { 200: OrganisationSchema, ...problems(404, 409, 415) },
      },
    },
    async (request) => {
      const asked = request.body as Static<typeof NameBody>;
      return shown(await services.organisations.rename(callerOf(request), idOf(request), asked));
    },
  );
  switchRoutes(
    app,
    kind,
    {
      disable: {
        operationId: 'disableOrganisation',
        summary: 'From the next request on shut out everybody of the organisation, and its sources',
      },
      enable: {
        operationId: 'enableOrganisation',
        summary: 'Let the people and sources of the organisation in again',
      },
    },
    OrganisationSchema,
    services.organisations.setDisabled,
  );
};

/** Care givers of this installation; for its administrators, who see nothing inside them. */
export const organisationRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  collection(app, options);
  organisation(app, options);
};
