import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { IdentityServices } from '../../services/identity-services.ts';
import { idOf, timesOf } from '../admin-request.ts';
import { type Kind, listRoute, switchRoutes } from '../admin-routes.ts';
import { callerOf } from '../caller.ts';
import {
  NewSourceBody,
  SourceChangeBody,
  SourcePage,
  SourceSchema,
  SourceWithSecretsSchema,
} from '../schemas/admin.ts';
import { IdParams, problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<IdentityServices, 'sources'> };
type SourceRow = Awaited<ReturnType<IdentityServices['sources']['change']>>;

const config = { access: { action: 'source.manage' } } as const;
const tags = ['admin'];

const shown = (source: SourceRow): Static<typeof SourceSchema> => ({
  id: source.id,
  clientId: source.clientId,
  name: source.name,
  defaultUnit: source.defaultUnitId,
  announcement: source.announcement,
  retentionClass: source.retentionClass,
  legalBasis: source.legalBasis,
  signingKey: source.signingKey,
  twilio: source.twilio,
  ...timesOf(source),
});

const kind: Kind<SourceRow> = { config, shown };

const collection = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'createSource',
        summary: 'Make a source; its API key and client secret are shown once',
        body: NewSourceBody,
        response: { 201: SourceWithSecretsSchema, ...problems(409, 415) },
      },
    },
    async (request, reply) => {
      const asked = request.body as Static<typeof NewSourceBody>;
      const settings = {
        ...asked,
        defaultUnit: asked.defaultUnit ?? null,
        announcement: asked.announcement ?? 'unknown',
        signingKey: asked.signingKey ?? null,
      };
      const { source, ...secrets } = await services.sources.create(callerOf(request), settings);
      return reply.code(201).send({ source: shown(source), ...secrets });
    },
  );
  listRoute(
    app,
    kind,
    { operationId: 'listSources', summary: 'Sources of your organisation, oldest first' },
    SourcePage,
    services.sources.list,
  );
};

const source = (app: FastifyInstance, { services }: Options): void => {
  app.patch(
    '/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'changeSource',
        summary: 'Change what uploads of the source are given when they do not say',
        params: IdParams,
        body: SourceChangeBody,
        response: { 200: SourceSchema, ...problems(404, 415) },
      },
    },
    async (request) => {
      const asked = request.body as Static<typeof SourceChangeBody>;
      return shown(await services.sources.change(callerOf(request), idOf(request), asked));
    },
  );
  app.post(
    '/:id/replace-secrets',
    {
      config,
      schema: {
        tags,
        operationId: 'replaceSourceSecrets',
        summary: 'A new API key and client secret, shown once; the old ones are worth nothing at once',
        params: IdParams,
        response: { 200: SourceWithSecretsSchema, ...problems(404) },
      },
    },
    async (request) => {
      const { source: row, ...secrets } = await services.sources.replaceSecrets(
        callerOf(request),
        idOf(request),
      );
      return { source: shown(row), ...secrets };
    },
  );
};

const access = (app: FastifyInstance, { services }: Options): void =>
  switchRoutes(
    app,
    kind,
    {
      disable: {
        operationId: 'disableSource',
        summary: 'Shut the source out from its next request on; its recordings stay',
      },
      enable: { operationId: 'enableSource', summary: 'Let the source upload again' },
    },
    SourceSchema,
    services.sources.setDisabled,
  );

/** Telephony systems and imports of one's own organisation. */
export const sourceRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  collection(app, options);
  source(app, options);
  access(app, options);
};
