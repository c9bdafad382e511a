import type { IncomingMessage } from 'node:http';

/** As much, and for as long, as a refused client may go on sending. */
const MAX_BYTES = 256 * 1024 * 1024;
const MAX_MS = 5_000;

/**
 * Reads on, and throws away, what a client is still sending while it is answered. Closing a connection on unread bytes
 * resets it, and the client would report a broken pipe instead of reading why it was refused.
 */
export const discardRest = (request: IncomingMessage): void => {
  if (request.complete || request.readableEnded || request.destroyed) return;
  const { socket } = request;
  let bytes = 0;
  const timer = setTimeout(() => socket.destroy(), MAX_MS);
  for (const event of ['end', 'close', 'error'] as const) request.once(event, () => clearTimeout(timer));
  request.unpipe();
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) socket.destroy();
  });
  request.resume();
};
