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

/**
 * Goes through the folder without following a link anywhere, and leaves out names that begin with a dot, as unfinished
 * copies have them. Throws when the folder itself cannot be read; what lies below it and cannot is counted.
 */
export const createScan = ({ root, recursive, all }: ScanOptions) => {
  let [otherKinds, unreadable] = [0, 0];

  async function* inFolder(folder: Buffer): AsyncGenerator<Found> {
    // Types of Node know names as text only.
    const entries = await opendir(folder, { encoding: 'buffer' as BufferEncoding });
    for await (const entry of entries) {
      const name = entry.name as unknown as Buffer;
      const path = Buffer.concat([folder, SLASH, name]);
      const stat = await statOf(path);
      if (stat === null) continue;
      if (name[0] === DOT) {
        if (stat.isFile()) otherKinds += 1;
        continue;
      }
      if (stat.isDirectory() && recursive) {
        try {
          yield* inFolder(path);
        } catch {
          unreadable += 1;
        }
      }
      if (!stat.isFile()) continue;
      if (!all && !isAudio(name)) {
        if (!name.subarray(-SIDE.length).equals(SIDE)) otherKinds += 1;
        continue;
      }
      const beside = Buffer.concat([path, SIDE]);
      const side = await statOf(beside);
      if (all && (await isSideFile(path, name))) continue;
      yield {
        path,
        key: path.toString('latin1'),
        signature: `${signatureOf(stat)}${side?.isFile() ? ` ${signatureOf(side)}` : ''}`,
        hasSide: side?.isFile() === true,
      };
    }
  }

  return {
    found: () => inFolder(root),
    totals: (): ScanTotals => ({ otherKinds, unreadable }),
  };
};

const isSideFile = async (path: Buffer, name: Buffer): Promise<boolean> =>
  name.length > SIDE.length &&
  name.subarray(-SIDE.length).equals(SIDE) &&
  (await statOf(path.subarray(0, -SIDE.length)))?.isFile() === true;
