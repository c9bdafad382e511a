import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../core/errors.ts';
import { readCallbackForm, readRecordingCallback } from '../../core/recording-callback.ts';
import type { Services } from '../../services/services.ts';
import type { TakenCallback } from '../../services/take-callback.ts';
import { callerOf, forbidStoring } from '../caller.ts';
import { tellRefusals } from '../delivery.ts';
import { Closed, problems } from '../schemas/common.ts';
import { RecordingCallbackBody, TakenCallbackSchema } from '../schemas/twilio.ts';

type Options = {
  readonly services: Pick<
    Services,
    'verifyCallback' | 'takeCallback' | 'recordingHosts' | 'recordUploadRefusal' | 'now'
  >;
};

/** A callback has some ten parameters. */
const FORM_LIMIT = 16 * 1024;
const FORM = 'application/x-www-form-urlencoded';

/** The form as text: it is read when it is known to be a source's provider that speaks, or not at all. */
const acceptForm = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(FORM, { parseAs: 'string' }, (_request, body, done) => done(null, body));
};

const answer = (reply: FastifyReply, taken: TakenCallback): FastifyReply => {
  if (taken === null) return reply.code(204).send();
  const { created, id } = taken;
  return reply
    .code(created ? 201 : 200)
    .header('location', `/v1/recordings/${id}/status`)
    .send({ id, status: 'stored' });
};

/** Twilio's recordingStatusCallback: authenticated by its signature, which is over the body, so that is read first. */
export const twilioRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  forbidStoring(app);
  const handOver = tellRefusals(app, services);
  acceptForm(app);
  app.post(
    '/ingest/twilio/:source',
    {
      config: {
        access: { action: 'recording.create', credential: 'signature' },
        described: RecordingCallbackBody,
      },
      bodyLimit: FORM_LIMIT,
      schema: {
        tags: ['recordings'],
        operationId: 'takeTwilioCallback',
        summary: 'Twilio’s recordingStatusCallback: the recording is fetched and stored',
        description:
          'docs/telephony.md has the settings. Authenticated by X-Twilio-Signature alone. 201 and 200 when the recording is durable, 204 when the callback is of none. The fetch goes on when the caller hangs up; the same callback again finds what it stored. What cannot be fetched now is fetched later, for seven days, without another callback.',
        params: Closed({ source: Type.String({ maxLength: 128, description: 'id of the source' }) }),
        response: {
          200: { ...TakenCallbackSchema, description: 'It was here already' },
          201: { ...TakenCallbackSchema, description: 'Fetched and stored' },
          204: Type.Null({ description: 'No recording is to be fetched; the call is announced' }),
          ...problems(408, 409, 410, 413, 415, 422, 502, 507),
        },
      },
    },
    async (request, reply) => {
      const { source } = request.params as { readonly source: string };
      const form = typeof request.body === 'string' ? readCallbackForm(request.body) : null;
      const signature = request.headers['x-twilio-signature'];
      const { actor, account } = await services.verifyCallback({
        source,
        form,
        signature: typeof signature === 'string' ? signature : '',
        address: request.ip,
        request: request.id,
      });
      request.actor = actor;
      if (form === null) throw new AppError('internal', 'a verified callback without a form');
      const hosts = services.recordingHosts;
      const callback = readRecordingCallback(form, { ...account, hosts }, services.now());
      handOver(request);
      const taken = await services.takeCallback({ ...callerOf(request), actor, account, form, callback });
      return answer(reply, taken);
    },
  );
};
