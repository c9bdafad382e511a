import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';
import { AppError } from '../core/errors.ts';

/** The one place of the whole address space that takes WebSockets. */
export const SOCKETS_AT = '/v1/ingest/jambonz';

/** FreeSWITCH sends what waited in one frame: two seconds, unless told otherwise, or 375 KiB of two channels at 48 kHz. */
const MAX_FRAME_BYTES = 512 * 1024;
const OPTIONS = {
  noServer: true,
  clientTracking: false,
  // Sound hardly gets smaller, and a bomb would.
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_BYTES,
  /** In milliseconds, for the other side's answer to our close; then the connection is cut. */
  closeTimeout: 5_000,
};

type Upgrade = { readonly socket: Socket; readonly head: Buffer };
const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** Whatever else asks for an upgrade (h2c, elsewhere) is answered as if it had not: its body would be lost. */
export const shouldUpgrade = ({ method, url, headers }: IncomingMessage): boolean =>
  method === 'GET' && url?.startsWith(SOCKETS_AT) === true && /^websocket$/i.test(headers.upgrade ?? '');

/**
 * Requests for an upgrade go through the same routes and guards as all others: who may not is answered with a problem, and
 * the connection ends.
 */
export const takeUpgrades = (
  server: Server,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): void => {
  server.on('upgrade', (request, duplex, head) => {
    const socket = duplex as Socket;
    // Node has let go of it: without a listener of its own an error would end the process.
    socket.on('error', () => undefined);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    try {
      response.assignSocket(socket);
    } catch {
      // The answer to an earlier request is still being written; nobody who speaks WebSocket sends two at once.
      socket.destroy();
      return;
    }
    response.once('finish', () => socket.destroySoon());
    upgrades.set(request, { socket, head });
    answer(request, response);
  });
};

/** `refuse` answers what is no handshake of RFC 6455. */
export const createSocketTaker = (refuse: (socket: Socket, error: AppError) => void) => {
  const server = new WebSocketServer(OPTIONS);
  server.on('wsClientError', (_error, socket) =>
    refuse(socket as Socket, new AppError('invalid_request', 'This is no WebSocket handshake of RFC 6455.')),
  );
  return (request: FastifyRequest, reply: FastifyReply, opened: (socket: WebSocket) => void): void => {
    const upgrade = upgrades.get(request.raw);
    if (upgrade === undefined)
      throw new AppError(
        'invalid_request',
        'This address takes WebSocket connections (RFC 6455) and nothing else.',
      );
    reply.hijack();
    reply.raw.detachSocket(upgrade.socket);
    server.handleUpgrade(request.raw, upgrade.socket, upgrade.head, opened);
  };
};
