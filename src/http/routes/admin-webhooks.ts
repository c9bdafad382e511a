import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { type Static, Type } from 'typebox';
import type { AdministerWebhooks } from '../../services/administer-webhooks.ts';
import { idOf, listQueryOf, timesOf } from '../admin-request.ts';
import { type Kind, listRoute, switchRoutes } from '../admin-routes.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { ListQuerySchema } from '../schemas/admin.ts';
import { IdParams, problems } from '../schemas/common.ts';
import {
  DeadLetterPage,
  NewWebhookBody,
  RedeliverBody,
  WebhookChangeBody,
  WebhookPage,
  WebhookSchema,
  WebhookWithSecretSchema,
} from '../schemas/webhooks.ts';

type Options = { readonly services: { readonly webhooks: AdministerWebhooks } };
type Row = Awaited<ReturnType<AdministerWebhooks['change']>>;

const config = { access: { action: 'webhook.manage' } } as const;
const tags = ['admin'];

const shown = (webhook: Row): Static<typeof WebhookSchema> => ({
  id: webhook.id,
  url: webhook.url,
  events: [...webhook.events],
  ...timesOf(webhook),
});
const kind: Kind<Row> = { config, shown };

const collection = (app: FastifyInstance, { webhooks }: Options['services']): void => {
  app.post(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'createWebhook',
        summary: 'Name a receiver that is told what becomes of recordings; its secret is shown once',
        body: NewWebhookBody,
        response: { 201: WebhookWithSecretSchema, ...problems(409, 415) },
      },
    },
    async (request, reply) => {
      const asked = request.body as Static<typeof NewWebhookBody>;
      const { webhook, secret } = await webhooks.create(callerOf(request), asked);
      return reply.code(201).send({ webhook: shown(webhook), secret });
    },
  );
  listRoute(
    app,
    kind,
    { operationId: 'listWebhooks', summary: 'Webhooks of your organisation, oldest first' },
    WebhookPage,
    webhooks.list,
  );
};

const one = (app: FastifyInstance, { webhooks }: Options['services']): void => {
  app.patch(
    '/:id',
    {
      config,
      schema: {
        tags,
        operationId: 'changeWebhook',
        summary: 'Another address or other events; what waits goes to the new address',
        params: IdParams,
        body: WebhookChangeBody,
        response: { 200: WebhookSchema, ...problems(404, 415) },
      },
    },
    async (request) => {
      const asked = request.body as Static<typeof WebhookChangeBody>;
      return shown(await webhooks.change(callerOf(request), idOf(request), asked));
    },
  );
  app.post(
    '/:id/replace-secret',
    {
      config,
      schema: {
        tags,
        operationId: 'replaceWebhookSecret',
        summary: 'A new secret, shown once; the next message is signed with it',
        params: IdParams,
        response: { 200: WebhookWithSecretSchema, ...problems(404) },
      },
    },
    async (request) => {
      const { webhook, secret } = await webhooks.replaceSecret(callerOf(request), idOf(request));
      return { webhook: shown(webhook), secret };
    },
  );
};

const deadLetters = (app: FastifyInstance, { webhooks }: Options['services']): void => {
  app.get(
    '/:id/dead-letters',
    {
      config,
      schema: {
        tags,
        operationId: 'listDeadLetters',
        summary: 'What the receiver was not told after three days of trying, oldest first',
        params: IdParams,
        querystring: ListQuerySchema,
        response: { 200: DeadLetterPage, ...problems(404) },
      },
    },
    async (request) => {
      const page = await webhooks.deadLetters(callerOf(request), idOf(request), listQueryOf(request));
      const items = page.items.map(({ id, type, payload, createdAt, attempts, fault }) => ({
        id,
        type,
        data: (payload as { readonly data: object }).data,
        createdAt: createdAt.toISOString(),
        attempts,
        fault,
      }));
      return { items, next: page.next };
    },
  );
  app.post(
    '/:id/redeliver',
    {
      config,
      schema: {
        tags,
        operationId: 'redeliverDeadLetters',
        summary: 'Send dead letters again, one or all, for as long as new ones',
        params: IdParams,
        body: RedeliverBody,
        response: { 204: Type.Null(), ...problems(404, 415) },
      },
    },
    async (request, reply) => {
      const { message } = request.body as Static<typeof RedeliverBody>;
      await webhooks.redeliver(callerOf(request), idOf(request), message ?? null);
      return reply.code(204).send();
    },
  );
};

/** Where one's own organisation is told what became of its recordings. */
export const webhookRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  forbidStoring(app);
  collection(app, services);
  one(app, services);
  deadLetters(app, services);
  switchRoutes(
    app,
    kind,
    {
      disable: { operationId: 'disableWebhook', summary: 'Send nothing more, and keep nothing new for it' },
      enable: {
        operationId: 'enableWebhook',
        summary: 'Tell it again what happens from now on',
        statuses: [409],
      },
    },
    WebhookSchema,
    services.webhooks.setDisabled,
  );
};
