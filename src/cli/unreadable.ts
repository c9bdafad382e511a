import { AppError } from '../core/errors.ts';

const sentences: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there: a part of its path is no folder',
  EISDIR: 'is a folder, and a file is wanted',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
};

/** What the system says about a path that somebody named, as a sentence; what is no such thing stays what it is. */
export const unreadable = (path: string, cause: unknown): unknown => {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  if (typeof code !== 'string' || syscall === undefined) return cause;
  return new AppError('config_invalid', `${path} ${sentences[code] ?? `cannot be read (${code})`}.`, {
    cause,
  });
};
