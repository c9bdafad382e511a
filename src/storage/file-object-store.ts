import { randomBytes } from 'node:crypto';
import { link, lstat, readdir, readFile, rm, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { AppError } from '../core/errors.ts';
import { createDirectFiles } from './direct-file.ts';
import { diskFault, onDisk, systemCode } from './disk-fault.ts';
import { listBundleFiles, listFiles } from './file-object-list.ts';
import { readFileSlice } from './file-object-reader.ts';
import { writeFileDurably } from './file-object-writer.ts';
import { assertDeclaredLength } from './object-body.ts';
import { leftoverNames, type ObjectFolder, type ObjectPlace, openObjectFolder } from './object-folder.ts';
import { assertObjectKey } from './object-key.ts';
import { sliceBounds } from './object-slice.ts';
import type { ObjectStore } from './object-store.ts';
import { createOpenFiles } from './open-files.ts';
import { syncFolder } from './secret-file.ts';

export type FileObjectStoreOptions = {
  /** Folder of the store; made for the owner only when it is missing, refused when it is open to others. */
  readonly root: string;
  /** Free space, in bytes, that uploads leave to the rest of the vault (the access log first of all). */
  readonly freeBytesFloor: number;
};

const PROBE_BYTES = 64;

const missing = (error: unknown): null => {
  if (systemCode(error) === 'ENOENT') return null;
  throw error;
};

/** Removes a file; true when it was there. */
const remove = async (path: string): Promise<boolean> => (await unlink(path).catch(missing)) !== null;

/** `link` is what makes an object visible: in one step, whole, and never over an existing one, which `rename` would replace. */
const publish = async (folder: ObjectFolder, draft: string, place: ObjectPlace): Promise<void> => {
  try {
    await link(draft, place.path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST')
      throw new AppError('conflict', 'There is an object under this key already.');
    folder.forget();
    throw diskFault(error);
  }
  try {
    await syncFolder(place.folder);
  } catch (error) {
    await remove(place.path).catch(() => false);
    throw diskFault(error);
  }
};

const freeBytesBelow = async (root: string): Promise<number> => {
  const { bavail, bsize } = await onDisk(statfs(root));
  return bavail * bsize;
};

/** Many uploads begin in a second; what a disk takes in this time is far below any floor worth having. */
const FRESH_MS = 100;

/** The same answer for all who ask within {@link FRESH_MS}. */
const sharedForAMoment = (look: () => Promise<number>): (() => Promise<number>) => {
  let at = Number.NEGATIVE_INFINITY;
  let answer: Promise<number> | null = null;
  return () => {
    if (answer !== null && performance.now() - at < FRESH_MS) return answer;
    at = performance.now();
    answer = look();
    return answer;
  };
};

/** Goes the way of an upload (write, fsync, link into the objects' folder, fsync of that folder) and reads the bytes back. */
const probe = async (folder: ObjectFolder): Promise<void> => {
  const draft = folder.newDraft();
  const place = folder.newProbe();
  const written = randomBytes(PROBE_BYTES);
  try {
    // A copy: what is handed to the writer is the writer's.
    await writeFileDurably(draft, Readable.from([Buffer.from(written)]), {
      signal: new AbortController().signal,
    });
    await publish(folder, draft, place);
    if (!(await onDisk(readFile(place.path))).equals(written))
      throw new AppError('storage_unavailable', 'The folder of the objects gives back other bytes.');
  } finally {
    await rm(place.path, { force: true });
    await rm(draft, { force: true });
  }
};

/** Removes the files of a folder that bear such a name, are not `ours` and have not been written to since `olderThan`. */
const sweepFolder = async (
  folder: string,
  names: RegExp,
  olderThan: Date,
  ours: ReadonlySet<string>,
): Promise<number> => {
  let removed = 0;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!names.test(name) || ours.has(path)) continue;
    const found = await lstat(path).catch(missing);
    if (found?.isFile() && found.mtime < olderThan && (await remove(path))) removed += 1;
  }
  return removed;
};

/**
 * Objects as files below one folder (its layout: object-folder.ts). An upload is written to a file of its own, synced,
 * linked to its name, and the folder synced; only then does `put` resolve. `put` throws, besides what the interface says,
 * the body's own error and the signal's reason unchanged, `length_mismatch`, `storage_full` (also when `freeBytesFloor`
 * would be touched) and `storage_unavailable`. A key that is not one: RangeError. Bounds beyond the object's end are cut.
 */
export const createFileObjectStore = async (options: FileObjectStoreOptions): Promise<ObjectStore> => {
  const folder = await onDisk(openObjectFolder(options.root));
  const directFiles = await createDirectFiles(folder.newDraft());
  const files = createOpenFiles();
  /** What this process is writing now: a live call that is paused writes nothing for a while. */
  const drafts = new Set<string>();
  const freeBytes = (): Promise<number> => freeBytesBelow(folder.root);
  const recentlyFree = sharedForAMoment(freeBytes);
  const refuseWhenFull = async (free: Promise<number>, incoming: number): Promise<void> => {
    if ((await free) - incoming < options.freeBytesFloor)
      throw new AppError('storage_full', 'Too little space is left for objects.');
  };
  return {
    kind: 'file',
    freeBytes,
    put: async (key, body, { bytes, signal }) => {
      const place = folder.placeOf(key);
      assertDeclaredLength(bytes);
      signal.throwIfAborted();
      await refuseWhenFull(recentlyFree(), bytes ?? 0);
      const ready = folder.ensure(place.folder);
      // Made while the body is written, and awaited below; until then a failure must not count as unhandled.
      ready.catch(() => undefined);
      const draft = folder.newDraft();
      drafts.add(draft);
      try {
        const written = await writeFileDurably(draft, body, { bytes, signal, directFiles });
        await onDisk(ready);
        // The last moment at which nothing has to be undone: from here on the object stays, whoever goes away.
        signal.throwIfAborted();
        await publish(folder, draft, place);
        return { bytes: written };
      } finally {
        // Should this fail, the sweep finds the file.
        await remove(draft).catch(() => false);
        drafts.delete(draft);
      }
    },
    get: async (key, { start, end, signal }) =>
      readFileSlice(files, folder.placeOf(key).path, sliceBounds({ start, end }), signal),
    locate: (key) => folder.placeOf(key).path,
    head: async (key) => {
      const found = await onDisk(lstat(folder.placeOf(key).path).catch(missing));
      return found?.isFile() ? { bytes: found.size } : null;
    },
    delete: async (key) => {
      const place = folder.placeOf(key);
      await onDisk(remove(place.path));
      // After it, or a reader could have opened it once more in between.
      files.forget(place.path);
      // Also when it was gone already: whoever removed it may have died before this line.
      await onDisk(syncFolder(place.folder).catch(missing));
    },
    list: ({ after } = {}) => {
      if (after !== undefined) assertObjectKey(after);
      return listFiles(folder.room, after);
    },
    bundles: () => listBundleFiles(folder.bundles),
    sweep: async (olderThan) => {
      const left = await onDisk(sweepFolder(folder.incoming, leftoverNames.incoming, olderThan, drafts));
      const probes = await onDisk(sweepFolder(folder.room, leftoverNames.room, olderThan, drafts));
      return { removed: left + probes };
    },
    check: async () => {
      await refuseWhenFull(freeBytes(), 0);
      await onDisk(probe(folder));
    },
    close: () => files.close(),
  };
};
