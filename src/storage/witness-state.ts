import { createHash } from 'node:crypto';
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

const FIRST = /^([^\s\p{Cc}]{1,1024}) sha256:([A-Za-z0-9+/]{43}=)\n/u;
const LINE = /^(\d{1,16}) ([A-Za-z0-9+/]{43}=) ([^\s+\p{Cc}]{1,255})$/u;

const BEGIN_ANEW = 'put back the file as the witness left it, or begin with a new key under another name';

const damaged = (path: string): AppError =>
  new AppError('config_invalid', `${path} is not the state of a witness as it left it: ${BEGIN_ANEW}.`);

const digestOf = (lines: string): string => createHash('sha256').update(lines).digest('base64');

/**
 * A state that is damaged is an error: a witness that begins anew would cosign what contradicts what it has seen. The digest
 * tells one that lost lines; an older one that is whole looks like any other.
 */
const parse = (path: string, text: string, key: string | null): Map<string, StoredTree> => {
  const trees = new Map<string, StoredTree>();
  const [first = '', owner = '', digest = ''] = FIRST.exec(text) ?? [];
  const lines = text.slice(first.length);
  if (digest !== digestOf(lines) || (lines !== '' && !lines.endsWith('\n'))) throw damaged(path);
  if (key !== null && owner !== key)
    throw new AppError('config_invalid', `${path} is the state of another key: ${BEGIN_ANEW}.`);
  for (const line of lines.split('\n').slice(0, -1)) {
    const [, size = '', root = '', origin = ''] = LINE.exec(line) ?? [];
    if (origin === '' || trees.has(origin) || !Number.isSafeInteger(Number(size))) throw damaged(path);
    trees.set(origin, { size: Number(size), root: Buffer.from(root, 'base64') });
  }
  return trees;
};

/** The file as a whole, or as it was: written beside it, synced, renamed over it, and the folder synced. */
const write = async (path: string, key: string, trees: ReadonlyMap<string, StoredTree>): Promise<void> => {
  const draft = `${path}.new`;
  const lines = [...trees]
    .map(([origin, { size, root }]) => `${size} ${root.toString('base64')} ${origin}\n`)
    .join('');
  await unlink(draft).catch(() => undefined);
  {
    await using file = await open(draft, 'wx', 0o600);
    await file.writeFile(`${key} sha256:${digestOf(lines)}\n${lines}`);
    await file.sync();
  }
  await rename(draft, path);
  await syncFolder(dirname(path));
};

/**
 * What a witness remembers, in one file that this process alone may have open: a first line with its public key and the digest
 * of the others, then one line per log. Null when the key is not new and there is no such file. A new key takes over what is
 * there, for a key that remembers too much only refuses more. Throws `config_invalid` for a file that is damaged or that
 * belongs to another key, and when another witness works on it.
 */
export const openWitnessState = async (
  file: string,
  key: string,
  { isNew }: { readonly isNew: boolean },
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
    if (text === null && !isNew) {
      lock.release();
      return null;
    }
    let trees = text === null ? new Map<string, StoredTree>() : parse(path, text, isNew ? null : key);
    if (isNew) await write(path, key, trees);
    return {
      get: (origin) => trees.get(origin) ?? null,
      put: async (origin, tree) => {
        const next = new Map(trees).set(origin, tree);
        await write(path, key, next);
        trees = next;
      },
      close: () => lock.release(),
    };
  } catch (error) {
    lock.release();
    throw error;
  }
};
