import type { FastifyReply } from 'fastify';

/** Aborts when the client is gone before the answer is complete. */
export const hangUpSignal = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new Error('the client hung up'));
  });
  return controller.signal;
};
