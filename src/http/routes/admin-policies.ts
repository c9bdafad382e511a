import type { FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { IdentityServices } from '../../services/identity-services.ts';
import { callerOf } from '../caller.ts';
import { PoliciesChangeBody, PoliciesSchema } from '../schemas/admin.ts';
import { problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<IdentityServices, 'policies'> };

const config = { access: { action: 'policy.manage' } } as const;
const tags = ['admin'];

/** How long one's own organisation keeps recordings. There is one set of policies: read it, change it. */
export const policyRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  app.get(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'readPolicies',
        summary: 'Days that recordings of your organisation are kept, by class',
        response: { 200: PoliciesSchema, ...problems() },
      },
    },
    async (request) => ({ retention: await services.policies.read(callerOf(request)) }),
  );
  app.patch(
    '',
    {
      config,
      schema: {
        tags,
        operationId: 'changePolicies',
        summary: 'Change how long new recordings are kept; classes left out stay as they are',
        body: PoliciesChangeBody,
        response: { 200: PoliciesSchema, ...problems(415) },
      },
    },
    async (request) => {
      const { retention } = request.body as Static<typeof PoliciesChangeBody>;
      return { retention: await services.policies.change(callerOf(request), retention) };
    },
  );
};
