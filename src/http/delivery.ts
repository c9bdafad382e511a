import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { Ingested } from '../services/ingest-request.ts';
import type { Services } from '../services/services.ts';
import { asAppError } from './foreign-error.ts';
import { actorOf } from './plugins/access.ts';
import { type StatusOf, sendProblem } from './problem.ts';
import { problems } from './schemas/common.ts';
import { IngestedSchema } from './schemas/recordings.ts';

/** What all ways of delivering a recording have in common: who may, what is answered, and that refusals are told. */
const Location = Type.String({
  description: '/v1/recordings/{id}/status, which the source may ask: what became of the upload',
});

export const responses = {
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

export const sourceOf = (request: FastifyRequest): SourceActor => {
  const actor = actorOf(request);
  if (actor.type !== 'source') throw new AppError('forbidden', 'Only a source may add recordings.');
  return actor;
};

export const answer = (reply: FastifyReply, { created, ...facts }: Ingested) => {
  return reply
    .code(created ? 201 : 200)
    .header('location', `/v1/recordings/${facts.id}/status`)
    .header('cache-control', 'private, no-store')
    .send({ ...facts, status: 'stored' as const, flags: [...facts.flags] });
};

/** Content-Length of a raw body: exact, or absent with chunked coding. Refused before a byte is read when it is too large. */
export const declaredLength = (request: FastifyRequest, maxUploadBytes: number): number | null => {
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
export const tellRefusals = (
  app: FastifyInstance,
  { recordUploadRefusal }: Pick<Services, 'recordUploadRefusal'>,
  statusOf?: StatusOf,
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
    sendProblem(request, reply, await refusalOf(request, error), statusOf),
  );
  return (request) => void handedOver.add(request);
};

export type HandOver = (request: FastifyRequest) => void;

export const config = { access: { action: 'recording.create' }, longBody: true } as const;
