import { link, lstat, open, rename, unlink } from 'node:fs/promises';
import { isAppError } from '../core/errors.ts';
import type { OpenFile } from './file-digest.ts';
import { asItIs, type Opened } from './hand-over.ts';

/** Names that are tried for a file that is put back. */
const NAMES = 9;
const MAX_NAME_BYTES = 255;
/** Of a name that is too long for a draft: the ending at least. */
const TAIL_BYTES = 24;
const SLASH = 0x2f;

const copyTo = async (path: Buffer, file: OpenFile): Promise<void> => {
  const handle = await open(path, 'wx', 0o600);
  try {
    for await (const piece of file.pieces()) await handle.writeFile(piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** At the first byte of a character, at or before this place. */
const atCharacter = (text: Buffer, place: number): number => {
  let at = place;
  while (at > 0 && ((text[at] ?? 0) & 0xc0) === 0x80) at -= 1;
  return at;
};
const shortened = (name: Buffer, room: number): Buffer =>
  name.length <= room
    ? name
    : Buffer.concat([
        // A character begins at most three bytes earlier.
        name.subarray(0, atCharacter(name, room - TAIL_BYTES - 3)),
        name.subarray(atCharacter(name, name.length - TAIL_BYTES)),
      ]);

/**
 * A draft tells what it becomes, for whoever finds it when this process was killed (watch-leftovers.ts): `part` while it is
 * copied, `whole` when every byte is on the disk. It begins with a dot, and nobody takes it for a recording.
 */
const draftOf = (path: Buffer, ino: bigint, state: 'part' | 'whole'): Buffer => {
  const at = path.lastIndexOf(SLASH) + 1;
  const head = Buffer.from(`.callvault-${process.pid}-${ino}.${state}.`);
  return Buffer.concat([
    path.subarray(0, at),
    head,
    shortened(path.subarray(at), MAX_NAME_BYTES - head.length),
  ]);
};

const DRAFT = /^\.callvault-\d{1,10}-\d{1,20}\.(part|whole)\.(?!\.{1,2}$)(.+)$/s;
/** What the name of a draft says; null for every other name. */
export const readDraftName = (name: Buffer): { readonly isWhole: boolean; readonly name: Buffer } | null => {
  const [, state, rest] = DRAFT.exec(name.toString('latin1')) ?? [];
  return rest === undefined ? null : { isWhole: state === 'whole', name: Buffer.from(rest, 'latin1') };
};

const named = (path: Buffer, n: number): Buffer => {
  if (n === 1) return path;
  const dot = path.lastIndexOf(0x2e);
  return Buffer.concat([path.subarray(0, dot), Buffer.from(`-${n}`), path.subarray(dot)]);
};
/** Under which names a file may be put back. */
export const namesOf = (path: Buffer): readonly Buffer[] =>
  Array.from({ length: NAMES }, (_, n) => named(path, n + 1));

const isFree = (path: Buffer): Promise<boolean> =>
  lstat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );

/** Gives a file one of these names, the first that is free; by renaming it on a file system without hard links. */
export const nameIt = async (draft: Buffer, names: readonly Buffer[]): Promise<void> => {
  for (const name of names) {
    if (!(await isFree(name))) continue;
    try {
      return await link(draft, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return rename(draft, name);
    }
  }
  throw new Error('no name is free');
};

/** False: a draft that is whole and got no name stays, for nothing else has its bytes. */
const place = async (file: OpenFile, path: Buffer, names: readonly Buffer[]): Promise<boolean> => {
  const [part, whole] = [draftOf(path, file.state.ino, 'part'), draftOf(path, file.state.ino, 'whole')];
  try {
    await copyTo(part, file);
    await rename(part, whole);
  } catch (error) {
    await unlink(part).catch(() => undefined);
    throw error;
  }
  try {
    await nameIt(whole, names);
  } catch {
    return false;
  }
  await unlink(whole).catch(() => undefined);
  return true;
};

/**
 * Writes it as a file again, whole or not at all, and never over another; its side file before it, if its own name is free.
 * `draft_left`: every byte is there, but under no name that anybody looks at (watch-leftovers.ts).
 */
export const putBack = async (opened: Opened): Promise<'put_back' | 'draft_left'> => {
  const { path, file, side } = await asItIs(opened);
  if (side !== null && !isAppError(side) && (await isFree(side.path)))
    await place(side.file, side.path, [side.path]).catch(() => undefined);
  return (await place(file, path, namesOf(path))) ? 'put_back' : 'draft_left';
};
