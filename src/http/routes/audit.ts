import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import type { Services } from '../../services/services.ts';
import { formats } from '../answer-format.ts';
import { entryWriting, pageOrFile, sendFile, shownEntry } from '../log-files.ts';
import { assertWhole, periodOf } from '../log-period.ts';
import { provenBy } from '../plugins/access.ts';
import { LogEntrySchema, LogPageSchema, LogQuerySchema, SeqParams } from '../schemas/audit.ts';
import { problems } from '../schemas/common.ts';
import { userOf } from './recordings.ts';

type Options = { readonly services: Pick<Services, 'readLog' | 'exportLog'> };
type LogBody = Static<typeof LogQuerySchema>;

/** What a file leaves out of the question: it has no pages. */
const paging: readonly string[] = ['format', 'limit', 'cursor'];

/** The log by what it is searched by: a page, or a file. */
const search = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '/search',
    {
      config: { access: { action: 'log.read', file: { action: 'log.export', offers: formats } } },
      schema: {
        tags: ['audit'],
        operationId: 'searchLog',
        summary: 'Entries of the access log, newest first: a page, or all of them as a file',
        body: LogQuerySchema,
        response: { 200: pageOrFile(LogPageSchema, formats), ...problems(406) },
      },
    },
    async (request, reply) => {
      const { from, to, format: _format, limit, cursor, ...wanted } = request.body as LogBody;
      const query = { ...wanted, ...periodOf({ from, to }) };
      const { id, answerFormat: format } = request;
      if (format === 'json') {
        const page = {
          ...(limit === undefined ? {} : { limit }),
          ...(cursor === undefined ? {} : { cursor }),
        };
        const found = await services.readLog.search(userOf(request), { ...query, ...page }, id);
        reply.header('cache-control', 'private, no-store').header('vary', 'Accept');
        return { entries: found.entries.map(shownEntry), next: found.next };
      }
      assertWhole(request.body as LogBody);
      const criteria = Object.keys(request.body as LogBody).filter((name) => !paging.includes(name));
      const asked = {
        actor: userOf(request),
        credential: provenBy(request),
        query,
        format,
        criteria,
        request: id,
      };
      const file = await services.exportLog.entries(asked);
      return sendFile(reply, format, file, entryWriting(format, file.installationId));
    },
  );
};

const entry = (app: FastifyInstance, { services }: Options): void => {
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
      const found = await services.readLog.entry(userOf(request), Number(seq), request.id);
      reply.header('cache-control', 'private, no-store');
      return shownEntry(found);
    },
  );
};

/** The access log for those who review it. Reading it is itself an entry. */
export const auditRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  search(app, options);
  entry(app, options);
};
