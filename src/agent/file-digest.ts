import { createHash } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { freeBuffer } from '../core/free-buffer.ts';
import { pause } from './pause.ts';

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
  /**
   * Removes it, if it is {@link unchanged}; false: it is not. An SMB share may refuse to remove what is open, also to who has it
   * open: it is closed then, and looked at by its name alone. Throws what the system says (`EBUSY`: others have it open).
   */
  remove(): Promise<boolean>;
  /** False once it was closed, also by {@link remove}. */
  isOpen(): boolean;
  /** Never rejects: nothing was written, and of a share that is gone every call fails, this one too. */
  close(): Promise<void>;
};

/** What clients make of an SMB server's sharing violation; rclone says no more than EIO. */
const IN_USE: ReadonlySet<unknown> = new Set(['EBUSY', 'ETXTBSY', 'EIO']);
/** A client over FUSE hears of a closed file a little later. In milliseconds. */
const CLOSING_MS = [50, 200, 800];
const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;
const closeQuietly = (handle: FileHandle): Promise<void> => handle.close().catch(() => undefined);

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
    await closeQuietly(handle);
    throw error;
  }
  await closeQuietly(handle);
  return null;
};

/** What was refused while it was open. */
const removeClosed = async (path: Path, isSame: () => Promise<boolean>): Promise<boolean> => {
  for (let tries = 0; await isSame(); tries += 1) {
    try {
      await unlink(path);
      return true;
    } catch (error) {
      const wait = CLOSING_MS[tries];
      if (wait === undefined || !IN_USE.has(codeOf(error))) throw error;
      await pause(wait);
    }
  }
  return false;
};

/** `path` null: by no name. */
const openFileOf = (handle: FileHandle, path: Path | null, state: FileState): OpenFile => {
  const bytes = Number(state.size);
  const check = async (): Promise<void> => {
    if (!sameState(state, await handle.stat({ bigint: true }))) throw new FileChanged();
  };
  const pieces = () => piecesOf(handle, bytes, check);
  let isOpen = true;
  const close = async (): Promise<void> => {
    isOpen = false;
    await closeQuietly(handle);
  };
  const unchanged = async (): Promise<boolean> => {
    try {
      if (isOpen) await check();
      return path === null || sameState(state, await lstat(path, { bigint: true }));
    } catch (error) {
      if (error instanceof FileChanged || codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  };
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
    unchanged,
    asItIs: async () => openFileOf(handle, null, await handle.stat({ bigint: true })),
    async remove() {
      if (path === null || !(await unchanged())) return false;
      try {
        await unlink(path);
        return true;
      } catch (error) {
        if (!IN_USE.has(codeOf(error))) throw error;
      }
      await close();
      return removeClosed(path, unchanged);
    },
    isOpen: () => isOpen,
    close,
  };
};
