import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { AppError } from '../../core/errors.ts';
import { freeBuffer } from '../../core/free-buffer.ts';
import { checkConditions, MAX_PIECE_BYTES, parseRange } from '../../core/range.ts';
import type { PieceRequest } from '../../services/authorise-piece.ts';
import type { Services } from '../../services/services.ts';
import type { Listening } from '../../services/stream-playback.ts';
import { hangUpSignal } from '../hang-up.ts';
import { provenBy } from '../plugins/access.ts';
import { bytes, IdParams, problems } from '../schemas/common.ts';
import { AudioQuery, HeardBody, OpenedPlaybackSchema, PlaybackBody } from '../schemas/playbacks.ts';
import { userOf } from './recordings.ts';

type Options = { readonly services: Pick<Services, 'openPlayback' | 'streamPlayback' | 'reportHeard'> };

const pieceOf = (request: FastifyRequest): PieceRequest => ({
  playbackId: (request.params as Static<typeof IdParams>).id,
  credential: provenBy(request),
  request: request.id,
  route: request.routeOptions.url ?? 'unknown',
});

/**
 * Opened in a tab, the cookie would go with it and the file could be saved: sound is for a player's `audio` element, its
 * waveform for a script (`empty`), both for programs that are no browsers.
 */
const assertDestination = (request: FastifyRequest, expected: 'audio' | 'empty'): void => {
  const destination = request.headers['sec-fetch-dest'];
  if (destination !== undefined && destination !== expected)
    throw new AppError('forbidden', 'This address is for a player, not for a page or a tab.');
};

const mediaHeaders = (reply: FastifyReply, { mediaType, etag }: Listening): FastifyReply =>
  reply
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'private, no-store')
    .header('etag', etag)
    .header('cross-origin-resource-policy', 'same-origin')
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'no-referrer')
    .type(mediaType);

/**
 * One part, at most {@link MAX_PIECE_BYTES} wide: verified whole before its headers leave, so damage is a clean 502. A wider
 * wish is shortened to where the next part begins well, and the player asks on.
 */
const sendPart = async (
  reply: FastifyReply,
  listening: Listening,
  wish: { readonly start: number; readonly end: number },
): Promise<FastifyReply> => {
  const { start } = wish;
  const end = wish.end - start > MAX_PIECE_BYTES ? listening.partEnd(start) : wish.end;
  const body = await listening.readPiece({ start, end });
  mediaHeaders(reply, listening)
    .code(206)
    .header('content-range', `bytes ${start}-${end - 1}/${listening.totalBytes}`)
    .header('content-length', end - start);
  // `finish` comes when the system has the bytes; a listener who hangs up before leaves them to the collector.
  reply.raw.once('finish', () => freeBuffer(body));
  return reply.send(body);
};

const sendWhole = async (
  request: FastifyRequest,
  reply: FastifyReply,
  listening: Listening,
): Promise<FastifyReply> => {
  // The first segment verifies before the headers leave; what fails later cuts the connection.
  const body = request.method === 'HEAD' ? null : await listening.readAll();
  mediaHeaders(reply, listening).code(200).header('content-length', listening.totalBytes);
  return body === null
    ? reply.send()
    : reply.send(Readable.from(body, { objectMode: false, highWaterMark: 65_536 }));
};

const sendAudio = async (
  request: FastifyRequest,
  reply: FastifyReply,
  listening: Listening,
): Promise<FastifyReply> => {
  const { totalBytes, etag } = listening;
  const { range, 'if-range': ifRange, 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
  const condition = checkConditions({ ifMatch, ifNoneMatch }, etag);
  if (condition === 'failed')
    throw new AppError('precondition_failed', 'The recording is not the one that If-Match names.');
  if (condition === 'unchanged') return mediaHeaders(reply, listening).code(304).send();
  // Range is for GET alone (RFC 9110 §14.2).
  const wish = parseRange(
    request.method === 'HEAD' ? {} : { range, ifRange: ifRange as string | undefined },
    { totalBytes, etag },
    totalBytes,
  );
  if (wish.kind === 'unsatisfiable')
    throw new AppError('range_not_satisfiable', `The recording has ${totalBytes} bytes.`, { totalBytes });
  return wish.kind === 'full' ? sendWhole(request, reply, listening) : sendPart(reply, listening, wish);
};

const openPlayback = (app: FastifyInstance, services: Options['services']): void => {
  app.post(
    '/recordings/:id/playbacks',
    {
      config: { access: { action: 'recording.play' } },
      schema: {
        tags: ['playback'],
        operationId: 'openPlayback',
        summary: 'A permission to hear one recording, written to the log before anything is heard',
        params: IdParams,
        body: PlaybackBody,
        response: { 201: OpenedPlaybackSchema, ...problems(404, 410) },
      },
    },
    async (request, reply) => {
      const { id } = request.params as Static<typeof IdParams>;
      const { purpose, reason } = request.body as Static<typeof PlaybackBody>;
      const opened = await services.openPlayback({
        actor: userOf(request),
        recordingId: id,
        purpose: purpose ?? null,
        reason: reason ?? null,
        request: request.id,
      });
      const url = `/v1/playbacks/${opened.playbackId}`;
      return reply
        .code(201)
        .header('cache-control', 'private, no-store')
        .header('location', `${url}/audio`)
        .send({
          playbackId: opened.playbackId,
          audioUrl: `${url}/audio`,
          peaksUrl: opened.hasPeaks ? `${url}/peaks` : null,
          expiresAt: opened.expiresAt.toISOString(),
          playable: opened.playable,
          mediaType: opened.mediaType,
          durationMs: opened.durationMs,
        });
    },
  );
};

const audio = (app: FastifyInstance, services: Options['services']): void => {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/playbacks/:id/audio',
    config: { access: { action: 'playback.listen', credential: 'piece' } },
    // Sound is no page: of the headers for pages it needs the three that mediaHeaders sets.
    helmet: false,
    schema: {
      tags: ['playback'],
      operationId: 'playbackAudio',
      summary: 'The sound, with Range; every piece is decided again',
      description:
        'bytes=a-b wider than 512 KiB is answered 206 with a shorter part. Several ranges in one request are answered 200 with the whole, as RFC 9110 §14.2 permits. HEAD ignores Range. What browsers do not play is served as a WAV file derived from it while it is served (docs/formats.md); form=original is the original byte for byte.',
      params: IdParams,
      querystring: AudioQuery,
      response: {
        200: bytes('audio/*', 'The whole recording, paced after a burst'),
        206: bytes('audio/*', 'A part'),
        304: { description: 'If-None-Match names this recording', type: 'null' },
        ...problems(404, 412, 416, 502),
      },
    },
    handler: async (request, reply) => {
      assertDestination(request, 'audio');
      const { form } = request.query as Static<typeof AudioQuery>;
      const asked = { ...pieceOf(request), asOriginal: form === 'original', signal: hangUpSignal(reply) };
      return sendAudio(request, reply, await services.streamPlayback.audio(asked));
    },
  });
};

const peaks = (app: FastifyInstance, services: Options['services']): void => {
  app.get(
    '/playbacks/:id/peaks',
    {
      config: { access: { action: 'playback.listen', credential: 'piece' } },
      schema: {
        tags: ['playback'],
        operationId: 'playbackPeaks',
        summary: 'The waveform (binary, docs/file-format.md §9)',
        params: IdParams,
        response: {
          200: bytes(
            'application/octet-stream',
            'The loudest amplitude of each channel in at most 1,000 buckets',
          ),
          ...problems(404, 502),
        },
      },
    },
    async (request, reply) => {
      assertDestination(request, 'empty');
      const waveform = await services.streamPlayback.peaks(pieceOf(request));
      if (waveform === null) throw new AppError('not_found', 'This recording has no waveform.');
      return reply
        .header('cache-control', 'private, no-store')
        .type('application/octet-stream')
        .send(waveform);
    },
  );
};

const heard = (app: FastifyInstance, services: Options['services']): void => {
  app.post(
    '/playbacks/:id/heard',
    {
      config: { access: { action: 'playback.listen', credential: 'cookie' } },
      schema: {
        tags: ['playback'],
        operationId: 'reportHeard',
        summary: 'What the player says was heard; kept as the client’s statement',
        params: IdParams,
        body: HeardBody,
        response: { 204: Type.Null(), ...problems(404) },
      },
    },
    async (request, reply) => {
      const { id } = request.params as Static<typeof IdParams>;
      const { spans } = request.body as Static<typeof HeardBody>;
      await services.reportHeard({ actor: userOf(request), playbackId: id, spans, request: request.id });
      return reply.code(204).send();
    },
  );
};

/** Hearing: a permission first, then sound in pieces. */
export const playbackRoutes: FastifyPluginAsync<Options> = async (app, { services }) => {
  openPlayback(app, services);
  audio(app, services);
  peaks(app, services);
  heard(app, services);
};
