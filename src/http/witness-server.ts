import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MAX_ADD_CHECKPOINT_BYTES } from '../core/audit/witness.ts';
import type { Witness, WitnessAnswer } from '../services/witness-logs.ts';

/** A log asks every few seconds; more than these at once are somebody else. */
const CONNECTIONS = 64;
const REQUEST_MS = 10_000;

const statuses: Readonly<Record<WitnessAnswer['kind'], number>> = {
  cosigned: 200,
  malformed: 400,
  not_signed: 403,
  unknown_log: 404,
  conflict: 409,
  inconsistent: 422,
};

/** The body, or null when it is longer than any that could be meant. Attacker-controlled. */
const bodyOf = async (request: IncomingMessage): Promise<string | null> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not destroyed when it is left early: there is an answer to be sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ADD_CHECKPOINT_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const send = (response: ServerResponse, status: number, type: string, body: string): void => {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
};

const PLAIN = 'text/plain; charset=utf-8';

const answer = async (witness: Pick<Witness, 'add'>, request: IncomingMessage, response: ServerResponse) => {
  if (request.url !== '/add-checkpoint') return send(response, 404, PLAIN, 'not here\n');
  if (request.method !== 'POST') return send(response, 405, PLAIN, 'POST only\n');
  const body = await bodyOf(request);
  if (body === null) {
    response.setHeader('connection', 'close');
    return send(response, 413, PLAIN, 'too long\n');
  }
  const given = await witness.add(body);
  const status = statuses[given.kind];
  if (given.kind === 'cosigned') return send(response, status, PLAIN, given.lines);
  if (given.kind === 'conflict') return send(response, status, 'text/x.tlog.size', `${given.size}\n`);
  return send(response, status, PLAIN, `${given.kind}\n`);
};

const createWitnessServer = (witness: Pick<Witness, 'add'>, onError: (error: unknown) => void): Server => {
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, maxHeaderSize: 8192 },
    (request, response) => {
      answer(witness, request, response).catch((error: unknown) => {
        // The other side went away, or the state cannot be written: nothing was cosigned.
        if (!request.destroyed || request.complete) onError(error);
        if (response.headersSent) response.destroy();
        else send(response, 500, PLAIN, 'failed\n');
      });
    },
  );
  server.maxConnections = CONNECTIONS;
  return server;
};

export type WitnessServer = { readonly port: number; readonly close: () => Promise<void> };

/** C2SP tlog-witness over HTTP, without TLS: to be reached by this machine, or through a proxy that ends TLS. */
export const openWitnessServer = async (
  witness: Witness,
  { host, port, onError }: { host: string; port: number; onError: (error: unknown) => void },
): Promise<WitnessServer> => {
  const server = createWitnessServer(witness, onError);
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close();
      server.closeIdleConnections();
      await witness.settled();
      server.closeAllConnections();
    },
  };
};
