import { appendFile, mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '../core/errors.ts';

/**
 * What an agent remembers of files it leaves where they are. A file of its own, open to its owner alone, that only grows by
 * whole lines; no line has a name, because names may hold numbers:
 * `+ <inode> <size> <mtime ns>[ <the same of each side file>] <sha256>` for a stored one, `= … <sha256>` for one that is stored and
 * could not be removed, `- … <sha256> <code>` for a refused one.
 * Whatever is lost of it, a crash's half line included, costs one more delivery, which the vault knows again.
 */
export type WatchState = {
  isStored(signature: string): boolean;
  isUnremoved(signature: string): boolean;
  /** The code with which the vault refused it, and its digest; null when it did not. */
  refusalOf(signature: string): Refusal | null;
  /** Resolves to false when it could not be written down; it is then remembered until the end of the process. */
  stored(signature: string, sha256: string): Promise<boolean>;
  unremoved(signature: string, sha256: string): Promise<boolean>;
  refused(signature: string, refusal: Refusal): Promise<boolean>;
};
export type Refusal = { readonly code: string; readonly sha256: string };

/** Of side files there are as many as the names that a side file may have: with more than one the recording is refused. */
const LINE =
  /^([+=-]) (\d{1,20} \d{1,20} -?\d{1,20}(?: \d{1,20} \d{1,20} -?\d{1,20}){0,12}) ([0-9a-f]{64})(?: ([a-z0-9_]{1,40}))?$/;
const HEAD = 'callvault watch 1\n';

const failed = (sentence: string, error: unknown): AppError => {
  const code = String((error as NodeJS.ErrnoException).code ?? '');
  return new AppError(
    'config_invalid',
    `The state file ${sentence} (${/^E\w{1,20}$/.test(code) ? code : 'unknown'}).`,
  );
};

/** Throws `config_invalid` for a file that is no state, or open to others, and one that cannot be made. */
const readState = async (file: string): Promise<string> => {
  try {
    await mkdir(dirname(file), { mode: 0o700 }).catch(() => undefined);
    await (await open(file, 'a', 0o600)).close();
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0)
      throw new AppError('config_invalid', 'The state file is open to others than its owner: chmod 600.');
    const text = await readFile(file, 'latin1');
    // Also what a crash left of the first line.
    if (text.startsWith(HEAD) || HEAD.startsWith(text)) return text;
  } catch (error) {
    throw error instanceof AppError ? error : failed('cannot be used', error);
  }
  throw new AppError('config_invalid', 'The state file is something else; it is left alone.');
};

/** `file` null: remembered until the end of the process. */
export const openWatchState = async (file: string | null): Promise<WatchState> => {
  const stored = new Set<string>();
  const unremoved = new Set<string>();
  const refused = new Map<string, Refusal>();
  let text = '';
  if (file !== null) text = await readState(file);
  for (const line of text.split('\n')) {
    const [, mark, signature, sha256, code] = LINE.exec(line) ?? [];
    if (mark === '+') stored.add(signature as string);
    if (mark === '=') unremoved.add(signature as string);
    if (mark === '-') refused.set(signature as string, { code: code ?? 'refused', sha256: sha256 as string });
  }
  let isWhole = text.endsWith('\n');
  let writing: Promise<boolean> = Promise.resolve(true);

  const append = async (line: string): Promise<boolean> => {
    if (file === null) return true;
    const begin = isWhole ? '' : text === '' ? HEAD : '\n';
    try {
      isWhole = false;
      await appendFile(file, `${begin}${line}\n`, { mode: 0o600 });
      isWhole = true;
      text = HEAD;
      return true;
    } catch {
      // Half of the line may stand there now, so the next one begins anew.
      return false;
    }
  };
  /** One line after the other, so that none is torn by another. */
  const write = (line: string): Promise<boolean> => {
    writing = writing.then(() => append(line));
    return writing;
  };

  return {
    isStored: (signature) => stored.has(signature),
    isUnremoved: (signature) => unremoved.has(signature),
    refusalOf: (signature) => refused.get(signature) ?? null,
    stored(signature, sha256) {
      stored.add(signature);
      return write(`+ ${signature} ${sha256}`);
    },
    unremoved(signature, sha256) {
      unremoved.add(signature);
      return write(`= ${signature} ${sha256}`);
    },
    refused(signature, refusal) {
      refused.set(signature, refusal);
      const code = /^[a-z0-9_]{1,40}$/.test(refusal.code) ? refusal.code : 'refused';
      return write(`- ${signature} ${refusal.sha256} ${code}`);
    },
  };
};
