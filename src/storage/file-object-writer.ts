import { type FileHandle, open } from 'node:fs/promises';
import { freeBuffer } from '../core/free-buffer.ts';
import type { DirectFile, DirectFiles } from './direct-file.ts';
import { onDisk } from './disk-fault.ts';
import { chunksBehind, type Piece, type PieceOptions, pieces } from './object-body.ts';

/** Measured: larger pieces gain nothing, and each upload in flight holds about two of them. */
const PIECE_BYTES = 256 * 1024;
/** What one write of the page cache's takes whole: nothing to be gained past it. */
const SHORT_BYTES = 64 * 1024;

/** Writes all of a piece at `position` and frees it; the system may take less than it was given. */
const writePiece = async (file: FileHandle, { chunks, bytes }: Piece, position: number): Promise<void> => {
  let left = chunks;
  let done = 0;
  while (done < bytes) {
    const { bytesWritten } = await file.writev(left, position + done);
    done += bytesWritten;
    if (done === bytes) break;
    left = chunksBehind(left, bytesWritten);
  }
  for (const chunk of chunks) if (Buffer.isBuffer(chunk)) freeBuffer(chunk);
};

/** One piece is on its way to the disk while the next is gathered, never more: that is the backpressure. */
const writePieces = async (file: FileHandle, source: AsyncIterable<Piece>): Promise<number> => {
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  try {
    for await (const piece of source) {
      await writing;
      writing = onDisk(writePiece(file, piece, position));
      // Awaited in the next turn; until then a failure must not count as unhandled.
      writing.catch(() => undefined);
      position += piece.bytes;
    }
  } finally {
    await writing;
  }
  return position;
};

const closing = async <T>(file: FileHandle, written: () => Promise<T>): Promise<T> => {
  try {
    const result = await written();
    await onDisk(file.sync());
    return result;
  } finally {
    await onDisk(file.close());
  }
};

const writePastCache = async (file: DirectFile, source: AsyncIterable<Piece>): Promise<number> => {
  try {
    for await (const { chunks } of source) await onDisk(file.push(chunks));
    return await onDisk(file.finish());
  } finally {
    await file.release();
  }
};

export type WriteOptions = PieceOptions & {
  /** Where given, a body that is not known to be short goes past the page cache. */
  readonly directFiles?: DirectFiles;
};

/**
 * Writes a body to a new file (0600) and resolves with its length when its bytes survive a power cut; the file's name in
 * its folder does not yet. Throws what `pieces` throws, `storage_full` and `storage_unavailable`; the file is then left
 * for the caller to remove.
 */
export const writeFileDurably = async (
  path: string,
  body: AsyncIterable<Uint8Array>,
  { directFiles, ...options }: WriteOptions,
): Promise<number> => {
  const short = options.bytes !== undefined && options.bytes < SHORT_BYTES;
  const direct = directFiles === undefined || short ? null : await onDisk(directFiles.open(path));
  // Copied at once where the page cache is passed by, so nothing is gained by gathering.
  const source = pieces(body, { ...options, pieceBytes: direct === null ? PIECE_BYTES : 1 });
  if (direct !== null) return closing(direct.handle, () => writePastCache(direct, source));
  const file = await onDisk(open(path, 'wx', 0o600));
  return closing(file, () => writePieces(file, source));
};
