import type { FastifyPluginAsync } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Services } from '../../services/services.ts';
import { Closed, IdParams, problems, Uuid } from '../schemas/common.ts';
import { HoldBody, HoldSchema } from '../schemas/recordings.ts';
import { userOf } from './recordings.ts';

const HoldParams = Closed({ id: Uuid, holdId: Uuid });

type Options = { readonly services: Pick<Services, 'holdRecording'> };

/** Holds win over deletion. */
export const holdRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  app.post(
    '/:id/holds',
    {
      config: { access: { action: 'recording.hold' } },
      schema: {
        tags: ['recordings'],
        operationId: 'placeHold',
        summary: 'Keep a recording from being erased',
        params: IdParams,
        body: HoldBody,
        response: { 201: HoldSchema, ...problems(404, 409) },
      },
    },
    async (request, reply) => {
      const { id } = request.params as Static<typeof IdParams>;
      const { reason } = request.body as Static<typeof HoldBody>;
      const hold = await services.holdRecording.place({
        actor: userOf(request),
        recordingId: id,
        reason,
        request: request.id,
      });
      return reply.code(201).send({ id: hold.id, placedAt: hold.placedAt.toISOString() });
    },
  );

  app.delete(
    '/:id/holds/:holdId',
    {
      config: { access: { action: 'recording.hold' } },
      schema: {
        tags: ['recordings'],
        operationId: 'releaseHold',
        params: HoldParams,
        response: { 204: Type.Null(), ...problems(404) },
      },
    },
    async (request, reply) => {
      const { id, holdId } = request.params as Static<typeof HoldParams>;
      await services.holdRecording.release({
        actor: userOf(request),
        recordingId: id,
        holdId,
        request: request.id,
      });
      return reply.code(204).send();
    },
  );
};
