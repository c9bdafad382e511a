import type { IncomingMessage } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';

/** JSON, forms and the head of an upload are small: whoever needs longer is holding a connection open, not sending. */
const ARRIVAL_MS = 20_000;

const tooSlow = (): AppError =>
  new AppError('request_timeout', 'The request took too long to arrive and was given up. Send it again.');

/** `work` that reads from the client, given up with `request_timeout` when it takes too long. */
export const arrivingInTime = async <T>(work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(tooSlow()), ARRIVAL_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Whether a body has been announced that nobody has seen the end of. */
export const isAwaited = ({ headers, complete }: IncomingMessage): boolean =>
  !complete && (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0');

/**
 * The same bytes, failing with `request_timeout` when they have not all come in time. The source itself is left open: the
 * answer still has to go out on its connection.
 */
export const bodyInTime = (source: Readable): Readable => {
  const body = new PassThrough();
  const timer = setTimeout(() => body.destroy(tooSlow()), ARRIVAL_MS);
  source.once('error', (error) => body.destroy(error));
  // Whoever reads it hears the error; where nobody does, as with a GET, it is of no interest.
  body.on('error', () => undefined);
  body.once('close', () => {
    clearTimeout(timer);
    source.unpipe(body);
  });
  return source.pipe(body);
};
