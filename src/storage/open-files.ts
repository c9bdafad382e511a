import { constants, fstatSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { AppError } from '../core/errors.ts';
import { diskFault, systemCode } from './disk-fault.ts';

export type OpenFile = {
  readonly handle: FileHandle;
  readonly bytes: number;
  /** Must be called once, when the reader is done. */
  readonly release: () => void;
};

type Entry = { readonly handle: FileHandle; readers: number; evicted: boolean };

/** A player reads on within seconds; open descriptors beyond that are of no use. */
const IDLE_MS = 10_000;
const MAX_OPEN = 128;

/** O_NOFOLLOW: a link planted in the folder must not lead to a file outside it. */
const openObject = async (path: string): Promise<FileHandle> => {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw systemCode(error) === 'ENOENT'
      ? new AppError('not_found', 'There is no such object.')
      : diskFault(error);
  }
};

const closeUnused = (entry: Entry): void => {
  if (entry.evicted && entry.readers === 0) void entry.handle.close().catch(() => undefined);
};

/**
 * Descriptors of objects that are being played, kept a few seconds: opening and closing one for every piece costs more than
 * reading it. Objects never change, but a file may be cut, removed or replaced behind our back, so every use looks at the
 * open file again (which waits for no disk) and opens the path anew when the file no longer has its name.
 */
export const createOpenFiles = () => {
  const entries = new LRUCache<string, Promise<Entry>>({
    max: MAX_OPEN,
    ttl: IDLE_MS,
    updateAgeOnGet: true,
    ttlAutopurge: true,
    dispose: (opening) => {
      opening.then(
        (entry) => {
          entry.evicted = true;
          closeUnused(entry);
        },
        () => undefined,
      );
    },
  });

  const opened = async (path: string): Promise<Entry> => {
    const known = entries.get(path);
    if (known !== undefined) return known;
    const opening = openObject(path).then((handle): Entry => ({ handle, readers: 0, evicted: false }));
    entries.set(path, opening);
    opening.catch(() => {
      if (entries.peek(path) === opening) entries.delete(path);
    });
    return opening;
  };

  const use = async (path: string, again: boolean): Promise<OpenFile> => {
    const entry = await opened(path);
    entry.readers += 1;
    let done = false;
    const release = (): void => {
      if (done) return;
      done = true;
      entry.readers -= 1;
      closeUnused(entry);
    };
    try {
      const found = fstatSync(entry.handle.fd);
      if (!found.isFile()) throw new AppError('storage_unavailable', 'The object is not a file.');
      if (found.nlink > 0) return { handle: entry.handle, bytes: found.size, release };
    } catch (error) {
      release();
      throw error instanceof AppError ? error : diskFault(error);
    }
    release();
    entries.delete(path);
    if (!again) throw new AppError('not_found', 'There is no such object.');
    return use(path, false);
  };

  return {
    /** Opens or reuses; throws `not_found` and `storage_unavailable`. */
    use: (path: string): Promise<OpenFile> => use(path, true),
    /** Lets go of a file that is being removed. */
    forget(path: string): void {
      entries.delete(path);
    },
    async close(): Promise<void> {
      const all = [...entries.values()];
      entries.clear();
      await Promise.allSettled(all);
    },
  };
};

export type OpenFiles = ReturnType<typeof createOpenFiles>;
