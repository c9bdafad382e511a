import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { answerOn, createHttpServer, type Tls } from '../../src/http/http-server.ts';
import { createSocketTaker, SOCKETS_AT } from '../../src/http/websocket.ts';
import { makeCertificate } from '../support/certificates.ts';

/** What is answered to a body that comes with an offer of HTTP/2, as Java's client makes it. */
const posted = async (plain: boolean, port: number, ca: string): Promise<string> => {
  const headers = { connection: 'Upgrade', upgrade: 'h2c', 'content-type': 'text/plain' };
  const asked = (plain ? http : https).request({
    port,
    host: '127.0.0.1',
    method: 'POST',
    headers,
    ca,
    agent: false,
  });
  const answered = once(asked, 'response');
  asked.end('whole');
  const [reply] = (await answered) as [IncomingMessage];
  return (await Array.fromAsync(reply)).join('');
};

/** What the vault's own server does with a WebSocket, within TLS and without. */
const upgraded = async (tls: Tls | null, ca: string): Promise<string> => {
  const take = createSocketTaker(answerOn);
  const app = Fastify({ serverFactory: (handler) => createHttpServer(handler, tls, () => true) });
  app.get(SOCKETS_AT, async (request, reply) =>
    take(request, reply, (socket) => socket.on('message', (data: Buffer) => socket.close(1000, data))),
  );
  app.post('/', async ({ body }) => body);
  await app.listen({ host: '127.0.0.1', port: 0 });
  try {
    const { port } = app.server.address() as AddressInfo;
    const socket = new WebSocket(`${tls === null ? 'ws' : 'wss'}://127.0.0.1:${port}${SOCKETS_AT}`, { ca });
    await once(socket, 'open');
    const closed = once(socket, 'close');
    socket.send('heard');
    const [code, reason] = (await closed) as [number, Buffer];
    return `${code} ${reason.toString()} ${await posted(tls === null, port, ca)}`;
  } finally {
    await app.close();
  }
};

test('is taken within TLS as without', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tls-'));
  try {
    const { certFile, keyFile, pem } = makeCertificate(folder, 'own');
    expect(await upgraded(null, pem)).toBe('1000 heard whole');
    const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    expect(await upgraded(tls, pem)).toBe('1000 heard whole');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
