import { createHash } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { freeBuffer } from '../core/free-buffer.ts';

/** A path as the system has it. Names in a folder need not be UTF-8, and only bytes find such a file again. */
export type Path = string | Buffer;

/** Which file, in which state: any write, rename or replacement makes another. */
export type FileState = Pick<BigIntStats, 'dev' | 'ino' | 'size' | 'mtimeNs' | 'ctimeNs'>;

export const sameState = (a: FileState, b: FileState): boolean =>
  a.dev === b.dev &&
  a.ino === b.ino &&
  a.size === b.size &&
  a.mtimeNs === b.mtimeNs &&
  a.ctimeNs === b.ctimeNs;

/** The file is not what it was when its digest was reckoned. */
export class FileChanged extends Error {
  readonly code = 'ECHANGED';
  constructor() {
    super('the file changed while it was read');
    this.name = 'FileChanged';
  }
}

const PIECE = 256 * 1024;

/** A file held open: a new file under its name, or a link there, is not it. */
export type OpenFile = {
  readonly state: FileState;
  readonly bytes: number;
  /** SHA-256 in hex of the bytes, streamed. Throws {@link FileChanged}. */
  digest(signal?: AbortSignal): Promise<string>;
  /**
   * The same bytes, in pieces that belong to whoever takes them and may be freed (core/free-buffer.ts). The last one comes only
   * while the file is what it was; else {@link FileChanged}.
   */
  pieces(): AsyncGenerator<Buffer>;
  /** The same as a stream. */
  read(): Readable;
  /** Whether the file is still what it was when opened, and still what stands under its name. */
  unchanged(): Promise<boolean>;
  /** The same file, held open once and closed once, as it is now: for one that has no name any more. */
  asItIs(): Promise<OpenFile>;
  close(): Promise<void>;
};

// A generator, so that the last piece can be kept back until the file was looked at again.
async function* piecesOf(handle: FileHandle, bytes: number, check: () => Promise<void>) {
  for (let at = 0; at < bytes; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE, bytes - at));
    const { bytesRead } = await handle.read(piece, 0, piece.length, at);
    if (bytesRead === 0) throw new FileChanged();
    at += bytesRead;
    if (at >= bytes) await check();
    yield piece.subarray(0, bytesRead);
  }
}

/**
 * Opens a regular file for handing over. What a name in a folder stands for is attacker-controlled: a symbolic link is not
 * followed (`ELOOP`), a FIFO does not make it wait, and what is no regular file resolves to null.
 */
export const openFile = async (path: Path): Promise<OpenFile | null> => {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const state = await handle.stat({ bigint: true });
    if (state.isFile()) return openFileOf(handle, path, state);
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return null;
};

/** `path` null: by no name. */
const openFileOf = (handle: FileHandle, path: Path | null, state: FileState): OpenFile => {
  const bytes = Number(state.size);
  const check = async (): Promise<void> => {
    if (!sameState(state, await handle.stat({ bigint: true }))) throw new FileChanged();
  };
  const pieces = () => piecesOf(handle, bytes, check);
  return {
    state,
    bytes,
    async digest(signal) {
      const hash = createHash('sha256');
      for await (const piece of pieces()) {
        signal?.throwIfAborted();
        hash.update(piece);
        freeBuffer(piece);
      }
      return hash.digest('hex');
    },
    pieces,
    read: () => Readable.from(pieces(), { objectMode: false }),
    async unchanged() {
      try {
        await check();
        return path === null || sameState(state, await lstat(path, { bigint: true }));
      } catch (error) {
        if (error instanceof FileChanged || (error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw error;
      }
    },
    asItIs: async () => openFileOf(handle, null, await handle.stat({ bigint: true })),
    close: () => handle.close(),
  };
};
