import { randomBytes } from 'node:crypto';
import { link, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../core/errors.ts';

/** Makes what was just created, renamed or removed in a folder survive a power cut. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const readSecret = async (path: string): Promise<string | null> => {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return null;
  if ((found.mode & 0o077) !== 0)
    throw new AppError(
      'config_invalid',
      `${path} can be read by others (mode ${(found.mode & 0o777).toString(8)}): change the password it holds, then run chmod 600.`,
    );
  const secret = await readFile(path, 'utf8');
  if (!/^[\w-]{43}$/.test(secret))
    throw new AppError(
      'config_invalid',
      `${path} does not hold a password made by Callvault: restore it from a backup.`,
    );
  return secret;
};

const DRAFT = /^[0-9a-f]{12}$/;
const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException | null)?.code;

/**
 * Removes what processes that were killed have left beside the secret. Once it stands, whoever is still writing a draft of
 * it needs his no more.
 */
const removeDrafts = async (path: string): Promise<void> => {
  const begin = `${basename(path)}.`;
  for (const name of await readdir(dirname(path)))
    if (name.startsWith(begin) && DRAFT.test(name.slice(begin.length)))
      await rm(join(dirname(path), name), { force: true });
};

const make = async (path: string): Promise<void> => {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(randomBytes(32).toString('base64url'));
    await handle.sync();
    // link, not rename: it fails when somebody else was first, and his password stands; he may have removed ours, too.
    await link(draft, path).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST' && codeOf(error) !== 'ENOENT') throw error;
    });
  } finally {
    await handle.close();
    await rm(draft, { force: true });
  }
};

/**
 * The 256-bit random password in an owner-only file (0600, 43 characters of base64url), made at the first call and durable
 * before it is returned. Two callers at once get the same; what a killed one left is removed. Throws `config_invalid` for a
 * file that is wider or damaged.
 */
export const ensureSecretFile = async (path: string): Promise<string> => {
  const existing = await readSecret(path);
  if (existing === null) await make(path);
  await removeDrafts(path);
  if (existing !== null) return existing;
  await syncFolder(dirname(path));
  return (await readSecret(path)) as string;
};
