import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { sizeOfCheckpointName } from '../core/audit/checkpoint.ts';
import { AppError } from '../core/errors.ts';
import { onDisk, systemCode } from './disk-fault.ts';
import { syncFolder } from './secret-file.ts';

const FILE_MODE = 0o400;
const FOLDER_MODE = 0o700;
/** A note has a few hundred bytes; more than this is none of ours and not read. */
const MAX_BYTES = 64 * 1024;
const DRAFT = /^\.new-[0-9a-f-]{36}$/;
const NAME = /^\d{16}(\.[0-9a-f]{8})?$/;
/** A draft this old was left by a process that was killed. */
const STALE_MS = 3_600_000;

/** Throws RangeError for a name that is not one of a checkpoint or of a cosignature beside it. */
export const assertCheckpointName = (name: string): void => {
  if (!NAME.test(name)) throw new RangeError('not the name of a checkpoint');
};

const onPlace = <T>(operation: Promise<T>): Promise<T> => onDisk(operation, 'checkpoints');

/**
 * For a place that the operator has named. Made in silence it would pass for one that knows of no log: a share that is not
 * mounted would take away what it keeps, and the log with its tail cut off would go on. Throws `config_invalid`.
 */
export const assertNamedPlace = async (folder: string): Promise<void> => {
  const found = await stat(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw new AppError(
      'config_invalid',
      `CHECKPOINT_DIR (${folder}) cannot be looked at (${systemCode(error)}): check the path, and who may enter the folders on it.`,
      { cause: error },
    );
  });
  if (found === null)
    throw new AppError(
      'config_invalid',
      `CHECKPOINT_DIR (${folder}) is not there: mount the file system that it lies on. Only for a new place, make it: mkdir -m 700 ${folder}`,
    );
  if (!found.isDirectory())
    throw new AppError('config_invalid', `CHECKPOINT_DIR (${folder}) is not a folder.`);
};

const prepare = async (folder: string): Promise<void> => {
  const first = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  if (first !== undefined)
    for (let made = folder; made !== dirname(first); made = dirname(made)) await syncFolder(dirname(made));
  const { mode } = await stat(folder);
  if ((mode & 0o022) !== 0)
    throw new AppError(
      'config_invalid',
      `${folder} keeps the checkpoints of the access log and can be written by others (mode ${(mode & 0o777).toString(8)}): run chmod go-w on it.`,
    );
};

const sweepDrafts = async (folder: string, now: number): Promise<void> => {
  for (const name of await readdir(folder)) {
    if (!DRAFT.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => null);
    if (found !== null && now - found.mtimeMs > STALE_MS) await unlink(path).catch(() => undefined);
  }
};

const readNote = async (path: string): Promise<string> => {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const { size } = await file.stat();
  const content = Buffer.alloc(Math.min(size, MAX_BYTES));
  await file.read(content, 0, content.length, 0);
  return content.toString('utf8');
};

const writeDraft = async (path: string, text: string): Promise<void> => {
  await using file = await open(path, 'wx', FILE_MODE);
  await file.writeFile(text);
  await file.chmod(FILE_MODE);
  await file.sync();
};

/** Whole or not at all, and never over what is there: a link, unlike a rename, replaces nothing. */
const keepFile = async (folder: string, name: string, text: string): Promise<void> => {
  const draft = join(folder, `.new-${randomUUID()}`);
  try {
    await writeDraft(draft, text);
    await link(draft, join(folder, name)).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft).catch(() => undefined);
  }
  await syncFolder(folder);
};

/**
 * Checkpoints as files (mode 0400) in one folder, which is made for the owner when it is missing; `named`, the
 * folder itself or one around it, must be there. Nothing is ever replaced or
 * removed by us; the system cannot keep others with the same rights from doing so. When `keep` resolves, the file survives a
 * power cut. Throws `config_invalid` for a folder that others may write to or a
 * named one that is not there, `storage_full`, `storage_unavailable`, and
 * RangeError for a name that is none.
 */
export const openCheckpointFolder = async (
  path: string,
  now: number,
  { named }: { readonly named?: string } = {},
) => {
  const folder = resolve(path);
  if (named !== undefined) await assertNamedPlace(named);
  await onPlace(prepare(folder));
  await onPlace(sweepDrafts(folder, now));
  return {
    where: folder,
    keep: async (name: string, text: string): Promise<string> => {
      assertCheckpointName(name);
      await onPlace(keepFile(folder, name, text));
      return onPlace(readNote(join(folder, name)));
    },
    async *sizes(from: number): AsyncGenerator<number, void, void> {
      const sizes = (await onPlace(readdir(folder)))
        .map(sizeOfCheckpointName)
        .filter((size) => size !== null && size >= from) as number[];
      yield* sizes.sort((a, b) => a - b);
    },
    read: (name: string): Promise<string> => {
      assertCheckpointName(name);
      return onPlace(readNote(join(folder, name)));
    },
    close: async (): Promise<void> => undefined,
  };
};

/** Whether a folder (or, while it is not there, the one it will be made in) lies on another file system than the data. */
export const isOnAnotherFileSystem = async (path: string, data: string): Promise<boolean> => {
  const deviceOf = async (folder: string): Promise<number> => {
    const found = await stat(folder).catch(() => null);
    return found === null && folder !== dirname(folder) ? deviceOf(dirname(folder)) : (found?.dev ?? 0);
  };
  return (await deviceOf(resolve(path))) !== (await deviceOf(resolve(data)));
};
