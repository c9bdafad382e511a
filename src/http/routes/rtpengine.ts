import type { FastifyInstance, FastifyRequest } from 'fastify';
import { metadataOfRtpengine } from '../../core/rtpengine-headers.ts';
import type { Services } from '../../services/services.ts';
import { arrivingInTime } from '../body-deadline.ts';
import { answer, config, declaredLength, type HandOver, responses, sourceOf } from '../delivery.ts';
import { hangUpSignal } from '../hang-up.ts';
import { badForm, type Form, lastPart, nextPart, openForm } from '../multipart-upload.ts';
import { RtpengineUpload } from '../schemas/uploads.ts';
import { assertWhole } from '../upload-head.ts';

type Options = {
  readonly services: Pick<Services, 'ingestRecording' | 'now'>;
  readonly limits: { readonly maxUploadBytes: number };
};

const readFile = async (request: FastifyRequest): Promise<AsyncIterable<Buffer>> => {
  const form: Form = openForm(request, 'ngfile (notify-record of rtpengine-recording)');
  const file = await arrivingInTime(nextPart(form));
  if (file?.name !== 'ngfile') throw badForm('the first part must be ngfile');
  return lastPart(request, file, form);
};

/** rtpengine's recording daemon with `notify-uri`, `notify-post` and `notify-record`; its success is any 2xx, given when all is durable. */
export const rtpengineRecordings = (
  app: FastifyInstance,
  { services, limits }: Options,
  handOver: HandOver,
): void => {
  app.post(
    '/ingest/rtpengine',
    {
      config: {
        ...config,
        access: { ...config.access, credential: 'basic' },
        described: RtpengineUpload,
      },
      bodyLimit: Number.MAX_SAFE_INTEGER,
      schema: {
        tags: ['recordings'],
        operationId: 'notifyRtpengineRecording',
        summary: 'Deliver a recording as rtpengine-recording notifies: part ngfile, X-Recording-* headers',
        description:
          'docs/telephony.md has the settings. The API key may be the password of the address (Basic), for the daemon is told nothing else. Sent again, a file of a call is the same recording.',
        response: responses,
      },
    },
    async (request, reply) => {
      const actor = sourceOf(request);
      assertWhole(request);
      declaredLength(request, limits.maxUploadBytes + 1024 * 1024);
      const metadata = metadataOfRtpengine(request.raw.headersDistinct, services.now());
      const body = await readFile(request);
      handOver(request);
      const result = await services.ingestRecording({
        actor,
        metadata,
        body,
        limits: { declaredBytes: null, declaredSha256: null, declaredMediaType: null },
        request: request.id,
        signal: hangUpSignal(reply),
      });
      return answer(reply, result);
    },
  );
};
