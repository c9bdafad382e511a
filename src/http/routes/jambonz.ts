import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { WebSocket } from 'ws';
import type { SourceActor } from '../../core/access.ts';
import { AppError, isAppError } from '../../core/errors.ts';
import { callOfJambonz, type JambonzCall } from '../../core/jambonz-call.ts';
import type { Services } from '../../services/services.ts';
import { callerOf } from '../caller.ts';
import { config, sourceOf } from '../delivery.ts';
import { asAppError } from '../foreign-error.ts';
import { answerOn } from '../http-server.ts';
import { closeCodes, createLiveCall, type LiveCall } from '../live-call.ts';
import { provenBy } from '../plugins/access.ts';
import { problemOf } from '../problem.ts';
import { Closed, problems } from '../schemas/common.ts';
import { createSocketTaker, SOCKETS_AT } from '../websocket.ts';

export type JambonzOptions = {
  readonly services: Pick<
    Services,
    'ingestRecording' | 'recordUploadRefusal' | 'announceCalls' | 'authenticate' | 'now'
  >;
  readonly limits: { readonly maxUploadBytes: number };
};

/** At a shutdown calls may end by themselves for as long as other requests may; then what arrived is stored. */
const DRAIN_MS = 8_000;

const closeCodeOf = (error: AppError, request: string): number => {
  if (error.code === 'too_large') return closeCodes.tooBig;
  return problemOf(error, request).status >= 500 ? closeCodes.fault : closeCodes.policy;
};

async function* from(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

/** What becomes of one connection. Settles, without an error, when the call is stored or refused and said to be. */
const createReceiver = ({ services }: JambonzOptions) => {
  const announce = (request: FastifyRequest, actor: SourceActor, call: JambonzCall, endedAt?: number) =>
    services.announceCalls({ ...callerOf(request), actor, calls: [call.announced(endedAt)], form: 'json' });

  const open = async (request: FastifyRequest, actor: SourceActor, live: LiveCall): Promise<JambonzCall> => {
    try {
      const call = callOfJambonz(await live.opening(), request.id, services.now());
      // Of a call that is never stored, for whatever reason, the radar knows from now on.
      await announce(request, actor, call);
      return call;
    } catch (error) {
      await services.recordUploadRefusal({ actor, request: request.id, error });
      throw error;
    }
  };

  const store = async (request: FastifyRequest, actor: SourceActor, live: LiveCall): Promise<string> => {
    const call = await open(request, actor, live);
    const { value: first } = await live.sound.next();
    if (first === undefined) {
      await announce(request, actor, call, services.now());
      return 'no sound';
    }
    await services.ingestRecording({
      actor,
      metadata: call.metadata,
      body: from(first, live.sound),
      limits: { declaredBytes: null, declaredSha256: null, declaredMediaType: call.mediaType },
      request: request.id,
      isCut: live.isCut,
      // Whoever hangs up has ended the call; what came until then is kept.
      signal: new AbortController().signal,
    });
    return 'stored';
  };

  return async (request: FastifyRequest, actor: SourceActor, live: LiveCall): Promise<void> => {
    try {
      live.close(await store(request, actor, live));
    } catch (thrown) {
      const error = asAppError(thrown);
      const code = closeCodeOf(error, request.id);
      if (code === closeCodes.fault) request.log.error({ err: error }, 'a live call was not stored');
      live.end(code);
      // Whoever broke it off himself hears what was wrong with that.
      live.close(error.code, error.code === 'client_closed' ? undefined : code);
    }
  };
};

/** What has expired or was taken back is known no more; a database that is away says nothing about anybody. */
const isStillKnown = async (request: FastifyRequest, { services }: JambonzOptions): Promise<boolean> => {
  try {
    await services.authenticate(provenBy(request));
    return true;
  } catch (error) {
    return !isAppError(error, 'unauthenticated');
  }
};

const described = {
  tags: ['recordings'],
  summary: 'Deliver a recording while it is spoken, over a WebSocket, as jambonz does',
  description:
    'docs/telephony.md has the settings and what is sent: one text frame of JSON (sampleRate, mixType, callSid, direction, from, to), then samples in binary frames, and a close. The API key may be the password of the address (Basic). The close is answered when the recording is stored: 1000; 1008, 1009 or 1011 with an error code as reason say what became of it otherwise. A call that ends without a close is stored and flagged truncated.',
  response: {
    101: { type: 'null', description: 'Switched to WebSocket; send the first frame within 20 seconds' },
    ...problems(),
  },
} as const;

/** jambonz: recordings of all calls (`JAMBONZ_RECORD_WS_BASE_URL`), and the verb `listen`. */
export const jambonzCalls = (app: FastifyInstance, options: JambonzOptions): void => {
  const take = createSocketTaker(answerOn);
  const receive = createReceiver(options);
  const calls = new Map<LiveCall, Promise<void>>();
  let closing = false;

  const connect = (request: FastifyRequest, actor: SourceActor) => (socket: WebSocket) => {
    const live = createLiveCall(socket, {
      maxBytes: options.limits.maxUploadBytes,
      isStillKnown: () => isStillKnown(request, options),
    });
    calls.set(
      live,
      receive(request, actor, live).finally(() => calls.delete(live)),
    );
  };

  app.addHook('preClose', (done) => {
    closing = true;
    setTimeout(() => {
      for (const live of calls.keys()) live.end(closeCodes.goingAway);
    }, DRAIN_MS).unref();
    done();
  });
  // A connection that was cut is gone before its call is stored.
  app.addHook('onClose', async () => void (await Promise.all(calls.values())));

  // A WebSocket begins with GET alone (RFC 6455 §4.1).
  const route = {
    exposeHeadRoute: false,
    config: { ...config, access: { ...config.access, credential: 'basic' as const } },
  };
  const handler = async (request: FastifyRequest, reply: Parameters<typeof take>[1]): Promise<void> => {
    const actor = sourceOf(request);
    if (closing) throw new AppError('overloaded', 'The vault is closing.', { retryAfter: 10 });
    take(request, reply, connect(request, actor));
  };
  const at = SOCKETS_AT.replace('/v1', '');
  app.get(at, { ...route, schema: { ...described, operationId: 'streamRecording' } }, handler);
  // What jambonz puts behind its base address: the vendor of the bucket that it thinks it writes to.
  const params = Closed({ vendor: Type.String({ minLength: 1, maxLength: 64 }) });
  app.get(
    `${at}/record/:vendor`,
    { ...route, schema: { ...described, operationId: 'streamJambonzRecording', params } },
    handler,
  );
};
