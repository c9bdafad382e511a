import type { BigIntStats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { mediaTypeOf } from './media-types.ts';

/** A file that lies in the folder. Which bytes its name has is attacker-controlled. */
export type Found = {
  readonly path: Buffer;
  /** The path as a key of maps, byte for byte. */
  readonly key: string;
  /** The file and its state, and that of its side file: another after every write. */
  readonly signature: string;
  readonly hasSide: boolean;
};

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

const SLASH = Buffer.from('/');
const DOT = 0x2e;
const SIDE = Buffer.from('.json');

/** Size, time and inode; the number of the device is another after every mount of a share. */
export const signatureOf = (stat: Pick<BigIntStats, 'ino' | 'size' | 'mtimeNs'>): string =>
  `${stat.ino} ${stat.size} ${stat.mtimeNs}`;

const statOf = async (path: Buffer): Promise<BigIntStats | null> => {
  try {
    return await lstat(path, { bigint: true });
  } catch {
    return null;
  }
};

const isAudio = (name: Buffer): boolean => mediaTypeOf(name.toString('latin1')) !== null;

const endsAsSide = (name: Buffer): boolean => name.subarray(-SIDE.length).equals(SIDE);

type Looked = {
  readonly path: Buffer;
  readonly name: Buffer;
  readonly stat: BigIntStats | null;
  /** Of the side file; null: there is none. */
  readonly side: BigIntStats | null;
  /** It is one itself. */
  readonly isSide: boolean;
};

const lookAt = async (folder: Buffer, name: Buffer, all: boolean): Promise<Looked> => {
  const path = Buffer.concat([folder, SLASH, name]);
  const mayHaveSide = name[0] !== DOT && (all || isAudio(name));
  const mayBeSide = all && name.length > SIDE.length && endsAsSide(name);
  const [stat, side, main] = await Promise.all([
    statOf(path),
    mayHaveSide ? statOf(Buffer.concat([path, SIDE])) : null,
    mayBeSide ? statOf(path.subarray(0, -SIDE.length)) : null,
  ]);
  return { path, name, stat, side: side?.isFile() ? side : null, isSide: main?.isFile() === true };
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

  /** What is handed on of one entry; null for what is left alone, which is counted. */
  const found = ({ path, name, stat, side, isSide }: Looked): Found | null => {
    if (stat?.isFile() !== true || isSide) return null;
    if (name[0] === DOT || (!all && !isAudio(name))) {
      if (name[0] === DOT || !endsAsSide(name)) otherKinds += 1;
      return null;
    }
    return {
      path,
      key: path.toString('latin1'),
      signature: `${signatureOf(stat)}${side === null ? '' : ` ${signatureOf(side)}`}`,
      hasSide: side !== null,
    };
  };

  async function* inFolder(folder: Buffer): AsyncGenerator<Found> {
    for await (const names of namesIn(folder)) {
      for (const looked of await Promise.all(names.map((name) => lookAt(folder, name, all)))) {
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
  };
};
