import { link, lstat, open, rename, unlink } from 'node:fs/promises';
import { isAppError } from '../core/errors.ts';
import type { OpenFile } from './file-digest.ts';
import { asItIs, type Opened } from './hand-over.ts';

/** Names that are tried for a file that is put back. */
const NAMES = 9;

const copyTo = async (path: Buffer, file: OpenFile): Promise<void> => {
  const handle = await open(path, 'wx', 0o600);
  try {
    for await (const piece of file.pieces()) await handle.writeFile(piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const named = (path: Buffer, n: number): Buffer => {
  if (n === 1) return path;
  const dot = path.lastIndexOf(0x2e);
  return Buffer.concat([path.subarray(0, dot), Buffer.from(`-${n}`), path.subarray(dot)]);
};

const isFree = (path: Buffer): Promise<boolean> =>
  lstat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );

/** Gives a file a name that is free; by renaming it on a file system without hard links. */
const nameIt = async (draft: Buffer, path: Buffer): Promise<void> => {
  for (let n = 1; n <= NAMES; n += 1) {
    const name = named(path, n);
    if (!(await isFree(name))) continue;
    try {
      return await link(draft, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return rename(draft, name);
    }
  }
  throw new Error('no name is free');
};

/** Writes it as a file again, whole or not at all, and never over another; its side file too, if its own name is free. */
export const putBack = async (opened: Opened): Promise<void> => {
  const { path, file, side } = await asItIs(opened);
  const at = path.lastIndexOf(0x2f) + 1;
  const draft = Buffer.concat([
    path.subarray(0, at),
    Buffer.from(`.callvault-${process.pid}-${file.state.ino}`),
  ]);
  try {
    await copyTo(draft, file);
    if (side !== null && !isAppError(side)) await copyTo(side.path, side.file).catch(() => undefined);
    await nameIt(draft, path);
  } finally {
    await unlink(draft).catch(() => undefined);
  }
};
