import { open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { AppError } from '../core/errors.ts';
import { systemCode } from './disk-fault.ts';
import { takeLock } from './folder-lock.ts';
import { syncFolder } from './secret-file.ts';

/** The last tree a witness has cosigned of a log; the root as 32 bytes. */
export type StoredTree = { readonly size: number; readonly root: Buffer };

export type WitnessState = {
  readonly get: (origin: string) => StoredTree | null;
  /** Durable when it resolves. One call at a time. */
  readonly put: (origin: string, tree: StoredTree) => Promise<void>;
  readonly close: () => void;
};

const LINE = /^(\d{1,16}) ([A-Za-z0-9+/]{43}=) ([^\s+\p{Cc}]{1,255})$/u;

const damaged = (path: string): AppError =>
  new AppError('config_invalid', `${path} is not the state of a witness: restore it from its backup.`);

/** A state that is damaged is an error: a witness that begins anew would cosign what contradicts what it has seen. */
const parse = (path: string, text: string): Map<string, StoredTree> => {
  const trees = new Map<string, StoredTree>();
  if (text !== '' && !text.endsWith('\n')) throw damaged(path);
  for (const line of text.split('\n').slice(0, -1)) {
    const [, size = '', root = '', origin = ''] = LINE.exec(line) ?? [];
    if (origin === '' || trees.has(origin) || !Number.isSafeInteger(Number(size))) throw damaged(path);
    trees.set(origin, { size: Number(size), root: Buffer.from(root, 'base64') });
  }
  return trees;
};

/** The file as a whole, or as it was: written beside it, synced, renamed over it, and the folder synced. */
const write = async (path: string, trees: ReadonlyMap<string, StoredTree>): Promise<void> => {
  const draft = `${path}.new`;
  const lines = [...trees].map(
    ([origin, { size, root }]) => `${size} ${root.toString('base64')} ${origin}\n`,
  );
  await unlink(draft).catch(() => undefined);
  {
    await using file = await open(draft, 'wx', 0o600);
    await file.writeFile(lines.join(''));
    await file.sync();
  }
  await rename(draft, path);
  await syncFolder(dirname(path));
};

/**
 * What a witness remembers: one line per log, in one file that this process alone may have open. Null when there is no such
 * file and it is not to be made. Throws `config_invalid` when it is damaged, or another witness works on it.
 */
export const openWitnessState = async (
  file: string,
  { create }: { readonly create: boolean },
): Promise<WitnessState | null> => {
  const path = resolve(file);
  const lock = takeLock(`${path}.lock`);
  if (lock === null)
    throw new AppError('config_invalid', `Another witness works on ${path}: one at a time may.`);
  try {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    });
    if (text === null && !create) {
      lock.release();
      return null;
    }
    let trees = parse(path, text ?? '');
    if (text === null) await write(path, trees);
    return {
      get: (origin) => trees.get(origin) ?? null,
      put: async (origin, tree) => {
        const next = new Map(trees).set(origin, tree);
        await write(path, next);
        trees = next;
      },
      close: () => lock.release(),
    };
  } catch (error) {
    lock.release();
    throw error;
  }
};
