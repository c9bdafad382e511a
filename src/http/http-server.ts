import { randomUUID } from 'node:crypto';
import {
  createServer as createHttp,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../core/errors.ts';
import { takeMethodOverride } from './method-override.ts';
import { problemOf } from './problem.ts';
import { shouldUpgrade, takeUpgrades } from './websocket.ts';

const MAX_HEADER_BYTES = 16 * 1024;

/** Headers must arrive within 20 s (slow loris), and so must bodies that are not recordings (body-deadline.ts). */
const OPTIONS = {
  headersTimeout: 20_000,
  requestTimeout: 0,
  keepAliveTimeout: 72_000,
  maxHeaderSize: MAX_HEADER_BYTES,
  connectionsCheckingInterval: 5_000,
  // Refused like everything else, with a problem, by whoever gets the request (app.ts).
  requireHostHeader: false,
  shouldUpgradeCallback: shouldUpgrade,
};

export type Tls = { readonly cert: Buffer; readonly key: Buffer };

type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse };

/** The request that a connection is about, for the moment in which the connection breaks. */
const exchanges = new WeakMap<Duplex, Exchange>();

/**
 * HTTP/1.1, within TLS if there is a certificate. Without one, whoever is not `trusted` (this machine, the proxy that ends
 * TLS) is hung up on before anything he sends is read: answering him would be plain HTTP across a network.
 */
export const createHttpServer = (
  handler: RequestListener,
  tls: Tls | null,
  trusted: (address: string | undefined) => boolean,
): HttpServer => {
  const server =
    tls === null ? createHttp(OPTIONS) : createHttps({ ...OPTIONS, ...tls, minVersion: 'TLSv1.2' });
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    takeMethodOverride(request);
    exchanges.set(request.socket, { request, response });
    handler(request, response);
  };
  if (tls === null)
    server.on('connection', (socket: Socket) => {
      if (!trusted(socket.remoteAddress)) socket.destroy();
    });
  server.on('request', answer);
  // Whoever waits for 100 is told to go on when his key has been looked at (app.ts).
  server.on('checkContinue', answer);
  // An expectation that nobody knows is none (RFC 9110 §10.1.1).
  server.on('checkExpectation', answer);
  takeUpgrades(server, answer);
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    answerOn(socket, new AppError('invalid_request', 'This is no proxy.'));
  });
  return server;
};

const meaningOf = ({ code }: Error & { readonly code?: string }): AppError => {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout', 'The headers took too long to arrive.');
    case 'HPE_HEADER_OVERFLOW':
      return new AppError(
        'headers_too_large',
        `Address and headers are longer than ${MAX_HEADER_BYTES} bytes.`,
      );
    case 'HPE_INVALID_EOF_STATE':
      return new AppError(
        'client_closed',
        'The connection ended before the request did. Nothing was stored.',
      );
    default:
      return new AppError('invalid_request', 'The request could not be read as HTTP.');
  }
};

/** A problem on a connection that no response belongs to; then it ends. */
export const answerOn = (socket: Duplex, error: AppError): void => {
  const problem = problemOf(error, randomUUID());
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: private, no-store',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
};

/** What is not HTTP, or stops being it, gets a problem all the same, and nothing it sent is repeated. */
export const answerBrokenHttp = (error: Error & { readonly code?: string }, socket: Duplex): void => {
  const exchange = exchanges.get(socket);
  // A second answer to the same request would be taken for the answer to the next one.
  const answered = exchange !== undefined && !exchange.request.complete && exchange.response.headersSent;
  if (answered || error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) socket.destroy();
  else answerOn(socket, meaningOf(error));
};
