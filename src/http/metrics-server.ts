import { createServer, type Server } from 'node:http';
import type { Metrics } from './plugins/metrics.ts';

/** /metrics on a port of its own, which only monitoring may reach; everything else there is 404. */
export const createMetricsServer = ({ registry }: Metrics): Server =>
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
