import type { ObjectKey, ObjectStore, StoredObject } from '../storage/object-store.ts';
import type { RecordingTable } from '../storage/recording-table.ts';

export type RemoveOrphansDeps = {
  readonly recordings: Pick<RecordingTable, 'unclaimed'>;
  readonly objects: Pick<ObjectStore, 'list' | 'delete'>;
  readonly now: () => number;
  /** Objects that are compared in one query. */
  readonly page?: number;
};

export type Orphans = {
  /** Objects and copies that were removed. */
  readonly removed: number;
  /** True: more than an accident leaves had no row, and none of those was removed. */
  readonly tooMany: boolean;
};

const PAGE = 500;
/**
 * What no row has ever heard of may be all that is left of a recording whose row went with an older database that was
 * restored. Its key is nowhere else in this vault, so keeping it a while harms nobody.
 */
export const UNKNOWN_KEPT_MS = 7 * 24 * 60 * 60_000;
/** A frozen process leaves one. More at once are a sign of the wrong database. */
export const MOST_UNKNOWN = 100;

async function* pagesOf(
  listed: AsyncIterable<StoredObject>,
  before: number,
  size: number,
): AsyncGenerator<readonly StoredObject[], void, void> {
  let page: StoredObject[] = [];
  for await (const object of listed) {
    if (object.modifiedAt.getTime() > before) continue;
    page.push(object);
    if (page.length < size) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

/**
 * Removes objects, and copies of envelopes, that no row answers for: what a process left that froze and died between writing
 * and discarding, and a write that reached the store after its deletion. An upload's row is there before its object, so
 * nothing that is under way can be taken for an orphan; nothing younger than `graceMs` is looked at. The whole store is
 * listed page by page: run it seldom. Stops, by throwing the signal's reason, between two pages.
 */
export const createRemoveOrphans =
  ({ recordings, objects, now, page = PAGE }: RemoveOrphansDeps) =>
  async (graceMs: number, signal: AbortSignal): Promise<Orphans> => {
    const unknownBefore = now() - Math.max(graceMs, UNKNOWN_KEPT_MS);
    const unknown: ObjectKey[] = [];
    let removed = 0;
    for await (const some of pagesOf(objects.list(), now() - graceMs, page)) {
      signal.throwIfAborted();
      const modified = new Map(some.map(({ key, modifiedAt }) => [key, modifiedAt.getTime()]));
      for (const { key, erased } of await recordings.unclaimed([...modified.keys()])) {
        if (erased) {
          await objects.delete(key);
          removed += 1;
        } else if ((modified.get(key) as number) <= unknownBefore && unknown.length <= MOST_UNKNOWN)
          unknown.push(key);
      }
    }
    if (unknown.length > MOST_UNKNOWN) return { removed, tooMany: true };
    for (const key of unknown) await objects.delete(key);
    return { removed: removed + unknown.length, tooMany: false };
  };

export type RemoveOrphans = ReturnType<typeof createRemoveOrphans>;
