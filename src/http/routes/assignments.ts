import type { FastifyPluginAsync } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Services } from '../../services/services.ts';
import { idOf } from '../admin-request.ts';
import { listRoute } from '../admin-routes.ts';
import { forbidStoring } from '../caller.ts';
import { CareUnitBody, UnassignedPage, type UnassignedSchema } from '../schemas/assignments.ts';
import { IdParams, problems } from '../schemas/common.ts';
import { userOf } from './recordings.ts';

type Options = { readonly services: Pick<Services, 'assignRecording'> };
type Unassigned = Awaited<ReturnType<Services['assignRecording']['list']>>['items'][number];

const config = { access: { action: 'recording.assign' } } as const;

const shown = ({ id, sourceId, unitId, storedAt }: Unassigned): Static<typeof UnassignedSchema> => ({
  id,
  source: sourceId,
  careUnit: unitId,
  storedAt: storedAt.toISOString(),
});

/** Recordings of which nobody knows whose they are: which, and giving one to a care unit. */
export const assignmentRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  forbidStoring(app);
  await app.register(
    async (list) =>
      listRoute(
        list,
        { config, shown },
        {
          operationId: 'listUnassignedRecordings',
          summary:
            'Recordings that no nurse can hear, for they have no care unit or a disabled one; newest call first',
        },
        UnassignedPage,
        services.assignRecording.list,
      ),
    { prefix: '/admin/unassigned-recordings' },
  );
  app.put(
    '/recordings/:id/care-unit',
    {
      config,
      schema: {
        tags: ['admin'],
        operationId: 'assignRecording',
        summary: 'Give a recording that has no care unit, or a disabled one, to a unit of your organisation',
        description: 'Giving it once more to the unit that it has changes nothing and is answered alike.',
        params: IdParams,
        body: CareUnitBody,
        response: { 204: Type.Null(), ...problems(404, 409, 410, 415) },
      },
    },
    async (request, reply) => {
      const { unit } = request.body as Static<typeof CareUnitBody>;
      const asked = { actor: userOf(request), recordingId: idOf(request), unit, request: request.id };
      await services.assignRecording.assign(asked);
      return reply.code(204).send();
    },
  );
};
