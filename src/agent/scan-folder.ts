import type { BigIntStats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { mediaTypeOf } from './media-types.ts';
import { audioStemOf, sideBaseOf, sideCandidates } from './side-files.ts';

/** A file that lies in the folder. Which bytes its name has is attacker-controlled. */
export type Found = {
  readonly path: Buffer;
  /** The path as a key of maps, byte for byte. */
  readonly key: string;
  /** The file and its state, and that of whatever is named like its side file: another after every write. */
  readonly signature: string;
  readonly hasSide: boolean;
  readonly stat: Pick<BigIntStats, 'dev' | 'ino' | 'uid' | 'size' | 'mtimeMs' | 'ctimeMs'>;
};

/** A file named like a side file, and no recording beside it. */
export type Alone = { readonly key: string; readonly changedMs: number };

export type ScanOptions = {
  /** Absolute, without symbolic links. */
  readonly root: Buffer;
  readonly recursive: boolean;
  /** Also files whose names promise no audio. */
  readonly all: boolean;
};

export type ScanTotals = {
  /** Files that are left alone: their names promise no audio, or begin with a dot. */
  readonly otherKinds: number;
  /** Folders and files that could not be looked at. */
  readonly unreadable: number;
};

/** Side files without a recording that are remembered at most. */
const MAX_ALONE = 10_000;

const SLASH = Buffer.from('/');
const DOT = 0x2e;

/** Size, time and inode; the number of the device is another after every mount of a share. */
export const signatureOf = (stat: Pick<BigIntStats, 'ino' | 'size' | 'mtimeNs'>): string =>
  `${stat.ino} ${stat.size} ${stat.mtimeNs}`;

/** When it was last changed or put there, in milliseconds since 1970 by the clock of the file system. */
export const changedMsOf = ({ mtimeMs, ctimeMs }: Pick<BigIntStats, 'mtimeMs' | 'ctimeMs'>): number =>
  Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs);

const statOf = async (path: Buffer): Promise<BigIntStats | null> => {
  try {
    return await lstat(path, { bigint: true });
  } catch {
    return null;
  }
};

const isAudio = (name: Buffer): boolean => mediaTypeOf(name.toString('latin1')) !== null;

const keyOf = (name: Buffer): string => name.toString('latin1');

/** What has to be known of a folder's names before its files are looked at one by one. */
type Names = {
  /** That end like side files. */
  readonly sides: ReadonlySet<string>;
  /** What a side file may be named after, and which name that is; only where every name is taken. */
  readonly mains: ReadonlyMap<string, Buffer>;
  /** What a side file of a recording that is here may be named after. */
  readonly recordings: ReadonlySet<string>;
};

const readNames = async (folder: Buffer, all: boolean): Promise<Names> => {
  const sides = new Set<string>();
  const mains = new Map<string, Buffer>();
  const recordings = new Set<string>();
  for await (const names of namesIn(folder)) {
    for (const name of names) {
      if (sideBaseOf(name) !== null) sides.add(keyOf(name));
      const stem = audioStemOf(name);
      if (stem !== null) recordings.add(keyOf(name)).add(keyOf(stem));
      if (!all || name[0] === DOT) continue;
      mains.set(keyOf(name), name);
      if (stem !== null) mains.set(keyOf(stem), name);
    }
  }
  return { sides, mains, recordings };
};

type Looked = {
  readonly path: Buffer;
  readonly name: Buffer;
  readonly stat: BigIntStats | null;
  /** Of what is named like its side files; what is no regular file as well, for the recording does not go without it. */
  readonly sides: readonly BigIntStats[];
  /** It is one itself. */
  readonly isSide: boolean;
  /** It is named like one, and no recording like it. */
  readonly isAlone: boolean;
};

const lookAt = async (folder: Buffer, name: Buffer, all: boolean, names: Names): Promise<Looked> => {
  const within = (one: Buffer): Buffer => Buffer.concat([folder, SLASH, one]);
  const mayHaveSide = name[0] !== DOT && (all || isAudio(name));
  const candidates = mayHaveSide ? sideCandidates(name) : [];
  const base = sideBaseOf(name)?.base;
  const main = base === undefined ? undefined : names.mains.get(keyOf(base));
  const [stat, mainStat, ...sides] = await Promise.all([
    statOf(within(name)),
    main === undefined ? null : statOf(within(main)),
    ...candidates.filter((one) => names.sides.has(keyOf(one.path))).map((one) => statOf(within(one.path))),
  ]);
  return {
    path: within(name),
    name,
    stat: stat ?? null,
    sides: sides.filter((side): side is BigIntStats => side !== null),
    isSide: mainStat?.isFile() === true,
    isAlone: name[0] !== DOT && base !== undefined && !names.recordings.has(keyOf(base)),
  };
};

/** Looked at together, for one after the other takes long on a share. */
const TOGETHER = 128;

async function* namesIn(folder: Buffer): AsyncGenerator<Buffer[]> {
  // Types of Node know names as text only.
  const entries = await opendir(folder, { encoding: 'buffer' as BufferEncoding, bufferSize: TOGETHER });
  let names: Buffer[] = [];
  for await (const entry of entries) {
    names.push(entry.name as unknown as Buffer);
    if (names.length < TOGETHER) continue;
    yield names;
    names = [];
  }
  if (names.length > 0) yield names;
}

/**
 * Goes through the folder without following a link anywhere, and leaves out names that begin with a dot, as unfinished
 * copies have them. Throws when the folder itself cannot be read; what lies below it and cannot is counted.
 */
export const createScan = ({ root, recursive, all }: ScanOptions) => {
  let [otherKinds, unreadable] = [0, 0];
  const alone: Alone[] = [];

  /** What is handed on of one entry; null for what is left alone, which is counted. */
  const found = ({ path, name, stat, sides, isSide, isAlone }: Looked): Found | null => {
    if (stat?.isFile() !== true || isSide) return null;
    if (name[0] === DOT || (!all && !isAudio(name))) {
      if (name[0] === DOT || sideBaseOf(name) === null) otherKinds += 1;
      if (isAlone && alone.length < MAX_ALONE) alone.push({ key: keyOf(path), changedMs: changedMsOf(stat) });
      return null;
    }
    return {
      path,
      key: keyOf(path),
      signature: [stat, ...sides].map(signatureOf).join(' '),
      hasSide: sides.length > 0,
      stat,
    };
  };

  async function* inFolder(folder: Buffer): AsyncGenerator<Found> {
    const known = await readNames(folder, all);
    for await (const names of namesIn(folder)) {
      for (const looked of await Promise.all(names.map((name) => lookAt(folder, name, all, known)))) {
        if (looked.stat?.isDirectory() && recursive && looked.name[0] !== DOT) {
          try {
            yield* inFolder(looked.path);
          } catch {
            unreadable += 1;
          }
        }
        const one = found(looked);
        if (one !== null) yield one;
      }
    }
  }

  return {
    found: () => inFolder(root),
    totals: (): ScanTotals => ({ otherKinds, unreadable }),
    alone: (): readonly Alone[] => alone,
  };
};
