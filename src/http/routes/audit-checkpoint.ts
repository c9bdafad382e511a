import type { FastifyPluginAsync } from 'fastify';
import { Type } from 'typebox';
import type { Services } from '../../services/services.ts';
import { problems } from '../schemas/common.ts';

const SignedNote = Type.String({
  maxLength: 65_536,
  description: 'C2SP signed note: name of the log, number of entries, root in base64; signatures, one a line',
});

type Options = { readonly services: Pick<Services, 'readCheckpoint'> };

/** What the log says of itself, signed; for those who review it. */
export const auditCheckpointRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  app.get(
    '/checkpoint',
    {
      config: { access: { action: 'log.read' } },
      schema: {
        tags: ['audit'],
        operationId: 'readCheckpoint',
        summary: 'The newest signed checkpoint, with the cosignatures of witnesses',
        response: {
          200: {
            description: 'A signed note (docs/audit-log.md says how to check it)',
            content: { 'text/plain': { schema: SignedNote } },
          },
          ...problems(404),
        },
      },
    },
    async (_request, reply) => {
      const note = await services.readCheckpoint();
      return reply.header('cache-control', 'private, no-store').type('text/plain; charset=utf-8').send(note);
    },
  );
};
