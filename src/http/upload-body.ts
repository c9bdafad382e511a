import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';

/** A body that sends nothing for this long is given up. */
const STALL_MS = 60_000;
/** …and one that dribbles: over each window a body must bring this much. A live G.729 leg brings more. */
const WINDOW_MS = 60_000;
const WINDOW_BYTES = 16 * 1024;

const tooSlow = (): AppError =>
  new AppError('request_timeout', 'The body came too slowly and was given up. Send it again, or over a better line.');

/** The chunks of an upload, for one reader; throws `request_timeout` for a stalled or dribbling one, `client_closed` for a cut one. */
export async function* uploadBody(request: IncomingMessage, body: Readable): AsyncGenerator<Buffer> {
  let windowStart = Date.now();
  let windowBytes = 0;
  const onTimeout = (): void => {
    body.destroy(tooSlow());
  };
  request.setTimeout(STALL_MS, onTimeout);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      windowBytes += chunk.length;
      yield chunk;
      const elapsed = Date.now() - windowStart;
      if (elapsed < WINDOW_MS) continue;
      if (windowBytes < WINDOW_BYTES) throw tooSlow();
      windowStart = Date.now();
      windowBytes = 0;
    }
  } catch (error) {
    throw error instanceof AppError ? error : cut(error);
  } finally {
    request.setTimeout(0);
  }
  if (!request.complete && request.readableAborted) throw cut();
}

const cut = (cause?: unknown): AppError =>
  new AppError('client_closed', 'The connection ended before the body did. Nothing was stored; send it again.', {
    ...(cause === undefined ? {} : { cause }),
  });
