import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, type FileHandle, link, lstat, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError, isAppError } from '../core/errors.ts';
import { keysUnavailable } from '../crypto/key-store.ts';

/**
 * Files and folders that only the vault's own user may see: keys, wrapped or not. Written once, whole or not at all, and
 * never changed. All functions throw `config_invalid` where others could read or replace what is there, and
 * `keys_unavailable` when the file system fails.
 */
const FILE_MODE = 0o400;
const FOLDER_MODE = 0o700;
/** Anything beyond reading and writing by the owner. */
const FILE_TOO_WIDE = 0o177;
const FOLDER_TOO_WIDE = 0o077;
const TEMPORARY = /^\.new-[0-9a-f-]{36}$/;
const STALE_MS = 3_600_000;

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException | null)?.code;

/** Lets errors of our own pass; what the file system says becomes `keys_unavailable`. */
const translated = (error: unknown): AppError => (isAppError(error) ? error : keysUnavailable(error));

const OTHERS = "Keys must be readable by the vault's own user alone.";

/** `why` is left out where the fault has nothing to do with who may read it. */
const refuse = (path: string, fault: string, why: string | null = OTHERS): AppError =>
  new AppError('config_invalid', `${path} ${fault}.${why === null ? '' : ` ${why}`}`);

const assertOwn = (path: string, uid: number): void => {
  const own = process.geteuid?.() ?? uid;
  if (uid !== own)
    throw refuse(path, `belongs to another user (${uid}, this is ${own}): run this as that user`);
};

/** What `use` makes of the file, or null when there is none. Refuses what {@link readOwnerOnly} refuses. */
const withOwnerOnly = async <T>(
  path: string,
  maxBytes: number,
  use: (file: FileHandle, size: number) => Promise<T>,
): Promise<T | null> => {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    // Checked on the open file, not on the name: it cannot be exchanged in between.
    const facts = await file.stat();
    if (!facts.isFile()) throw refuse(path, 'is not a regular file');
    assertOwn(path, facts.uid);
    if ((facts.mode & FILE_TOO_WIDE) !== 0) throw refuse(path, 'is open to others (mode wider than 0600)');
    if (facts.size > maxBytes) throw refuse(path, 'is too long to be a key', null);
    return await use(file, facts.size);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    if (codeOf(error) === 'ELOOP') throw refuse(path, 'is a symbolic link');
    throw translated(error);
  }
};

/**
 * The content, or null when there is no such file. Refuses symbolic links, other owners, modes wider than 0600 and more
 * than `maxBytes`. The caller overwrites the buffer when it holds a key.
 */
export const readOwnerOnly = (path: string, maxBytes: number): Promise<Buffer | null> =>
  withOwnerOnly(path, maxBytes, async (file, size) => {
    const content = Buffer.alloc(size);
    const { bytesRead } = await file.read(content, 0, content.length, 0);
    if (bytesRead !== size) throw keysUnavailable(new Error('short read'));
    return content;
  });

/** Refuses what {@link readOwnerOnly} refuses, and reads nothing; a file that is not there is none. */
export const assertOwnerOnly = async (path: string, maxBytes: number): Promise<void> => {
  await withOwnerOnly(path, maxBytes, async () => null);
};

const syncFolder = async (folder: string): Promise<void> => {
  await using handle = await open(folder, constants.O_RDONLY);
  await handle.sync();
};

const writeTemporary = async (folder: string, content: Uint8Array): Promise<string> => {
  const path = join(folder, `.new-${randomUUID()}`);
  await using file = await open(path, 'wx', FILE_MODE);
  await file.writeFile(content);
  await file.chmod(FILE_MODE);
  await file.sync();
  return path;
};

/**
 * Makes the file, mode 0400, or returns false when there is one already, whoever made it. When it returns, the file that
 * is there survives a power cut. A crash leaves the whole file or none (and perhaps a temporary one, see
 * {@link sweepTemporary}).
 */
export const createOnce = async (path: string, content: Uint8Array): Promise<boolean> => {
  const folder = dirname(path);
  try {
    const temporary = await writeTemporary(folder, content);
    // A link, unlike a rename, never replaces what is there.
    const made = await link(temporary, path)
      .then(
        () => true,
        (error: unknown) => {
          if (codeOf(error) === 'EEXIST') return false;
          throw error;
        },
      )
      .finally(() => unlink(temporary));
    await syncFolder(folder);
    return made;
  } catch (error) {
    throw translated(error);
  }
};

/** Removes the file so that a power cut does not bring it back. Removing what is not there succeeds. */
export const removeDurably = async (path: string): Promise<void> => {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw translated(error);
  }
  await syncFolder(dirname(path)).catch((error: unknown) => {
    throw translated(error);
  });
};

/** The names in a folder, without temporary files. */
export const namesIn = async (folder: string): Promise<readonly string[]> => {
  try {
    return (await readdir(folder)).filter((name) => !TEMPORARY.test(name));
  } catch (error) {
    throw translated(error);
  }
};

/** Removes temporary files that a crash left; young ones may be another process at work. */
export const sweepTemporary = async (folder: string, now: number): Promise<void> => {
  try {
    for (const name of await readdir(folder)) {
      if (!TEMPORARY.test(name)) continue;
      const path = join(folder, name);
      if (now - (await lstat(path)).mtimeMs > STALE_MS) await unlink(path);
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw translated(error);
  }
};

/** Asserts that the folder is the vault's own, mode 0700. `create` makes it, and its parents, when it is not there. */
export const ownFolder = async (path: string, create: boolean): Promise<void> => {
  try {
    if (create && (await mkdir(path, { recursive: true, mode: FOLDER_MODE })) !== undefined) {
      await chmod(path, FOLDER_MODE);
      await syncFolder(dirname(path));
    }
    const facts = await lstat(path);
    if (!facts.isDirectory()) throw refuse(path, 'is not a folder');
    assertOwn(path, facts.uid);
    if ((facts.mode & FOLDER_TOO_WIDE) !== 0) throw refuse(path, 'is open to others (mode wider than 0700)');
  } catch (error) {
    throw translated(error);
  }
};
