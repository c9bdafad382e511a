import type { FastifyPluginAsync } from 'fastify';
import { type Static, Type } from 'typebox';
import type { TwilioSettings } from '../../services/twilio-settings.ts';
import { idOf } from '../admin-request.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { IdParams, problems } from '../schemas/common.ts';
import { TwilioBody, TwilioSchema } from '../schemas/twilio.ts';

type Options = { readonly services: { readonly twilio: TwilioSettings } };

const config = { access: { action: 'source.manage' } } as const;
const tags = ['admin'];

/** Beside a source: the account at Twilio whose status callbacks its recordings come by. */
export const twilioSettingRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  forbidStoring(app);
  app.put(
    '/:id/twilio',
    {
      config,
      schema: {
        tags,
        operationId: 'setSourceTwilio',
        summary:
          'Name the account at Twilio whose recordings are this source’s; its token is not shown again',
        params: IdParams,
        body: TwilioBody,
        response: { 200: TwilioSchema, ...problems(404, 415) },
      },
    },
    async (request) => {
      const { deleteAfter = false, ...asked } = request.body as Static<typeof TwilioBody>;
      return services.twilio.set(callerOf(request), idOf(request), { ...asked, deleteAfter });
    },
  );
  app.delete(
    '/:id/twilio',
    {
      config,
      schema: {
        tags,
        operationId: 'removeSourceTwilio',
        summary: 'Take no callbacks of that account any more',
        params: IdParams,
        response: { 204: Type.Null(), ...problems(404) },
      },
    },
    async (request, reply) => {
      await services.twilio.remove(callerOf(request), idOf(request));
      return reply.code(204).send();
    },
  );
};
