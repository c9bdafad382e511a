import { randomUUID } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError } from '../core/errors.ts';
import { systemCode } from './disk-fault.ts';
import { assertStoreKey, BUNDLE_ROOM, OBJECT_ROOM } from './object-key.ts';
import type { ObjectKey } from './object-store.ts';
import { syncFolder } from './secret-file.ts';

/**
 * Where things lie below the root of the file store:
 *
 *     incoming/<uuid>.part                              what is being written
 *     recordings/<organisation>/<ab>/<generation>       objects; <ab> are the generation's first two digits
 *     recordings/<organisation>/<ab>/<generation>.envelope   the copies of their envelopes
 *     recordings/<organisation>/<ab>/<generation>.part       parts of uploads that are not recordings yet
 *     keys-export/<time>-<uuid>.ndjson                  bundles of wrapped keys
 *
 * 256 folders per organisation keep three million objects at some 12,000 names each, and keep key order: all names in one
 * folder come before all names in the next.
 */
export type ObjectPlace = { readonly folder: string; readonly path: string };

/** What a store that was killed may leave behind: drafts in `incoming`, and in `recordings` the file of a check. */
export const leftoverNames = {
  incoming: /^[0-9a-f-]{36}\.part$/,
  room: /^probe-[0-9a-f-]{36}$/,
} as const;

const SHARD_DIGITS = 2;

export const shardOf = (generation: string): string => generation.slice(0, SHARD_DIGITS);

/** Makes one folder for the owner only, unless it is there. Durable when it resolves, whoever made it. */
const makeFolder = async (folder: string): Promise<void> => {
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error;
  });
  await syncFolder(dirname(folder));
};

/** Makes the root and what is missing above it, durably. */
const makeRoot = async (root: string): Promise<void> => {
  const first = await mkdir(root, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = root; made !== dirname(first); made = dirname(made)) await syncFolder(dirname(made));
};

const refuseOpenFolder = async (root: string): Promise<void> => {
  const found = await stat(root);
  if ((found.mode & 0o077) !== 0)
    throw new AppError(
      'config_invalid',
      `${root} holds the objects and is open to others (mode ${(found.mode & 0o777).toString(8)}): run chmod 700 on it.`,
    );
};

/**
 * Opens (at the first call: makes) the folders of the store, for the owner only. Throws `config_invalid` when the root is
 * open to others: changing the mode of a folder that may have been named by mistake is not ours to do.
 */
export const openObjectFolder = async (rootPath: string) => {
  const root = resolve(rootPath);
  const incoming = join(root, 'incoming');
  const room = join(root, OBJECT_ROOM);
  const bundles = join(root, BUNDLE_ROOM);
  await makeRoot(root);
  await refuseOpenFolder(root);
  await makeFolder(incoming);
  await makeFolder(room);

  // Folders known to be durable. The first to need one makes it, everybody else waits for the same promise.
  const known = new Map<string, Promise<void>>();
  const forget = (): void => known.clear();
  const ensure = (folder: string): Promise<void> => {
    if (folder === room || folder === root) return Promise.resolve();
    const begun = known.get(folder);
    if (begun !== undefined) return begun;
    const made = ensure(dirname(folder)).then(() => makeFolder(folder));
    known.set(folder, made);
    made.catch(forget);
    return made;
  };
  return {
    root,
    incoming,
    room,
    bundles,
    ensure,
    /** A name in `incoming` that nobody has used. */
    newDraft: (): string => join(incoming, `${randomUUID()}.part`),
    /** A name beside the organisations that no listing takes for an object. */
    newProbe: (): ObjectPlace => ({ folder: room, path: join(room, `probe-${randomUUID()}`) }),
    /** To be called when a folder turns out to have been taken away from under us; those above it may be gone as well. */
    forget,
    /** Throws RangeError for anything but a key. */
    placeOf: (key: ObjectKey): ObjectPlace => {
      const parts = assertStoreKey(key);
      const folder =
        'organisation' in parts ? join(room, parts.organisation, shardOf(parts.generation)) : bundles;
      return { folder, path: join(folder, basename(key)) };
    },
  };
};

export type ObjectFolder = Awaited<ReturnType<typeof openObjectFolder>>;
