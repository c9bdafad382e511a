import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { type AnnouncedCall, readAnnouncement } from '../../core/announced-call.ts';
import { MAX_RECORDS_BYTES, type ReadRecords, readCallRecords } from '../../core/call-records.ts';
import { AppError } from '../../core/errors.ts';
import { isTimeZone } from '../../core/local-time.ts';
import type { Services } from '../../services/services.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { sourceOf } from '../delivery.ts';
import { AnnouncedSchema, Announcement, AnnounceQuery } from '../schemas/calls.ts';
import { problems } from '../schemas/common.ts';

type Options = { readonly services: Pick<Services, 'announceCalls' | 'now'> };

const CSV = /^text\/csv\s*(;|$)/i;

/** Text as text/csv, attacker-controlled and bounded by the route. */
const acceptCsv = (app: FastifyInstance): void => {
  app.addContentTypeParser(CSV, { parseAs: 'buffer' }, (request, body, done) => {
    const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(request.headers['content-type'] ?? '')?.[1];
    if (charset !== undefined && !/^(utf-8|us-ascii)$/i.test(charset)) {
      done(new AppError('unsupported_media_type', 'Send the table in UTF-8.'));
      return;
    }
    try {
      done(null, new TextDecoder('utf-8', { fatal: true }).decode(body as Buffer));
    } catch {
      done(new AppError('invalid_request', 'The table is not UTF-8.'));
    }
  });
};

type Read = Pick<ReadRecords, 'refused' | 'faults'> & {
  readonly calls: readonly AnnouncedCall[];
  readonly form: 'json' | 'csv';
  /** Which of `calls` each row of a table is of; null: of none. Undefined: there is no table. */
  readonly rows?: ReadRecords['rows'];
};

const readBody = ({ body, headers }: FastifyRequest, timeZone: string | null, now: number): Read => {
  if (timeZone !== null && !isTimeZone(timeZone))
    throw new AppError('invalid_request', 'The request does not have the documented form.', {
      faults: [{ where: 'querystring/timeZone', fault: 'is no time zone such as Europe/Stockholm' }],
    });
  return CSV.test(headers['content-type'] ?? '')
    ? { ...readCallRecords(String(body), timeZone, now), form: 'csv' }
    : { calls: readAnnouncement(body, now), refused: 0, faults: [], form: 'json' };
};

/** Where sources say which calls there were, so that a recording that never came is noticed. */
export const callRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  forbidStoring(app);
  acceptCsv(app);
  app.post(
    '/calls',
    {
      config: { access: { action: 'call.announce' }, described: Announcement },
      bodyLimit: MAX_RECORDS_BYTES,
      schema: {
        tags: ['recordings'],
        operationId: 'announceCalls',
        summary:
          'Announce calls, one or at most 1000, or call records as a table: what has no recording is noticed',
        description:
          'Each call by the callId that its recording will have, from the same source. Announced again, a call is corrected. JSON is taken whole or not at all; of a table rows that cannot be read are left out, counted and named by their lines, and rows of one call id are one call. Announcing the same again changes nothing and answers the same ids.',
        querystring: AnnounceQuery,
        response: { 200: AnnouncedSchema, ...problems(408, 413, 415) },
      },
    },
    async (request) => {
      const actor = sourceOf(request);
      const { timeZone = null } = request.query as Static<typeof AnnounceQuery>;
      const { calls, form, refused, faults, rows } = readBody(request, timeZone, services.now());
      const { ids } = await services.announceCalls({ ...callerOf(request), actor, calls, form });
      const tooOld = ids.filter((id) => id === null).length;
      return {
        accepted: new Set(ids.filter((id) => id !== null)).size,
        tooOld,
        refused,
        faults: faults.map((fault) => ({ ...fault })),
        ids: rows?.map((place) => (place === null ? null : (ids[place] ?? null))) ?? [...ids],
      };
    },
  );
};
