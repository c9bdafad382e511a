import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './plugins/metrics.ts';

const createMetricsServer = ({ registry }: Metrics): Server =>
  createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });

export type MetricsServer = { readonly port: number; close(): void };

/**
 * /metrics on a port of its own, which only monitoring may reach, and only from this machine; everything else there is 404.
 * Rejects when the port cannot be had. `port` 0 takes a free one.
 */
export const openMetricsServer = async (metrics: Metrics, port: number): Promise<MetricsServer> => {
  const server = createMetricsServer(metrics);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
};
