import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { MAX_MANIFEST_BYTES } from '../../core/sealed-layout.ts';
import type { Services } from '../../services/services.ts';
import { arrivingInTime } from '../body-deadline.ts';
import { answer, config, declaredLength, type HandOver, responses, sourceOf } from '../delivery.ts';
import { hangUpSignal } from '../hang-up.ts';
import { badForm, type Form, lastPart, nextPart, openForm, smallPart } from '../multipart-upload.ts';
import { Closed, problems, Uuid } from '../schemas/common.ts';
import { SealedUpload } from '../schemas/uploads.ts';
import { assertWhole } from '../upload-head.ts';

export type SealedOptions = {
  readonly services: Pick<Services, 'ingestRecording' | 'openSealedUpload' | 'edgeRecipient'>;
  readonly limits: { readonly maxUploadBytes: number };
};

/** What sealing and the form add to the recording, with room to spare. */
const OVERHEAD = 0.001;

const readHead = async (form: Form) => {
  const first = await nextPart(form);
  if (first?.name !== 'manifest') throw badForm('the first part must be manifest (a compact JWS)');
  const manifest = (await smallPart(first, 'manifest', MAX_MANIFEST_BYTES)).toString('latin1').trim();
  const object = await nextPart(form);
  if (object?.name !== 'object') throw badForm('after manifest comes the part object');
  return { manifest, object };
};

const readForm = async (request: FastifyRequest) => {
  const form = openForm(request, 'manifest and object');
  const { manifest, object } = await arrivingInTime(readHead(form));
  return { manifest, object: lastPart(request, object, form) };
};

const edgeKey = (app: FastifyInstance, { services }: SealedOptions): void => {
  app.get(
    '/edge-key',
    {
      config: { access: config.access },
      schema: {
        tags: ['recordings'],
        operationId: 'getEdgeKey',
        summary: 'The public key that a source of the organisation seals its data keys to',
        response: {
          200: Closed({
            organisation: Uuid,
            algorithm: Type.Literal(1),
            keyVersion: Type.Integer({ minimum: 1 }),
            publicKey: Type.String({ description: 'X25519, 32 bytes in base64url' }),
          }),
          ...problems(403),
        },
      },
    },
    async (request, reply) => {
      const { organisation } = sourceOf(request);
      const { keyVersion, publicKey } = await services.edgeRecipient(organisation);
      return reply.header('cache-control', 'private, no-store').send({
        organisation,
        algorithm: 1 as const,
        keyVersion,
        publicKey: Buffer.from(publicKey).toString('base64url'),
      });
    },
  );
};

const delivery = (app: FastifyInstance, { services, limits }: SealedOptions, handOver: HandOver): void => {
  app.post(
    '/sealed-recordings',
    {
      config: { ...config, described: SealedUpload },
      bodyLimit: Number.MAX_SAFE_INTEGER,
      schema: {
        tags: ['recordings'],
        operationId: 'uploadSealedRecording',
        summary:
          'Deliver a recording that the source has sealed: manifest (signed) first, then the sealed object',
        description: 'docs/file-format.md §11 has the bytes; push, watch and import do it by --seal-with.',
        response: { ...responses, ...problems(403) },
      },
    },
    async (request, reply) => {
      const actor = sourceOf(request);
      assertWhole(request);
      const { maxUploadBytes } = limits;
      declaredLength(request, Math.ceil(maxUploadBytes * (1 + OVERHEAD)) + 1024 * 1024);
      const { manifest, object } = await readForm(request);
      const upload = await services.openSealedUpload({ actor, manifest, object });
      handOver(request);
      const result = await services.ingestRecording({
        actor,
        ...upload,
        request: request.id,
        signal: hangUpSignal(reply),
      });
      return answer(reply, result);
    },
  );
};

/** For sources that seal what they deliver, so that what is left on their machine opens nothing. */
export const sealedRecordings = (app: FastifyInstance, options: SealedOptions, handOver: HandOver): void => {
  edgeKey(app, options);
  delivery(app, options, handOver);
};
