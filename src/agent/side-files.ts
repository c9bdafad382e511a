import { lstat, opendir } from 'node:fs/promises';
import { AppError } from '../core/errors.ts';
import type { CallFields } from './call-fields.ts';
import { type OpenFile, openFile } from './file-digest.ts';
import { audioEndings, mediaTypeOf } from './media-types.ts';
import { MAX_SIDE_BYTES, readSideFields, type SideKind, type SideOptions, sideKinds } from './side-fields.ts';

/** The side file of a recording, held open. */
export type SideFile = {
  readonly kind: SideKind;
  readonly path: Buffer;
  readonly file: OpenFile;
  /** It is named like the recording without its ending (`call.xml`), and may be that of `call.mp3` beside `call.wav` as well. */
  readonly isOfStem: boolean;
};

/** A side file that is there and cannot be taken: its recording must not go without it. */
const refused = (fault: string): AppError =>
  new AppError('not_acceptable_metadata', `What is said of the call cannot be sent: ${fault}.`);

const endingOf = (path: Buffer): Buffer => path.subarray(path.lastIndexOf(0x2e));
const withoutEnding = (path: Buffer): Buffer => path.subarray(0, path.length - endingOf(path).length);

/** Of a name that promises audio, what stands before the ending: `call` of `call.wav`. Null: there is none. */
export const audioStemOf = (path: Buffer): Buffer | null =>
  mediaTypeOf(path.toString('latin1')) === null ? null : withoutEnding(path);

/** `call.wav` or `call` for `call.wav.xml` or `call.xml`; null for a name that is none of a side file. */
export const sideBaseOf = (path: Buffer): { readonly kind: SideKind; readonly base: Buffer } | null => {
  const kind = sideKinds.find((one) =>
    path.subarray(-5).toString('latin1').toLowerCase().endsWith(`.${one}`),
  );
  return kind === undefined ? null : { kind, base: withoutEnding(path) };
};

type Candidate = Omit<SideFile, 'file'>;

/** Where the side file of a recording may lie: `call.wav.json` and so on, `call.json` and so on. */
export const sideCandidates = (path: Buffer): readonly Candidate[] => {
  const stem = audioStemOf(path);
  const of = (base: Buffer, isOfStem: boolean): Candidate[] =>
    sideKinds.flatMap((kind) =>
      [kind, kind.toUpperCase()].map((ending) => ({
        kind,
        path: Buffer.concat([base, Buffer.from(`.${ending}`)]),
        isOfStem,
      })),
    );
  return [...of(path, false), ...(stem === null ? [] : of(stem, true))];
};

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;

const open = async (candidate: Candidate): Promise<SideFile | null> => {
  try {
    const file = await openFile(candidate.path);
    if (file !== null) return { ...candidate, file };
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENAMETOOLONG') return null;
    if (codeOf(error) !== 'ELOOP') throw error;
  }
  throw refused('its side file is a link, or no file at all');
};

const isSameInode = (a: OpenFile, b: OpenFile): boolean =>
  a.state.ino === b.state.ino && a.state.dev === b.state.dev;

/** Whether both lie in the folder, by their own names. */
const areListed = async (a: Buffer, b: Buffer): Promise<boolean> => {
  const at = a.lastIndexOf(0x2f);
  const missing = new Set([a, b].map((path) => path.subarray(at + 1).toString('latin1')));
  // Types of Node know names as text only.
  const entries = await opendir(at < 0 ? '.' : a.subarray(0, Math.max(at, 1)), {
    encoding: 'buffer' as BufferEncoding,
  });
  for await (const { name } of entries) missing.delete((name as unknown as Buffer).toString('latin1'));
  return missing.size === 0;
};

/**
 * Where letters large and small are one, as on most shares, both names find the same file; a client of a share may give each
 * an inode of its own, and the folder alone tells.
 */
const isSameFile = async (a: SideFile, b: SideFile): Promise<boolean> =>
  a.kind === b.kind &&
  a.isOfStem === b.isOfStem &&
  (isSameInode(a.file, b.file) || !(await areListed(a.path, b.path)));

const isOneOf = async (found: readonly SideFile[], side: SideFile): Promise<boolean> => {
  for (const one of found) if (await isSameFile(one, side)) return true;
  return false;
};

/**
 * The side file of a recording; null when there is none. Throws `not_acceptable_metadata` where there is more than one, or one
 * that is no regular file, and what the system says of one that cannot be read.
 */
export const openSideFile = async (path: Buffer): Promise<SideFile | null> => {
  const found: SideFile[] = [];
  try {
    for (const candidate of sideCandidates(path)) {
      const side = await open(candidate);
      if (side === null) continue;
      // Kept from the beginning, so that it is closed whatever happens.
      found.push(side);
      if (await isOneOf(found.slice(0, -1), side)) await found.pop()?.file.close();
    }
    if (found.length > 1) throw refused('it has more than one side file');
  } catch (error) {
    for (const { file } of found) await file.close();
    throw error;
  }
  return found[0] ?? null;
};

/** Throws `not_acceptable_metadata`, which never repeats a value, and what reading does. */
export const readSideFile = async ({ kind, file }: SideFile, options: SideOptions): Promise<CallFields> => {
  if (file.bytes > MAX_SIDE_BYTES) throw refused(`its side file is longer than ${MAX_SIDE_BYTES} bytes`);
  const pieces: Buffer[] = [];
  for await (const piece of file.pieces()) pieces.push(piece);
  return readSideFields(kind, Buffer.concat(pieces), options);
};

const isFile = (path: Buffer): Promise<boolean> =>
  lstat(path).then(
    (stat) => stat.isFile(),
    () => false,
  );

/** The recordings that a side file may be of: `call.wav`, whatever its ending, for `call.wav.xml`; by their endings for `call.xml`. */
const hasRecording = async (base: Buffer, except?: Buffer): Promise<boolean> => {
  const others = audioEndings
    .flatMap((ending) => [ending, ending.toUpperCase()])
    .map((ending) => Buffer.concat([base, Buffer.from(`.${ending}`)]))
    .filter((path) => except === undefined || !path.equals(except));
  const found = await Promise.all(others.map(isFile));
  return found.includes(true) || (except === undefined && (await isFile(base)));
};

/** Whether a recording may lie beside it of which this is the side file. */
export const isSideFile = async (path: Buffer): Promise<boolean> => {
  const base = sideBaseOf(path)?.base;
  return base !== undefined && (await hasRecording(base));
};

const isOthersToo = async ({ path, isOfStem }: SideFile, recording: Buffer): Promise<boolean> =>
  isOfStem && (await hasRecording(withoutEnding(path), recording));

/**
 * Removes a recording, and its side file. That goes first, for a recording that a crash leaves behind is known, while nobody
 * would look after a side file; one that another recording has as well goes after the last. False: one of them has changed.
 */
export const removeTogether = async (
  side: SideFile | null,
  path: Buffer,
  recording: OpenFile,
): Promise<boolean> => {
  const isShared = side !== null && (await isOthersToo(side, path));
  if (side !== null && !isShared && !(await side.file.remove())) return false;
  // Looked at once more, as near to the end as can be.
  if (!(await recording.remove())) return false;
  if (isShared && !(await isOthersToo(side, path)))
    await side.file.remove().catch((error: unknown) => {
      // Two that went at the same moment both were the last.
      if (codeOf(error) !== 'ENOENT') throw error;
    });
  return true;
};
