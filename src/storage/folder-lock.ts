import { closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AppError } from '../core/errors.ts';

/**
 * A lock of the kernel's (POSIX record lock), held until `release` or until this process dies in whatever way: it is never
 * stale, and of any number of simultaneous attempts one succeeds, also from containers that share the folder. Node has no
 * call for such locks, but the SQLite it brings takes them: an empty database file, in a transaction that never writes.
 */
export type FolderLock = { release(): void };

const SQLITE_BUSY = 5;

/** How long to insist: a look by {@link isLocked} lasts microseconds, a holder stays. */
const INSIST_MS = 250;

const isBusy = (error: unknown): boolean => (error as { errcode?: number }).errcode === SQLITE_BUSY;

const unusable = (path: string, cause: unknown): AppError =>
  new AppError(
    'config_invalid',
    `${path} cannot be used as a lock: remove it, and see who may write to its folder.`,
    {
      cause,
    },
  );

/** Takes the lock, or returns null when somebody holds it. Throws `config_invalid` when the file cannot be used. */
export const takeLock = (path: string): FolderLock | null => {
  let database: DatabaseSync | null = null;
  try {
    closeSync(openSync(path, 'a', 0o600));
    database = new DatabaseSync(path, { timeout: INSIST_MS });
    database.exec('BEGIN EXCLUSIVE');
    const held = database;
    return { release: () => held.close() };
  } catch (error) {
    database?.close();
    if (isBusy(error)) return null;
    throw unusable(path, error);
  }
};

/** Whether somebody, this process included, holds the lock now. */
export const isLocked = (path: string): boolean => {
  if (!existsSync(path)) return false;
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: 0 });
    database.prepare('SELECT 1 FROM sqlite_schema').get();
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw unusable(path, error);
  } finally {
    database?.close();
  }
};
