import { createHash } from 'node:crypto';
import { AppError, isAppError } from '../core/errors.ts';
import { freeBuffer } from '../core/free-buffer.ts';

/** Longest part: what is lost at most of a body in which the vault itself is killed. */
export const PART_BYTES = 8 * 1024 * 1024;

export const tooLong = (): AppError =>
  new AppError('too_large', 'The body is longer than what is missing of the upload (Upload-Length).');

/** The same fault in the words of an upload that goes on: what came before it is kept. */
const cutBy = (error: unknown): AppError => {
  const code = isAppError(error) ? error.code : 'client_closed';
  if (code === 'upload_locked') return error as AppError;
  return new AppError(
    code,
    'The body ended early. What had arrived is kept, unless it came with a checksum: ask HEAD, then go on from there.',
    { cause: error },
  );
};

/**
 * Cuts a body into parts of `PART_BYTES` at most. The body is attacker-controlled: of more than `missing` bytes, `too_large` is
 * thrown out of the part that would be the last. A body that breaks off is no fault of its parts: the last one ends there, and
 * `cut` says why.
 */
export const createPartSource = (body: AsyncIterable<Buffer>, missing: number) => {
  const chunks = body[Symbol.asyncIterator]();
  const hash = createHash('sha256');
  let left = missing;
  let held: Buffer | null = null;
  let ended = false;
  let cut: AppError | null = null;

  const arriving = async (): Promise<Buffer | null> => {
    while (!ended) {
      const { done, value } = await chunks.next().catch((error: unknown) => {
        cut = cutBy(error);
        return { done: true as const, value: undefined };
      });
      if (done === true) ended = true;
      else if (value.length > 0) {
        hash.update(value);
        return value;
      }
    }
    return null;
  };
  const pull = async (): Promise<Buffer | null> => {
    const chunk = held ?? (await arriving());
    held = null;
    return chunk;
  };

  async function* part(first: Buffer): AsyncGenerator<Buffer, void, void> {
    let room = PART_BYTES;
    for (let chunk: Buffer | null = first; chunk !== null; chunk = await pull()) {
      if (chunk.length > left) throw tooLong();
      const taken = chunk.subarray(0, room);
      if (taken.length < chunk.length) held = chunk.subarray(room);
      left -= taken.length;
      room -= taken.length;
      yield taken;
      if (held === null) freeBuffer(taken);
      if (room > 0) continue;
      // Nothing may follow what completes the recording, and this part is to count only if nothing does.
      if (left === 0 && (await pull()) !== null) throw tooLong();
      return;
    }
  }

  return {
    /** The next part, of one byte at least; null when there is none. To be read to its end before the next. */
    async next(): Promise<AsyncGenerator<Buffer, void, void> | null> {
      const first = await pull();
      return first === null ? null : part(first);
    },
    /** Why the body ended before its end, once it has. */
    cut: (): AppError | null => cut,
    /** SHA-256 of the whole body; once, after its end. */
    sha256: (): Buffer => hash.digest(),
    /** Lets go of the body. Not awaited: a stalled read ends with its connection. */
    close: (): void => void chunks.return?.(),
  };
};

export type PartSource = ReturnType<typeof createPartSource>;
