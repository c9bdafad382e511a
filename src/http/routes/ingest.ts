import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { SourceActor } from '../../core/access.ts';
import { AppError } from '../../core/errors.ts';
import { MAX_NAME_CHARS, metadataOfPut } from '../../core/ingest-headers.ts';
import type { Ingested } from '../../services/ingest-request.ts';
import type { Services } from '../../services/services.ts';
import { declaredDigest } from '../content-digest.ts';
import { asAppError } from '../foreign-error.ts';
import { hangUpSignal } from '../hang-up.ts';
import { readMultipartUpload } from '../multipart-upload.ts';
import { actorOf } from '../plugins/access.ts';
import { sendProblem } from '../problem.ts';
import { Closed, problems } from '../schemas/common.ts';
import { IngestedSchema } from '../schemas/recordings.ts';
import { FormUpload, RawUpload } from '../schemas/uploads.ts';
import { uploadBody } from '../upload-body.ts';
import { assertWhole, headerOf, rawMediaType } from '../upload-head.ts';

type Options = {
  readonly services: Pick<Services, 'ingestRecording' | 'recordUploadRefusal' | 'now'>;
  readonly limits: { readonly maxUploadBytes: number };
};

const Location = Type.String({
  description: '/v1/recordings/{id}/status, which the source may ask: what became of the upload',
});

const responses = {
  200: {
    ...IngestedSchema,
    headers: { Location },
    description: 'The same call, segment and content was here already',
  },
  201: {
    ...IngestedSchema,
    headers: { Location },
    description: 'Stored: object, row and log entry survive a power cut',
  },
  ...problems(408, 409, 413, 415, 422, 507),
};

/** An address ends up in logs: whatever is to be said of a call stands elsewhere. */
const NoQuery = Closed({});

const sourceOf = (request: FastifyRequest): SourceActor => {
  const actor = actorOf(request);
  if (actor.type !== 'source') throw new AppError('forbidden', 'Only a source may add recordings.');
  return actor;
};

const answer = (reply: FastifyReply, { created, ...facts }: Ingested) => {
  if (created) reply.request.uploadFlags = facts.flags;
  return reply
    .code(created ? 201 : 200)
    .header('location', `/v1/recordings/${facts.id}/status`)
    .header('cache-control', 'private, no-store')
    .send({ ...facts, status: 'stored' as const, flags: [...facts.flags] });
};

/** Content-Length of a raw body: exact, or absent with chunked coding. Refused before a byte is read when it is too large. */
const declaredLength = (request: FastifyRequest, maxUploadBytes: number): number | null => {
  const header = request.headers['content-length'];
  const bytes = header === undefined ? null : Number(header);
  if (bytes !== null && bytes > maxUploadBytes)
    throw new AppError('too_large', `A recording may have at most ${maxUploadBytes} bytes here.`);
  return bytes;
};

/**
 * What a known source is refused becomes an entry before it is an answer. From the returned function on a request is the
 * service's, which tells its end itself.
 */
const tellRefusals = (
  app: FastifyInstance,
  { recordUploadRefusal }: Pick<Services, 'recordUploadRefusal'>,
): ((request: FastifyRequest) => void) => {
  const handedOver = new WeakSet<FastifyRequest>();
  const refusalOf = async (request: FastifyRequest, thrown: unknown): Promise<unknown> => {
    const { actor } = request;
    if (actor?.type !== 'source' || handedOver.has(request)) return thrown;
    const error = asAppError(thrown);
    try {
      await recordUploadRefusal({ actor, request: request.id, error });
      return error;
    } catch (unavailable) {
      return unavailable;
    }
  };
  app.setErrorHandler(async (error, request, reply) =>
    sendProblem(request, reply, await refusalOf(request, error)),
  );
  return (request) => void handedOver.add(request);
};

type HandOver = (request: FastifyRequest) => void;

const config = { access: { action: 'recording.create' }, longBody: true } as const;

const form = (app: FastifyInstance, { services, limits }: Options, handOver: HandOver): void => {
  app.post(
    '/recordings',
    {
      config: { ...config, described: FormUpload },
      bodyLimit: Number.MAX_SAFE_INTEGER,
      schema: {
        tags: ['recordings'],
        operationId: 'uploadRecording',
        summary: 'Deliver a recording as a form: metadata (JSON) first, then audio',
        querystring: NoQuery,
        response: responses,
      },
    },
    async (request, reply) => {
      const actor = sourceOf(request);
      assertWhole(request);
      // The form adds little to the audio; what is far beyond is refused unread.
      declaredLength(request, limits.maxUploadBytes + 1024 * 1024);
      const upload = await readMultipartUpload(request, services.now());
      const { metadata, body, declaredSha256, declaredMediaType } = upload;
      handOver(request);
      const result = await services.ingestRecording({
        actor,
        metadata,
        body,
        limits: { declaredBytes: null, declaredSha256, declaredMediaType },
        request: request.id,
        signal: hangUpSignal(reply),
      });
      return answer(reply, result);
    },
  );
};

const raw = (app: FastifyInstance, { services, limits }: Options, handOver: HandOver): void => {
  app.put(
    '/ingest/:name',
    {
      config: { ...config, described: RawUpload },
      bodyLimit: Number.MAX_SAFE_INTEGER,
      schema: {
        tags: ['recordings'],
        operationId: 'putRecording',
        summary:
          'Deliver a recording as a raw body, metadata in X-Call-* headers (curl -T, FreeSWITCH http_put)',
        description:
          'A recording is sent whole: Content-Range is refused. Any content type but those named, or none, is refused with 415.',
        params: Closed({ name: Type.String({ minLength: 1, maxLength: MAX_NAME_CHARS }) }),
        querystring: NoQuery,
        response: responses,
      },
    },
    async (request, reply) => {
      const actor = sourceOf(request);
      const { name } = request.params as { name: string };
      assertWhole(request);
      const declaredMediaType = rawMediaType(request);
      const declaredSha256 = declaredDigest(headerOf(request));
      const metadata = metadataOfPut(name, request.raw.headersDistinct, services.now());
      const declaredBytes = declaredLength(request, limits.maxUploadBytes);
      const body = request.body as Readable | undefined;
      if (body === undefined)
        throw new AppError('invalid_request', 'The request has no body: send the audio.');
      handOver(request);
      const result = await services.ingestRecording({
        actor,
        metadata,
        body: uploadBody(request.raw, body),
        limits: { declaredBytes, declaredSha256, declaredMediaType },
        request: request.id,
        signal: hangUpSignal(reply),
      });
      return answer(reply, result);
    },
  );
};

/** Where telephony systems deliver. Authenticated before a byte of the body is read; bytes are counted by the service. */
export const ingestRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  const handOver = tellRefusals(app, options.services);
  // For these routes alone; bodies pass through as streams, whatever they are: JSON and forms too.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  form(app, options, handOver);
  raw(app, options, handOver);
};
