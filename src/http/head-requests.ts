import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';

/**
 * HEAD is decided, carried out and logged like GET (RFC 9110 §9.3.2), without the body. The framework would read a file to its
 * end only to throw it away: nothing of it is read.
 */
export const leaveFilesUnread = (app: FastifyInstance): void => {
  app.addHook('onSend', async ({ method }, _reply, payload) => {
    if (method !== 'HEAD' || !(payload instanceof Readable)) return payload;
    payload.destroy();
    return Readable.from([]);
  });
};
