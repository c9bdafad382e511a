import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { SourceActor } from '../../core/access.ts';
import { AppError } from '../../core/errors.ts';
import type { Services } from '../../services/services.ts';
import { idOf } from '../admin-request.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { hangUpSignal } from '../hang-up.ts';
import { IdParams, problems } from '../schemas/common.ts';
import {
  ImportCheckBody,
  ImportReportBody,
  ImportReportSchema,
  VerificationSchema,
} from '../schemas/imports.ts';

type Options = { readonly services: Pick<Services, 'verifyRecording' | 'checkImport' | 'reportImport'> };

const sourceOf = (request: FastifyRequest): { readonly actor: SourceActor } => {
  const { actor } = callerOf(request);
  if (actor.type !== 'source') throw new AppError('forbidden', 'Only a source may do this.');
  return { actor };
};

const verification = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '/recordings/:id/verification',
    {
      config: { access: { action: 'recording.verify' } },
      schema: {
        tags: ['recordings'],
        operationId: 'verifyRecording',
        summary: 'Read back what you delivered: the SHA-256 of what lies in the store',
        description:
          'For the source that delivered it. The vault reads the stored object whole, opens it, and answers its digest; no sound leaves. An entry of the access log is written first.',
        params: IdParams,
        response: { 200: VerificationSchema, ...problems(404, 410, 502) },
      },
    },
    async (request, reply) =>
      services.verifyRecording({
        ...sourceOf(request),
        recordingId: idOf(request),
        request: request.id,
        signal: hangUpSignal(reply),
      }),
  );
};

const check = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '/import-checks',
    {
      config: { access: { action: 'recording.create' } },
      schema: {
        tags: ['recordings'],
        operationId: 'checkImport',
        summary: 'Ask, before anything is sent, whether calls of these care units would be taken',
        description:
          'Nothing is kept. 400 names by their places those that are not active care units of the source’s own organisation, each as a delivery that names it would be refused, and is an entry of the access log as that is.',
        body: ImportCheckBody,
        response: { 204: Type.Null(), ...problems(415) },
      },
    },
    async (request, reply) => {
      const { careUnits } = request.body as Static<typeof ImportCheckBody>;
      await services.checkImport({ ...callerOf(request), ...sourceOf(request), careUnits });
      return reply.code(204).send();
    },
  );
};

const report = (app: FastifyInstance, { services }: Options): void => {
  app.post(
    '/import-reports',
    {
      config: { access: { action: 'import.report' } },
      schema: {
        tags: ['recordings'],
        operationId: 'reportImport',
        summary: 'Put the digest and the totals of an import’s report into the access log',
        description:
          'What was verified and what is an exception are files, and what was wiped was verified: totals that contradict each other are refused.',
        body: ImportReportBody,
        response: { 201: ImportReportSchema, ...problems(415) },
      },
    },
    async (request, reply) => {
      const { id, at } = await services.reportImport({
        ...callerOf(request),
        ...sourceOf(request),
        report: request.body as Static<typeof ImportReportBody>,
      });
      return reply.code(201).send({ id, at: new Date(at).toISOString() });
    },
  );
};

/** What whoever empties an old share needs beside the upload: a word before it, proof that each file arrived, and of the whole. */
export const importRoutes: FastifyPluginAsync<Options> = async (app, options) => {
  forbidStoring(app);
  verification(app, options);
  check(app, options);
  report(app, options);
};
