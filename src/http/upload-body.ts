import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';

/** In each such stretch of waiting for the client a body must bring this much. A live G.729 leg brings four times as much. */
const WINDOW_MS = 30_000;
const WINDOW_BYTES = 8 * 1024;
const TICK_MS = 1_000;

const tooSlow = (): AppError =>
  new AppError(
    'request_timeout',
    'The body came too slowly and was given up. Nothing was stored; send it again, or over a better line.',
  );

const cut = (cause?: unknown): AppError =>
  new AppError(
    'client_closed',
    'The connection ended before the body did. Nothing was stored; send it again.',
    {
      ...(cause === undefined ? {} : { cause }),
    },
  );

/**
 * Waits for a client, and counts only that time: what our own storage takes is not held against it. `stop` ends the waiting
 * with its reason.
 */
const createPatience = (stop?: AbortSignal) => {
  let waited = 0;
  let brought = 0;
  let giveUp: ((error: AppError) => void) | null = null;
  const ticker = setInterval(() => {
    if (giveUp === null) return;
    waited += TICK_MS;
    if (waited < WINDOW_MS) return;
    if (brought < WINDOW_BYTES) giveUp(tooSlow());
    waited = 0;
    brought = 0;
  }, TICK_MS);
  const stopped = (): void => giveUp?.(stop?.reason as AppError);
  stop?.addEventListener('abort', stopped);
  return {
    brought: (bytes: number): void => {
      brought += bytes;
    },
    /** Settles as `arriving` does, or rejects with `request_timeout`. */
    during: <T>(arriving: Promise<T>): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        if (stop?.aborted) reject(stop.reason);
        giveUp = reject;
        arriving.then(resolve, reject);
      }).finally(() => {
        giveUp = null;
      }),
    end: () => {
      clearInterval(ticker);
      stop?.removeEventListener('abort', stopped);
    },
  };
};

/**
 * The chunks of an upload, for one reader; throws `request_timeout` for a stalled or dribbling one, `client_closed` for a
 * cut one. `body` is the request itself or a part of it, and stays as it is when reading stops early: the answer still has
 * to go out on its connection. `stop` makes it throw its reason, an AppError.
 */
export async function* uploadBody(
  request: IncomingMessage,
  body: Readable,
  stop?: AbortSignal,
): AsyncGenerator<Buffer> {
  const patience = createPatience(stop);
  const chunks = body.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  try {
    for (;;) {
      const { done, value } = await patience.during(chunks.next());
      if (done === true) break;
      patience.brought(value.length);
      yield value;
    }
  } catch (error) {
    throw error instanceof AppError ? error : cut(error);
  } finally {
    patience.end();
    // Lets go of the stream, so that what is left of it can be discarded. Not awaited: a stalled read ends with its connection.
    void chunks.return?.();
  }
  if (!request.complete && request.readableAborted) throw cut();
}
