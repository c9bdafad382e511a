import type { FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import { AppError } from '../../core/errors.ts';
import type { LogEntry } from '../../services/read-log.ts';
import type { Services } from '../../services/services.ts';
import { LogEntrySchema, LogPageSchema, LogQuerySchema, SeqParams } from '../schemas/audit.ts';
import { problems } from '../schemas/common.ts';
import { userOf } from './recordings.ts';

const shown = ({ seq, event }: LogEntry): Static<typeof LogEntrySchema> => ({
  seq,
  ...event,
  at: new Date(event.at).toISOString(),
  detail: { ...event.detail },
});

const milliseconds = (where: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new AppError('invalid_request', 'The search cannot be made as asked.', {
      faults: [{ where, fault: 'is not a time (RFC 3339)' }],
    });
  return time;
};

type Options = { readonly services: Pick<Services, 'readLog'> };

/** The access log for those who review it. Reading it is itself an entry. */
export const auditRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  app.post(
    '/search',
    {
      config: { access: { action: 'log.read' } },
      schema: {
        tags: ['audit'],
        operationId: 'searchLog',
        summary: 'Entries of the access log, newest first',
        body: LogQuerySchema,
        response: { 200: LogPageSchema, ...problems() },
      },
    },
    async (request, reply) => {
      const { from, to, ...query } = request.body as Static<typeof LogQuerySchema>;
      const since = milliseconds('from', from);
      const until = milliseconds('to', to);
      const page = await services.readLog.search(
        userOf(request),
        {
          ...query,
          ...(since === undefined ? {} : { from: since }),
          ...(until === undefined ? {} : { to: until }),
        },
        request.id,
      );
      reply.header('cache-control', 'private, no-store');
      return { entries: page.entries.map(shown), next: page.next };
    },
  );

  app.get(
    '/entries/:seq',
    {
      config: { access: { action: 'log.read' } },
      schema: {
        tags: ['audit'],
        operationId: 'readLogEntry',
        summary: 'One entry; of another organisation: 404',
        params: SeqParams,
        response: { 200: LogEntrySchema, ...problems(404) },
      },
    },
    async (request, reply) => {
      const { seq } = request.params as Static<typeof SeqParams>;
      const entry = await services.readLog.entry(userOf(request), Number(seq), request.id);
      reply.header('cache-control', 'private, no-store');
      return shown(entry);
    },
  );
};
