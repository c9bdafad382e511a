import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { Type } from 'typebox';
import type { UserActor } from '../../core/access.ts';
import { AppError } from '../../core/errors.ts';
import type { PersonalFacts } from '../../services/recording-facts.ts';
import type { RecordingQuery } from '../../services/search-recordings.ts';
import type { Services } from '../../services/services.ts';
import type { ViewedRecording } from '../../services/view-recording.ts';
import { acceptJson } from '../json-body.ts';
import { actorOf } from '../plugins/access.ts';
import { IdParams, problems } from '../schemas/common.ts';
import {
  EraseSchema,
  FoundSchema,
  RecordingQuerySchema,
  RecordingSchema,
  UploadStatusSchema,
} from '../schemas/recordings.ts';

type Options = {
  readonly services: Pick<Services, 'searchRecordings' | 'viewRecording' | 'uploadStatus' | 'eraseRecording'>;
};

export const userOf = (request: FastifyRequest): UserActor => {
  const actor = actorOf(request);
  if (actor.type !== 'user') throw new AppError('forbidden', 'Only a signed-in person may do this.');
  return actor;
};

const noFacts: PersonalFacts = {
  callId: null as never,
  callerNumber: null,
  calledNumber: null,
  agentId: null,
  queue: null,
  personalNumber: null,
  originalName: null,
};

type Listed = Pick<
  ViewedRecording['row'],
  | 'id'
  | 'unitId'
  | 'sourceId'
  | 'startedAt'
  | 'endedAt'
  | 'direction'
  | 'segment'
  | 'durationMs'
  | 'mediaType'
  | 'channels'
  | 'flags'
  | 'retentionClass'
  | 'holdCount'
>;

const listed = (row: Listed, facts: PersonalFacts | null) => ({
  id: row.id,
  careUnit: row.unitId,
  source: row.sourceId,
  startedAt: row.startedAt.toISOString(),
  endedAt: row.endedAt?.toISOString() ?? null,
  direction: row.direction,
  segment: row.segment,
  durationMs: row.durationMs,
  mediaType: row.mediaType,
  channels: row.channels,
  flags: row.flags,
  retentionClass: row.retentionClass,
  held: row.holdCount > 0,
  ...(facts ?? noFacts),
});

const whole = ({ row, facts }: ViewedRecording): Static<typeof RecordingSchema> => ({
  ...listed(row, facts),
  status: row.status === 'erased' ? 'erased' : 'stored',
  codec: row.codec,
  sampleRate: row.sampleRate,
  declaredDurationMs: row.declaredDurationMs,
  channelParties: row.channelParties as Record<string, string> | null,
  pauses: (row.pauses as number[][] | null) ?? [],
  announcement: row.announcement,
  legalBasis: row.legalBasis,
  eraseAfter: row.eraseAfter?.toISOString() ?? null,
  storedAt: row.storedAt?.toISOString() ?? null,
  erasedAt: row.erasedAt?.toISOString() ?? null,
  bytes: row.plainBytes === null ? null : Number(row.plainBytes),
});

const search = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '/search',
    {
      config: { access: { action: 'recording.search' } },
      schema: {
        tags: ['recordings'],
        operationId: 'searchRecordings',
        summary: 'Recordings of your own care units, newest first',
        body: RecordingQuerySchema,
        response: { 200: FoundSchema, ...problems() },
      },
    },
    async (request, reply) => {
      const { found, next } = await services.searchRecordings({
        actor: userOf(request),
        query: request.body as RecordingQuery,
        request: request.id,
      });
      reply.header('cache-control', 'private, no-store');
      const recordings = found.map(({ row, facts }) => ({ ...listed(row, facts), damaged: facts === null }));
      return { recordings, next };
    },
  );
};

const view = (app: FastifyInstance, { services }: Options): void => {
  app.get(
    '/:id',
    {
      config: { access: { action: 'recording.view' } },
      schema: {
        tags: ['recordings'],
        operationId: 'viewRecording',
        summary: 'The facts of one recording, or the tombstone of an erased one',
        params: IdParams,
        response: { 200: RecordingSchema, ...problems(404, 502) },
      },
    },
    async (request, reply) => {
      const { id } = request.params as Static<typeof IdParams>;
      const viewed = await services.viewRecording({
        actor: actorOf(request),
        recordingId: id,
        request: request.id,
      });
      reply.header('cache-control', 'private, no-store');
      return whole(viewed);
    },
  );
};

const status = (app: FastifyInstance, { services }: Options): void => {
  app.get(
    '/:id/status',
    {
      config: { access: { action: 'recording.status' } },
      schema: {
        tags: ['recordings'],
        operationId: 'uploadStatus',
        summary: 'What became of an upload, for the source that made it',
        params: IdParams,
        response: { 200: UploadStatusSchema, ...problems(404) },
      },
    },
    async (request) => {
      const { id } = request.params as Static<typeof IdParams>;
      return services.uploadStatus({ actor: actorOf(request), recordingId: id, request: request.id });
    },
  );
};

const erase = (app: FastifyInstance, { services }: Options): void => {
  app.delete(
    '/:id',
    {
      config: { access: { action: 'recording.erase' } },
      schema: {
        tags: ['recordings'],
        operationId: 'eraseRecording',
        summary: 'Destroy the key, delete the object, leave a tombstone',
        params: IdParams,
        body: EraseSchema,
        response: { 204: Type.Null(), ...problems(404, 409, 410) },
      },
      // Without a body, however it is sent, the answer names what is missing.
      preValidation: async (request) => {
        request.body ??= {};
      },
    },
    async (request, reply) => {
      const { id } = request.params as Static<typeof IdParams>;
      const body = request.body as Static<typeof EraseSchema>;
      await services.eraseRecording({
        actor: userOf(request),
        recordingId: id,
        reason: body.reason,
        decisionReference: body.decisionReference ?? null,
        request: request.id,
      });
      return reply.code(204).send();
    },
  );
};

/** Finding, reading and erasing recordings. */
export const recordingRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  search(app, options);
  view(app, options);
  status(app, options);
  await app.register(async (own) => {
    acceptJson(own, { emptyIs: 'nothing' });
    erase(own, options);
  });
};
