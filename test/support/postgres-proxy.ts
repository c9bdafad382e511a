import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';

/**
 * What becomes of a request that carries an entry of the log. `lose-request`: the connection breaks before the server has
 * seen it. `lose-answer`: it breaks when the server answers. `swallow`: neither it nor anything after it arrives.
 */
export type ProxyFault = 'lose-request' | 'lose-answer' | 'swallow';

/** How a body of the log begins, wherever in a message it stands. */
const ENTRY = '{"v":1,"id":';

const socketOf = (host: string, port: number): string => join(host, `.s.PGSQL.${port}`);

/** Stands between a client and PostgreSQL on Unix sockets, for what happens on a network between the two. */
export const createPostgresProxy = async (settings: PostgresSettings) => {
  const folder = await mkdtemp(join(tmpdir(), 'cvp-'));
  const clients = new Set<Socket>();
  const upstreams = new Set<Socket>();
  let faults: ProxyFault[] = [];

  const link = (client: Socket, upstream: Socket): void => {
    let struck: ProxyFault | undefined;
    client.on('data', (bytes) => {
      if (struck === undefined && bytes.includes(ENTRY)) struck = faults.shift();
      if (struck === 'lose-request') client.destroy();
      else if (struck !== 'swallow') upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (struck === 'lose-answer') client.destroy();
      else if (struck !== 'swallow') client.write(bytes);
    });
    client.on('close', () => clients.delete(client) && upstream.destroy());
    upstream.on('close', () => upstreams.delete(upstream) && client.destroy());
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
  };

  const server = createServer((client) => {
    const upstream = createConnection(socketOf(settings.host, settings.port));
    clients.add(client);
    upstreams.add(upstream);
    link(client, upstream);
  }).listen(socketOf(folder, settings.port));
  await once(server, 'listening');

  return {
    settings: { ...settings, host: folder },
    /** The next requests that carry an entry, one fault each. */
    strike: (...next: ProxyFault[]): void => {
      faults = next;
    },
    /** Breaks the clients' side alone; the server does not learn of it and goes on. */
    abandon: (): void => {
      const abandoned = [...clients];
      clients.clear();
      for (const client of abandoned) client.destroy();
    },
    close: async (): Promise<void> => {
      server.close();
      for (const socket of [...clients, ...upstreams]) socket.destroy();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

export type PostgresProxy = Awaited<ReturnType<typeof createPostgresProxy>>;
