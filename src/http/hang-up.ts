import type { FastifyReply } from 'fastify';
import { AppError } from '../core/errors.ts';

/** Aborts, with `client_closed`, when the client is gone before the answer is complete. */
export const hangUpSignal = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished)
      controller.abort(new AppError('client_closed', 'The client hung up. Nothing was stored.'));
  });
  return controller.signal;
};
