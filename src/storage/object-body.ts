import { AppError } from '../core/errors.ts';

/** Chunks gathered for one write. */
export type Piece = {
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  /** True for exactly one piece, the final one, which may be empty: the source has ended and its length is right. */
  readonly last: boolean;
};

export type PieceOptions = {
  /** Exact length the source must have, when it is known beforehand. */
  readonly bytes?: number | undefined;
  readonly signal: AbortSignal;
};

/** Size at which a piece is handed out; chunks are not split, so it may be larger by one of them. */
export type PieceSize = { readonly pieceBytes: number };

/** Bounds what a source of tiny chunks can pile up, and stays far below the system's limit for one `writev`. */
const PIECE_CHUNKS = 64;

const wrongLength = (): AppError =>
  new AppError('length_mismatch', 'The object does not have the announced length.');

/** Throws RangeError for a declared length that no object has. */
export const assertDeclaredLength = (bytes: number | undefined): void => {
  if (bytes !== undefined && (!Number.isSafeInteger(bytes) || bytes < 0))
    throw new RangeError('a length is a whole number of bytes');
};

/** What remains of `chunks` behind their first `count` bytes. */
export const chunksBehind = (chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] => {
  let skip = count;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
};

type Pull = () => Promise<IteratorResult<Uint8Array, unknown>>;

/** `next()` of the source, cut short by the signal: a source that stalls for ever must not hold the store with it. */
const interruptible = (source: AsyncIterator<Uint8Array, unknown>, signal: AbortSignal) => {
  // One slot instead of Promise.race: a race with a promise that lives as long as the upload would keep every chunk alive.
  let interrupt: (reason: unknown) => void = () => undefined;
  const onAbort = (): void => interrupt(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const pull: Pull = () =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      interrupt = reject;
      source.next().then(resolve, reject);
    });
  return { pull, release: () => signal.removeEventListener('abort', onAbort) };
};

/** Tells a source that was left early; not awaited, because a source that stalls would never answer. */
const leave = async (source: AsyncIterator<Uint8Array, unknown>): Promise<void> => {
  try {
    await source.return?.();
  } catch {
    // The store is leaving because of another error, and that one is reported.
  }
};

/**
 * Gathers a body into pieces without copying it; a chunk belongs to the store once it was yielded.
 * A piece is handed out only when the source has shown that more follows or that it has ended well, so a store never
 * holds the whole of a body that fails at its very end. Throws what the source throws, the signal's reason, TypeError
 * for a source of anything but bytes, and `length_mismatch` for one that is shorter or longer than `bytes`. The source
 * is closed in every case.
 */
export async function* pieces(
  body: AsyncIterable<Uint8Array>,
  { bytes, signal, pieceBytes }: PieceOptions & PieceSize,
): AsyncGenerator<Piece, void, void> {
  assertDeclaredLength(bytes);
  signal.throwIfAborted();
  const source = body[Symbol.asyncIterator]();
  const { pull, release } = interruptible(source, signal);
  let ended = false;
  let total = 0;
  let chunks: Uint8Array[] = [];
  let gathered = 0;
  try {
    for (let step = await pull(); step.done !== true; step = await pull()) {
      const chunk = step.value;
      if (!(chunk instanceof Uint8Array)) throw new TypeError('a stream of bytes is wanted');
      total += chunk.length;
      if (bytes !== undefined && total > bytes) throw wrongLength();
      if (chunk.length === 0) continue;
      if (gathered >= pieceBytes || chunks.length >= PIECE_CHUNKS) {
        yield { chunks, bytes: gathered, last: false };
        chunks = [];
        gathered = 0;
      }
      chunks.push(chunk);
      gathered += chunk.length;
    }
    ended = true;
    if (bytes !== undefined && total !== bytes) throw wrongLength();
    yield { chunks, bytes: gathered, last: true };
  } finally {
    release();
    if (!ended) void leave(source);
  }
}
