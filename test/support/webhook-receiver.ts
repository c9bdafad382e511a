import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificates.ts';

export type Received = {
  readonly at: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly json: {
    readonly type: string;
    readonly timestamp: string;
    readonly data: Record<string, unknown>;
  };
};

/** What a receiver does with a message; the default takes it. */
export type Behaviour = (response: ServerResponse, received: Received) => void;
const take: Behaviour = (response) => void response.writeHead(204).end();

/** A real receiver of webhooks, HTTPS on loopback. */
export const startReceiver = async ({ certFile, keyFile }: Certificate) => {
  const received: Received[] = [];
  let behave = take;
  let connections = 0;
  const server = createServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString('utf8');
      });
      request.once('end', () => {
        const one = {
          at: Date.now(),
          headers: request.headers,
          body,
          json: JSON.parse(body) as Received['json'],
        };
        received.push(one);
        behave(response, one);
      });
    },
  );
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    url: `https://127.0.0.1:${port}/hook`,
    received,
    connections: () => connections,
    behave(next: Behaviour = take): void {
      behave = next;
    },
    close(): void {
      server.close();
      server.closeAllConnections();
    },
  };
};

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;

/** As standardwebhooks.com has it: what the header must say for this secret. */
export const signatureOf = ({ headers, body }: Received, secret: string): string => {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
};
