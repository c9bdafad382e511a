import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { freeBuffer } from '../core/free-buffer.ts';
import { createAlignedBuffers, type PageBuffer } from './aligned-buffers.ts';
import type { Piece } from './object-body.ts';

/** What lengths, positions and addresses must be multiples of: no disk in use has larger blocks. */
const BLOCK_BYTES = 4096;
/** Every write is a wait for the disk on another thread, which costs about as much whatever its length. */
const PIECE_BYTES = 512 * 1024;
/** One is on its way to the disk while the other is filled. */
const BUFFERS_PER_FILE = 2;
/** 32 MiB at most, for 32 files at once. */
const BUFFERS = 32 * BUFFERS_PER_FILE;

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

/** A file being written past the page cache. One caller at a time. */
export type DirectFile = {
  readonly handle: FileHandle;
  /** Takes a chunk; waits for the disk where it is behind. A buffer is freed as soon as it has been copied. */
  push(chunks: Piece['chunks']): Promise<void>;
  /** Writes what is left; resolves with the length of the file. */
  finish(): Promise<number>;
  /** Settles when nothing is being written any more, and gives the buffers back. To be called once, whatever happened. */
  release(): Promise<void>;
};

const writeWhole = async (file: FileHandle, bytes: Buffer, position: number): Promise<void> => {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
};

const createDirectFile = (
  handle: FileHandle,
  buffers: readonly PageBuffer[],
  giveBack: (buffers: readonly PageBuffer[]) => void,
): DirectFile => {
  let turn = 0;
  let filled = 0;
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  const current = (): PageBuffer => buffers[turn % BUFFERS_PER_FILE] as PageBuffer;

  const writeOut = async (): Promise<void> => {
    await writing;
    writing = writeWhole(handle, current(), position);
    // Awaited before the next one begins; until then a failure must not count as unhandled.
    writing.catch(() => undefined);
    position += PIECE_BYTES;
    filled = 0;
    turn += 1;
  };
  return {
    handle,
    async push(chunks) {
      for (const chunk of chunks) {
        for (let offset = 0; offset < chunk.length; ) {
          const part = chunk.subarray(offset, offset + PIECE_BYTES - filled);
          current().set(part, filled);
          filled += part.length;
          offset += part.length;
          if (filled === PIECE_BYTES) await writeOut();
        }
        if (Buffer.isBuffer(chunk)) freeBuffer(chunk);
      }
    },
    async finish() {
      await writing;
      const length = position + filled;
      const padded = Math.ceil(filled / BLOCK_BYTES) * BLOCK_BYTES;
      await writeWhole(handle, current().fill(0, filled, padded).subarray(0, padded), position);
      if (padded !== filled) await handle.truncate(length);
      return length;
    },
    async release() {
      await writing.catch(() => undefined);
      giveBack(buffers);
    },
  };
};

const openNew = (path: string): Promise<FileHandle> => open(path, NEW_FILE | constants.O_DIRECT, 0o600);

/** Whether the file system of this path takes such writes; tmpfs of old, some network and encrypting ones do not. */
const isPossible = async (path: string, block: PageBuffer | undefined): Promise<boolean> => {
  // Not every system has the flag.
  if (constants.O_DIRECT === undefined || block === undefined) return false;
  try {
    const file = await openNew(path);
    try {
      return (await file.write(block, 0, BLOCK_BYTES, 0)).bytesWritten === BLOCK_BYTES;
    } finally {
      await file.close();
    }
  } catch {
    // A folder that cannot be written to at all is found out, and told, by the first object.
    return false;
  } finally {
    await unlink(path).catch(() => undefined);
  }
};

/**
 * Opens files for writing past the page cache (open(2), O_DIRECT). Who wrote a sealed object does not read it again soon,
 * and on its way through the page cache it costs as much processor time as hashing it twice, besides pushing out what is
 * being listened to. `trial` is the path of a file to try it with, which is made and removed.
 */
export const createDirectFiles = async (trial: string) => {
  const pool = createAlignedBuffers(BUFFERS, PIECE_BYTES);
  const block = pool.take(1);
  const possible = await isPossible(trial, block?.[0]);
  pool.giveBack(block ?? []);
  return {
    /** A new file (0600), or null where the file system does not take it or all buffers are in use. */
    async open(path: string): Promise<DirectFile | null> {
      const buffers = possible ? pool.take(BUFFERS_PER_FILE) : null;
      if (buffers === null) return null;
      try {
        return createDirectFile(await openNew(path), buffers, pool.giveBack);
      } catch (error) {
        pool.giveBack(buffers);
        throw error;
      }
    },
  };
};

export type DirectFiles = Awaited<ReturnType<typeof createDirectFiles>>;
