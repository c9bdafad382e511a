import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../core/errors.ts';

/** The kernel's limit for the path of a Unix socket, without its closing zero. */
const LONGEST_SOCKET_PATH = 107;
const SOCKET_NAME = '/.s.PGSQL.5432';

const fits = (folder: string): boolean =>
  Buffer.byteLength(folder) + SOCKET_NAME.length <= LONGEST_SOCKET_PATH;

const isOwnDirectory = async (path: string, owners: readonly number[]): Promise<boolean> => {
  const found = await lstat(path).catch(() => null);
  return found?.isDirectory() === true && owners.includes(found.uid) && (found.mode & 0o077) === 0;
};

/**
 * The owner-only folder for the embedded database's socket: `run` in the data folder, or, when that path is too long for
 * a socket, one named after the data folder in the user's runtime folder or /tmp. There another user may have been first:
 * what is not a folder of our own and closed to others is refused with `config_invalid`. `owners` are user ids that may
 * own it: ours, and that of the account that runs the server for root.
 */
export const openSocketFolder = async (
  dataFolder: string,
  owners: readonly number[] = [process.getuid?.() ?? -1],
): Promise<string> => {
  const uid = process.getuid?.() ?? -1;
  const name = `callvault-${uid}-${createHash('sha256').update(dataFolder).digest('hex').slice(0, 16)}`;
  const runtime = `/run/user/${uid}`;
  const inside = join(dataFolder, 'run');
  const path = fits(inside) ? inside : join((await isOwnDirectory(runtime, [uid])) ? runtime : '/tmp', name);
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  if (!(await isOwnDirectory(path, owners)))
    throw new AppError(
      'config_invalid',
      `${path} should hold the database's socket, and is not an owner-only folder of this user: remove it, or choose a shorter DATA_DIR.`,
    );
  return path;
};
