import { constants } from 'node:fs';
import { type FileHandle, lstat, open, opendir } from 'node:fs/promises';
import { AppError } from '../../core/errors.ts';

/** Why something that lies in the share is not even opened. */
export type WalkFault = 'link' | 'special' | 'too_deep' | 'folder_unreadable';

/** What lies in a share. `relative` is its path there, byte for byte: names need not be UTF-8. */
export type Found =
  | {
      readonly kind: 'file';
      readonly relative: Buffer;
      /** Leads to this file, whatever becomes of the folders above it, until `release`. */
      readonly path: Buffer;
      readonly release: () => Promise<void>;
    }
  | { readonly kind: WalkFault; readonly relative: Buffer };

const SLASH = Buffer.from('/');
const MAX_DEPTH = 64;

/** A folder that is held open, so that nobody can put a link in its place while its files are taken. */
type Folder = { readonly path: Buffer; readonly keep: () => void; readonly release: () => Promise<void> };

const holdFolder = async (path: Buffer | string, follow: boolean): Promise<Folder> => {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | (follow ? 0 : constants.O_NOFOLLOW);
  const handle: FileHandle = await open(path, flags);
  let users = 1;
  return {
    path: Buffer.from(`/proc/self/fd/${handle.fd}`),
    keep: () => {
      users += 1;
    },
    release: async () => {
      users -= 1;
      if (users === 0) await handle.close();
    },
  };
};

type Kind = 'folder' | 'file' | 'link' | 'special';
type Typed = Pick<import('node:fs').Stats, 'isDirectory' | 'isFile' | 'isSymbolicLink'>;
const kindOf = (entry: Typed): Kind =>
  entry.isDirectory() ? 'folder' : entry.isFile() ? 'file' : entry.isSymbolicLink() ? 'link' : 'special';

/**
 * Everything that lies in a share, one after the other: in memory are the folders on the way, never a list of names. Links are
 * not followed, FIFOs and devices not opened, and a folder that becomes a link meanwhile leads nowhere. Linux alone: folders
 * are held by `/proc/self/fd`. Every file must be released. Throws when the share itself cannot be read.
 */
export async function* walk(root: string): AsyncGenerator<Found> {
  const top = await holdFolder(root, true).catch((error: NodeJS.ErrnoException) => {
    throw new AppError('config_invalid', `The folder cannot be read (${error.code ?? 'unknown'}).`);
  });
  yield* within(top, Buffer.alloc(0), 0);
}

async function* within(folder: Folder, prefix: Buffer, depth: number): AsyncGenerator<Found> {
  try {
    // Types of Node know names as text only.
    const entries = await opendir(folder.path, { encoding: 'buffer' as BufferEncoding, bufferSize: 128 });
    for await (const entry of entries) {
      const name = entry.name as unknown as Buffer;
      const path = Buffer.concat([folder.path, SLASH, name]);
      const relative = prefix.length === 0 ? name : Buffer.concat([prefix, SLASH, name]);
      // Some file systems do not tell the kind with the name.
      let kind = kindOf(entry);
      if (kind === 'special') {
        const stat = await lstat(path).catch(() => null);
        if (stat === null) continue;
        kind = kindOf(stat);
      }
      if (kind === 'file') {
        folder.keep();
        yield { kind, relative, path, release: once(folder.release) };
      } else if (kind === 'folder') yield* descend(path, relative, depth);
      else yield { kind, relative };
    }
  } finally {
    await folder.release();
  }
}

const once = (act: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | null = null;
  return () => {
    done ??= act();
    return done;
  };
};

async function* descend(path: Buffer, relative: Buffer, depth: number): AsyncGenerator<Found> {
  if (depth >= MAX_DEPTH) {
    yield { kind: 'too_deep', relative };
    return;
  }
  let inner: Folder;
  try {
    inner = await holdFolder(path, false);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT')
      yield { kind: code === 'ELOOP' || code === 'ENOTDIR' ? 'link' : 'folder_unreadable', relative };
    return;
  }
  yield* within(inner, relative, depth + 1);
}

/** How a share is gone through by several at once: each takes the next thing when it has time. */
export const createTaker = (found: AsyncGenerator<Found>) => {
  let turn: Promise<unknown> = Promise.resolve();
  return {
    next(): Promise<Found | null> {
      const mine = turn.then(async () => {
        const { done, value } = await found.next();
        return done === true ? null : value;
      });
      turn = mine.catch(() => undefined);
      return mine;
    },
    /** Lets go of the folders. */
    async end(): Promise<void> {
      await turn;
      await found.return(undefined);
    },
  };
};
export type Taker = ReturnType<typeof createTaker>;
