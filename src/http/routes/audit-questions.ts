import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { Static } from 'typebox';
import { isTakenOut } from '../../core/audit/hearing-lists.ts';
import type { HearingEntry, HearingPage } from '../../services/ask-log.ts';
import type { Services } from '../../services/services.ts';
import { type Format, formats } from '../answer-format.ts';
import { entryWriting, hearingWriting, pageOrFile, sendFile, shownEntry } from '../log-files.ts';
import { assertWhole, periodOf } from '../log-period.ts';
import { provenBy } from '../plugins/access.ts';
import { ActivityQuery, ActivitySchema, HearersQuery, HearersSchema } from '../schemas/audit.ts';
import { IdParams, problems } from '../schemas/common.ts';
import { userOf } from './recordings.ts';

type Options = { readonly services: Pick<Services, 'askLog' | 'exportLog'> };

/** Limits in an address are text that the schema has checked. */
const pageOf = ({ limit, cursor }: { readonly limit?: string; readonly cursor?: string }) => ({
  ...(limit === undefined ? {} : { limit: Number(limit) }),
  ...(cursor === undefined ? {} : { cursor }),
});

const happened = ({ seq, event }: HearingEntry) => ({
  seq,
  at: new Date(event.at).toISOString(),
  actor: event.actor,
  unit: event.unit,
  purpose: event.purpose,
  session: event.session,
});

const openedOf = (one: HearingEntry) =>
  one.event.action === 'playback.opened'
    ? [
        {
          ...happened(one),
          playback: one.event.detail.playback,
          reason: one.event.detail.reason,
          expiresAt: new Date(one.event.detail.expiresAt).toISOString(),
          heard: one.heard,
        },
      ]
    : [];

const refusedOf = (one: HearingEntry) =>
  one.event.action === 'playback.denied' ? [{ ...happened(one), reason: one.event.detail.reason }] : [];

const takenOutOf = (one: HearingEntry) =>
  isTakenOut(one.event.action) ? [{ ...happened(one), action: one.event.action }] : [];

const erasedOf = (one: HearingEntry) =>
  one.event.action === 'recording.erased' && one.event.outcome === 'success' ? [happened(one)] : [];

const answerOf = (recording: string, { entries, next, heardComplete }: HearingPage) => ({
  recording,
  opened: entries.flatMap(openedOf),
  refused: entries.flatMap(refusedOf),
  takenOut: entries.flatMap(takenOutOf),
  erased: entries.flatMap(erasedOf),
  heardComplete,
  next,
});

const asFiles = { action: 'log.export', offers: formats } as const satisfies {
  action: 'log.export';
  offers: readonly Format[];
};

const hearers = (app: FastifyInstance, { services }: Options): void => {
  app.get(
    '/recordings/:id/hearers',
    {
      config: { access: { action: 'log.read', file: asFiles } },
      schema: {
        tags: ['audit'],
        operationId: 'whoHeard',
        summary: 'Who heard this recording, also after it was erased; another organisation’s: 404',
        params: IdParams,
        querystring: HearersQuery,
        response: { 200: pageOrFile(HearersSchema, formats), ...problems(404, 406) },
      },
    },
    async (request, reply) => {
      const { id: recording } = request.params as Static<typeof IdParams>;
      const { from, to, ...query } = request.query as Static<typeof HearersQuery>;
      const period = periodOf({ from, to });
      const { answerFormat: format } = request;
      const asked = { actor: userOf(request), recording, period, request: request.id };
      if (format === 'json') {
        const page = await services.askLog.whoHeard({ ...asked, page: pageOf(query) });
        reply.header('cache-control', 'private, no-store').header('vary', 'Accept');
        return answerOf(recording, page);
      }
      assertWhole(query);
      await services.askLog.assertRecording(asked.actor, recording, request.id);
      const file = await services.exportLog.hearings({
        ...asked,
        format,
        credential: provenBy(request),
        criteria: ['recording', 'hearers', ...Object.keys(period)],
      });
      return sendFile(reply, format, file, hearingWriting(format, file.installationId));
    },
  );
};

const activity = (app: FastifyInstance, { services }: Options): void => {
  app.get(
    '/actors/:id/activity',
    {
      config: { access: { action: 'log.read', file: asFiles } },
      schema: {
        tags: ['audit'],
        operationId: 'whatSomebodyDid',
        summary: 'What this person, or telephony system, did; another organisation’s: 404',
        params: IdParams,
        querystring: ActivityQuery,
        response: { 200: pageOrFile(ActivitySchema, formats), ...problems(404, 406) },
      },
    },
    async (request, reply) => {
      const { id } = request.params as Static<typeof IdParams>;
      const { from, to, ...query } = request.query as Static<typeof ActivityQuery>;
      const period = periodOf({ from, to });
      const { answerFormat: format } = request;
      const asked = { actor: userOf(request), request: request.id };
      if (format === 'json') {
        const found = await services.askLog.activity({ ...asked, id, period, page: pageOf(query) });
        const { entries, next, counts } = found;
        reply.header('cache-control', 'private, no-store').header('vary', 'Accept');
        const counted = { counts: counts?.tallies ?? null, countsComplete: counts?.complete ?? null };
        return { actor: id, ...counted, entries: entries.map(shownEntry), next };
      }
      assertWhole(query);
      await services.askLog.assertActor(asked.actor, id, request.id);
      const criteria = ['actor', ...Object.keys(period)];
      const credential = provenBy(request);
      const wanted = { ...asked, credential, query: { ...period, actor: id }, format, criteria };
      const file = await services.exportLog.entries(wanted);
      return sendFile(reply, format, file, entryWriting(format, file.installationId));
    },
  );
};

/** The two questions that are asked of an access log. Asking is itself an entry. */
export const auditQuestionRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  hearers(app, options);
  activity(app, options);
};
