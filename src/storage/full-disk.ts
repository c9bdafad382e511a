import { statfs } from 'node:fs/promises';
import { AppError } from '../core/errors.ts';

/** Less than this is no room: every start writes more. */
const NO_ROOM_BYTES = 4 * 1024 * 1024;
const MAX_DEPTH = 8;
const CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', '53100'];
/** As the C library says it, and PostgreSQL after it, which tells of its own disk in no other way while it starts. */
const SAID = /No space left on device|Disk quota exceeded/;

/** SQLite's, whose lock is the first thing that a start takes (folder-lock.ts). */
const SQLITE_FULL = 13;

type Layer = {
  readonly code?: unknown;
  readonly errcode?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  readonly meta?: { readonly driverAdapterError?: { readonly cause?: { readonly originalCode?: unknown } } };
};

/** Whether an error, or anything that caused it, is that a file system or a quota has no room left. */
export const isFull = (error: unknown): boolean => {
  let layer = error as Layer | null | undefined;
  for (let depth = 0; depth < MAX_DEPTH && typeof layer === 'object' && layer !== null; depth += 1) {
    if (CODES.includes(layer.code) || CODES.includes(layer.meta?.driverAdapterError?.cause?.originalCode))
      return true;
    if (layer.errcode === SQLITE_FULL) return true;
    if (SAID.test(String(layer.message))) return true;
    layer = layer.cause as Layer;
  }
  return false;
};

const freeBytes = async (folder: string): Promise<number | null> =>
  statfs(folder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );

/**
 * What a person is told when something could not be opened for want of room: which of these folders is on a full file
 * system, and what to do. Any other error passes unchanged.
 */
export const fullDiskFault = async (error: unknown, folders: readonly string[]): Promise<unknown> => {
  if (!isFull(error)) return error;
  const free = await Promise.all(folders.map(async (folder) => ({ folder, bytes: await freeBytes(folder) })));
  const full = free.filter(({ bytes }) => bytes !== null && bytes < NO_ROOM_BYTES);
  const where =
    full.length === 0
      ? `A file system or a quota that this vault writes to has no room left (${folders.join(', ')}, or the database server's)`
      : `No space is left on the file system of ${full.map(({ folder }) => folder).join(' and ')}`;
  return new AppError(
    'storage_full',
    `${where}: make room there (move other files away, or give it a larger disk), then try again. Nothing that was acknowledged is lost; remove nothing of the vault's own files by hand.`,
    { cause: error },
  );
};
