import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';
import type { Actor, AuditEventOf } from '../core/events.ts';
import type { GenerationId, OrganisationId, RecordingId } from '../core/ids.ts';
import { type BundledKey, createBundleLines } from '../crypto/wrapped-key-bundle.ts';
import type { writeBundleFile } from '../storage/bundle-file.ts';
import type { bundleKeyOf, bundleKeyParts } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { WrappedKeyRow, WrappedKeyTable } from '../storage/wrapped-key-table.ts';

export type ExportKeysDeps = {
  readonly wrappedKeys: WrappedKeyTable;
  readonly objects: Pick<ObjectStore, 'put' | 'bundles' | 'delete' | 'locate'>;
  readonly bundleKeyOf: typeof bundleKeyOf;
  readonly bundleKeyParts: typeof bundleKeyParts;
  readonly writeBundleFile: typeof writeBundleFile;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly installationId: string;
  readonly now: () => number;
  readonly newId: () => string;
};

/** What was exported, and where it lies. */
export type ExportedKeys = { readonly where: string; readonly count: number; readonly sha256: string };

type Place = AuditEventOf<'keys.exported'>['detail']['place'];
type Bundle = {
  readonly id: string;
  readonly at: number;
  readonly place: Place;
  readonly actor: Actor['type'];
};

/** Bounds what is in memory: some 330 bytes a line. */
const PAGE = 1_000;
/** The newest, and the one before it, should the newest turn out to be damaged. */
const KEPT = 2;
/** How far another host's clock may be ahead. What claims to be newer was made by a clock that was wrong. */
export const AHEAD_MS = 60 * 60_000;

/** A row with a status that has a key always has one: the table's own rule says so. */
const bundled = (row: WrappedKeyRow): BundledKey => {
  const { wrapProvider, wrapKeyId, wrapVersion, wrappedKey } = row;
  if (wrapProvider === null || wrapKeyId === null || wrapVersion === null || wrappedKey === null)
    throw new AppError('integrity_failure', 'a stored recording has no wrapped key');
  return {
    recording: row.id as RecordingId,
    organisation: row.organisationId as OrganisationId,
    generation: row.generation as GenerationId,
    wrap: { provider: wrapProvider, keyId: wrapKeyId, keyVersion: wrapVersion, blob: wrappedKey },
  };
};

const entryOf = (
  { id, actor, place }: Bundle,
  at: number,
  count: number,
  sha256: string,
): AuditEventOf<'keys.exported'> => ({
  id,
  at,
  action: 'keys.exported',
  outcome: 'success',
  actor: { type: actor, id: null, role: null },
  organisation: null,
  unit: null,
  recording: null,
  subject: null,
  purpose: 'technical',
  session: null,
  request: null,
  detail: { place, count, sha256 },
});

/** The bundle's bytes, read from the table as fast as they are taken. Its entry is in the log before the closing line leaves. */
const createBundleBody = ({ wrappedKeys, audit, installationId, now }: ExportKeysDeps) =>
  async function* (bundle: Bundle, tell: (count: number, sha256: string) => void) {
    const lines = createBundleLines();
    yield lines.header({
      bundle: bundle.id,
      installation: installationId,
      at: bundle.at,
      count: await wrappedKeys.count(),
    });
    for (let after: string | null = null; ; ) {
      const page = await wrappedKeys.page(after, PAGE);
      if (page.length > 0) yield lines.keys(page.map(bundled));
      if (page.length < PAGE) break;
      after = page.at(-1)?.id ?? null;
    }
    const { line, count, sha256 } = lines.closing();
    // Nothing that was written so far can be seen under a name.
    await audit.append(entryOf(bundle, now(), count, sha256));
    tell(count, sha256);
    yield line;
  };

type Listed = { readonly key: Parameters<ObjectStore['delete']>[0]; readonly at: number };

/**
 * Bundles of wrapped keys, so that recordings outlive their database (docs/decisions/0011): written whole or not at all, an
 * entry each. In the object store only the newest two are kept: what was erased is gone with the second bundle made after it.
 */
export const createExportKeys = (deps: ExportKeysDeps) => {
  const { objects, now } = deps;
  const body = createBundleBody(deps);

  const listed = async (): Promise<Listed[]> => {
    const found: Listed[] = [];
    for await (const { key } of objects.bundles()) {
      const at = deps.bundleKeyParts(key)?.at;
      if (at !== undefined) found.push({ key, at });
    }
    return found;
  };
  const isPlausible = ({ at }: Listed): boolean => at <= now() + AHEAD_MS;

  const rotate = async (): Promise<void> => {
    const found = await listed();
    const kept = found.filter(isPlausible).slice(-KEPT);
    for (const one of found) if (!kept.includes(one)) await objects.delete(one.key);
  };

  const make = async (
    place: Place,
    actor: Actor['type'],
    write: (key: Listed['key'], body: AsyncIterable<Uint8Array>) => Promise<string>,
  ): Promise<ExportedKeys> => {
    const bundle = { id: deps.newId(), at: now(), place, actor };
    let told = { count: 0, sha256: '' };
    const bytes = body(bundle, (count, sha256) => {
      told = { count, sha256 };
    });
    return { where: await write(deps.bundleKeyOf(bundle.at, bundle.id), bytes), ...told };
  };

  const toStore = async (actor: 'operator' | 'system', signal: AbortSignal): Promise<ExportedKeys> => {
    const made = await make('store', actor, async (key, bytes) => {
      await objects.put(key, bytes, { signal });
      return objects.locate(key);
    });
    try {
      await rotate();
    } catch (cause) {
      throw new AppError(
        'storage_unavailable',
        `The bundle ${made.where} was made, but older ones could not be removed. They still hold the keys of what was erased since; see whether the object store locks what lies in keys-export/.`,
        { cause },
      );
    }
    return made;
  };

  return {
    /** Into the object store. Throws `storage_unavailable` (also when older bundles cannot be removed) and `log_unavailable`. */
    toStore,

    /** Into somebody's folder, where nothing is ever removed. */
    toFolder: (folder: string, signal: AbortSignal): Promise<ExportedKeys> =>
      make('folder', 'operator', (key, bytes) =>
        deps.writeBundleFile(folder, key.slice(key.lastIndexOf('/') + 1), bytes, signal),
      ),

    /** A new bundle when the newest is older than `everyMs`; null when it is not, or when there never was a key to export. */
    async whenDue(everyMs: number, signal: AbortSignal): Promise<ExportedKeys | null> {
      const newest = (await listed()).filter(isPlausible).at(-1);
      const isDue =
        newest === undefined
          ? (await deps.wrappedKeys.page(null, 1)).length > 0
          : now() - newest.at >= everyMs;
      return isDue ? toStore('system', signal) : null;
    },
  };
};

export type ExportKeys = ReturnType<typeof createExportKeys>;
