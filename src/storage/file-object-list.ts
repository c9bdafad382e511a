import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onDisk, systemCode } from './disk-fault.ts';
import { shardOf } from './object-folder.ts';
import { BUNDLE_ROOM, bundleKeyParts, OBJECT_ROOM, objectKeyParts } from './object-key.ts';
import type { ObjectKey, StoredObject } from './object-store.ts';

/** Enough to keep the disk busy, few enough to leave threads to uploads. */
const STATS_AT_ONCE = 16;

const orNone =
  <T>(none: T) =>
  (error: unknown): T => {
    const code = systemCode(error);
    // A name that is gone was deleted meanwhile; a file among folders is not ours.
    if (code === 'ENOENT' || code === 'ENOTDIR') return none;
    throw error;
  };

/** Names in a folder in byte order, the order of keys. */
const namesIn = async (folder: string): Promise<readonly string[]> =>
  (await onDisk(readdir(folder).catch(orNone([])))).sort();

const describe = async (folder: string, key: ObjectKey, name: string): Promise<StoredObject | null> => {
  const found = await onDisk(lstat(join(folder, name)).catch(orNone(null)));
  return found?.isFile() ? { key, bytes: found.size, modifiedAt: found.mtime } : null;
};

/** Objects and copies of one folder in key order. Names that are not a generation of this very folder are not ours: passed over. */
async function* objectsIn(
  folder: string,
  organisation: string,
  shard: string,
  after: string,
): AsyncGenerator<StoredObject, void, void> {
  const entries = (await namesIn(folder))
    .map((name) => ({ name, key: `${OBJECT_ROOM}/${organisation}/${name}` }))
    .filter(({ name, key }) => shardOf(name) === shard && objectKeyParts(key) !== null && key > after);
  for (let from = 0; from < entries.length; from += STATS_AT_ONCE) {
    const some = entries.slice(from, from + STATS_AT_ONCE);
    const found = await Promise.all(some.map(({ name, key }) => describe(folder, key as ObjectKey, name)));
    for (const object of found) if (object !== null) yield object;
  }
}

/** Every object and copy below `room` in key order, holding the names of one folder at a time. */
export async function* listFiles(room: string, after = ''): AsyncGenerator<StoredObject, void, void> {
  const from = objectKeyParts(after);
  for (const organisation of await namesIn(room)) {
    if (from !== null && organisation < from.organisation) continue;
    for (const shard of await namesIn(join(room, organisation))) {
      if (from?.organisation === organisation && shard < shardOf(from.generation)) continue;
      yield* objectsIn(join(room, organisation, shard), organisation, shard, after);
    }
  }
}

/** Every bundle in the folder of bundles, oldest first. */
export async function* listBundleFiles(folder: string): AsyncGenerator<StoredObject, void, void> {
  for (const name of await namesIn(folder)) {
    const key = `${BUNDLE_ROOM}/${name}`;
    if (bundleKeyParts(key) === null) continue;
    const found = await describe(folder, key as ObjectKey, name);
    if (found !== null) yield found;
  }
}
