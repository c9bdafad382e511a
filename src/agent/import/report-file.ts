import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '../../core/errors.ts';

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9]{1,20}$/.test(code) ? code : '';
};

/** Of file systems that know no second name of a file. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Gives a draft its name unless there is such a file; false: there is. */
const publish = async (draft: string, path: string): Promise<boolean> => {
  try {
    await link(draft, path);
    await unlink(draft);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (!NO_LINKS.has(codeOf(error))) throw error;
  }
  try {
    await (await open(path, 'wx', 0o600)).close();
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
  await rename(draft, path);
  return true;
};

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, constants.O_RDONLY);
  await folder.sync().finally(() => folder.close());
};

/**
 * A new file, readable by its owner alone, under the first of these names that is free; whole and on the disk when it appears. What
 * lies under a name is never overwritten. Throws `config_invalid` when none is free, and `storage_unavailable` when it cannot be
 * written; nothing is then left behind.
 */
export const writeNewFile = async (
  names: Iterable<string>,
  write: (file: FileHandle) => Promise<void>,
): Promise<string> => {
  let draft: string | null = null;
  try {
    for (const path of names) {
      if (draft === null) {
        draft = `${path}.${randomBytes(6).toString('hex')}.new`;
        const file = await open(draft, 'wx', 0o600);
        await write(file)
          .then(() => file.sync())
          .finally(() => file.close());
      }
      if (!(await publish(draft, path))) continue;
      draft = null;
      await syncFolder(dirname(path));
      return path;
    }
  } catch (error) {
    if (codeOf(error) === '') throw error;
    throw new AppError(
      'storage_unavailable',
      `The report cannot be written (${codeOf(error)}): see the disk that it is to lie on. Nothing is lost: the same command goes on where this ended.`,
    );
  } finally {
    if (draft !== null) await unlink(draft).catch(() => undefined);
  }
  throw new AppError(
    'config_invalid',
    'A file lies already where the report is to go: name another with --report.',
  );
};
