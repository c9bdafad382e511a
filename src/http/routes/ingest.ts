import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { Type } from 'typebox';
import { MAX_NAME_CHARS, metadataOfPut } from '../../core/ingest-headers.ts';
import type { Services } from '../../services/services.ts';
import { declaredDigest } from '../content-digest.ts';
import {
  answer,
  config,
  declaredLength,
  type HandOver,
  responses,
  sourceOf,
  tellRefusals,
} from '../delivery.ts';
import { hangUpSignal } from '../hang-up.ts';
import { readMultipartUpload } from '../multipart-upload.ts';
import { Closed } from '../schemas/common.ts';
import { FormUpload, RawUpload } from '../schemas/uploads.ts';
import { uploadBody } from '../upload-body.ts';
import { assertBody, assertWhole, headerOf, rawMediaType } from '../upload-head.ts';
import { type JambonzOptions, jambonzCalls } from './jambonz.ts';
import { rtpengineRecordings } from './rtpengine.ts';
import { type SealedOptions, sealedRecordings } from './sealed-recordings.ts';

type Options = SealedOptions &
  JambonzOptions & {
    readonly services: Pick<Services, 'ingestRecording' | 'recordUploadRefusal' | 'now'>;
    readonly limits: { readonly maxUploadBytes: number };
  };

const form = (app: FastifyInstance, { services, limits }: Options, handOver: HandOver): void => {
  app.post(
    '/recordings',
    {
      config: { ...config, described: FormUpload },
      bodyLimit: Number.MAX_SAFE_INTEGER,
      schema: {
        tags: ['recordings'],
        operationId: 'uploadRecording',
        summary: 'Deliver a recording as a form: metadata (JSON) or siprec (RFC 7865) first, then audio',
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
      assertBody(request);
      // Of length 0 and no type the framework makes no body; it is a recording like one in no chunks: empty.
      const body = (request.body as Readable | undefined) ?? request.raw;
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
  sealedRecordings(app, options, handOver);
  rtpengineRecordings(app, options, handOver);
  jambonzCalls(app, options);
};
