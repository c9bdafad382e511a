import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { Type } from 'typebox';
import { AppError } from '../../core/errors.ts';
import { parseMetadata } from '../../core/metadata.ts';
import { readUploadMetadata } from '../../core/upload-metadata.ts';
import type { Services } from '../../services/services.ts';
import { type HandOver, sourceOf, tellRefusals } from '../delivery.ts';
import { assertMeant } from '../method-override.ts';
import { statusOnUploads } from '../problem.ts';
import { IdParams, problems } from '../schemas/common.ts';
import {
  AppendHeaders,
  BeginHeaders,
  Discovered,
  PartBody,
  Progress,
  TusHeaders,
} from '../schemas/resumable.ts';
import {
  assertNoBody,
  assertPart,
  assertVersion,
  checksumIn,
  countIn,
  lengthIn,
  TUS_EXTENSIONS,
  TUS_VERSION,
  tell,
} from '../tus-headers.ts';
import { uploadBody } from '../upload-body.ts';
import { headerOf } from '../upload-head.ts';

type Options = {
  readonly services: Pick<Services, 'resumableUploads' | 'recordUploadRefusal' | 'now'>;
  readonly limits: { readonly maxUploadBytes: number };
};

/** Busy, or without log, database, store or room: whatever it is, the upload is there still. */
const notNow: ReadonlySet<number> = new Set([429, 500, 503, 507]);

const asked = (request: FastifyRequest) => ({
  actor: sourceOf(request),
  uploadId: (request.params as Static<typeof IdParams>).id,
  request: request.id,
});

const discover = (app: FastifyInstance, { limits }: Options): void => {
  app.options(
    '/uploads',
    {
      config: { access: 'public' },
      schema: {
        tags: ['recordings'],
        operationId: 'resumableUploadOptions',
        summary: 'What of tus 1.0 is spoken here',
        response: { 204: Discovered },
      },
    },
    async (_request, reply) =>
      reply
        .code(204)
        .header('tus-version', TUS_VERSION)
        .header('tus-extension', TUS_EXTENSIONS)
        .header('tus-max-size', String(limits.maxUploadBytes))
        .header('tus-checksum-algorithm', 'sha256')
        .send(),
  );
};

const begin = (app: FastifyInstance, { services, limits }: Options, handOver: HandOver): void => {
  app.post(
    '/uploads',
    {
      config: { access: { action: 'recording.create' }, described: { headers: BeginHeaders } as never },
      schema: {
        tags: ['recordings'],
        operationId: 'beginResumableUpload',
        summary: 'Begin a recording that comes in parts (tus 1.0, docs/uploads.md)',
        response: {
          201: { ...Progress, description: 'Begun; Location is where the bytes go' },
          ...problems(410, 412, 413, 422, 507),
        },
      },
    },
    async (request, reply) => {
      const actor = sourceOf(request);
      assertNoBody(request);
      const length = lengthIn(request, limits.maxUploadBytes);
      const facts = readUploadMetadata(headerOf(request)('upload-metadata'));
      parseMetadata(facts.fields, services.now());
      handOver(request);
      const begun = await services.resumableUploads.begin({ actor, length, facts, request: request.id });
      return tell(reply.code(201), begun).header('location', `/v1/uploads/${begun.id}`).send();
    },
  );
};

const ask = (app: FastifyInstance, { services }: Options): void => {
  app.head(
    '/uploads/:id',
    {
      config: { access: { action: 'upload.continue' }, described: { headers: TusHeaders } as never },
      schema: {
        tags: ['recordings'],
        operationId: 'askResumableUpload',
        summary: 'How much of it is durable; whoever still sends for it is stopped',
        params: IdParams,
        response: { 200: Progress, ...problems(404, 412, 423) },
      },
    },
    async (request, reply) => {
      const told = await services.resumableUploads.tell(asked(request));
      return tell(reply, told).header('upload-length', String(told.length)).send();
    },
  );
};

const append = (app: FastifyInstance, { services }: Options, handOver: HandOver): void => {
  app.patch(
    '/uploads/:id',
    {
      config: {
        access: { action: 'upload.continue' },
        longBody: true,
        described: { body: PartBody, headers: AppendHeaders },
      },
      bodyLimit: Number.MAX_SAFE_INTEGER,
      schema: {
        tags: ['recordings'],
        operationId: 'continueResumableUpload',
        summary: 'The next bytes; with the last of them it is a recording, which Callvault-Recording names',
        description:
          'Where a network lets no PATCH through: POST with X-HTTP-Method-Override: PATCH. The same for HEAD and DELETE.',
        params: IdParams,
        response: {
          204: { ...Progress, description: 'What arrived survives a power cut' },
          ...problems(404, 408, 409, 410, 412, 413, 415, 422, 423, 460, 502, 507),
        },
      },
    },
    async (request, reply) => {
      const about = asked(request);
      assertPart(request);
      const offset = countIn(request, 'Upload-Offset');
      const sha256 = checksumIn(request);
      const declared = request.headers['content-length'];
      const body = request.body as Readable | undefined;
      if (body === undefined)
        throw new AppError('invalid_request', 'The request has no body: send the next bytes.');
      handOver(request);
      const appended = await services.resumableUploads.append({
        ...about,
        offset,
        sha256,
        declaredBytes: declared === undefined ? null : Number(declared),
        body: (stop) => uploadBody(request.raw, body, stop),
      });
      return tell(reply.code(204), appended).send();
    },
  );
};

const terminate = (app: FastifyInstance, { services }: Options): void => {
  app.delete(
    '/uploads/:id',
    {
      config: { access: { action: 'upload.continue' }, described: { headers: TusHeaders } as never },
      schema: {
        tags: ['recordings'],
        operationId: 'endResumableUpload',
        summary: 'End an upload and remove what came of it; a recording that it has become stays',
        params: IdParams,
        response: { 204: Type.Null(), ...problems(404, 412, 423) },
      },
    },
    async (request, reply) => {
      await services.resumableUploads.terminate(asked(request));
      return reply.code(204).send();
    },
  );
};

/** tus 1.0 for recordings, by sources alone. Authenticated, and its version known, before a byte of a body is read. */
export const uploadRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  const handOver = tellRefusals(app, options.services, statusOnUploads);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.addHook('onRequest', async (request) => {
    if (request.method === 'OPTIONS') return;
    assertVersion(request);
    assertMeant(request.raw);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    // Clients begin anew after any other answer to HEAD, and what they have sent would be lost to them.
    if (request.method === 'HEAD' && notNow.has(reply.statusCode)) void reply.code(423);
    void reply.header('tus-resumable', TUS_VERSION);
    if (reply.statusCode === 412) void reply.header('tus-version', TUS_VERSION);
    // Node would send it, for a HEAD that came as POST.
    return request.method === 'HEAD' ? null : payload;
  });
  discover(app, options);
  begin(app, options, handOver);
  ask(app, options);
  append(app, options, handOver);
  terminate(app, options);
};
