import { realpath } from 'node:fs/promises';
import { type AppError, isAppError } from '../core/errors.ts';
import type { CallFields } from './call-fields.ts';
import type { MetadataOf } from './call-metadata.ts';
import type { Delivery } from './delivery.ts';
import { FileChanged, type OpenFile, openFile } from './file-digest.ts';
import { mediaTypeOf } from './media-types.ts';
import type { SideOptions } from './side-fields.ts';
import { openSideFile, readSideFile, removeTogether, type SideFile } from './side-files.ts';
import type { VaultClient } from './vault-client.ts';

/** What became of one file. */
export type HandedOver =
  | {
      readonly outcome: 'stored';
      readonly id: string;
      /** False: the vault had it already. */
      readonly created: boolean;
      readonly sha256: string;
      readonly bytes: number;
      /**
       * `changed`: another file stands under the name by now; it stays. `failed`: the system does not let it be removed.
       * `not_now`: somebody on a share has it open, or the share is away.
       */
      readonly removal: 'none' | 'removed' | 'changed' | 'failed' | 'not_now';
      /** What the system says of a removal that is `failed` or `not_now`. */
      readonly removalCode?: string;
    }
  | (Exclude<Delivery, { outcome: 'stored' }> & { readonly sha256: string; readonly bytes: number })
  /** Somebody still writes it, or its side file. */
  | { readonly outcome: 'changed' }
  | { readonly outcome: 'gone' }
  /** A folder, a link, a FIFO: nothing that could be handed over. */
  | { readonly outcome: 'no_file' }
  | { readonly outcome: 'unreadable'; readonly code: string };

export type HandOver = {
  readonly client: Pick<VaultClient, 'upload'>;
  readonly metadataOf: MetadataOf;
  /** How side files are read. */
  readonly sides: SideOptions;
  readonly mediaType?: string;
  /** After the vault has answered for its bytes. Takes the side file along. */
  readonly remove: boolean;
  /** True: nothing between root and file may be a symbolic link by now. */
  readonly strictFolder?: boolean;
  /** Gets what was removed, still open; resolves to whether it keeps it, and then closes it some time ({@link closeOpened}). */
  readonly onRemoved?: (removed: Opened) => Promise<boolean>;
};

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^E[A-Z0-9_]{1,30}$/.test(code) ? code : 'EUNKNOWN';
};

const SLASH = 0x2f;

const split = (path: Buffer): { folder: Buffer; name: Buffer } => {
  const at = path.lastIndexOf(SLASH);
  return {
    folder: at < 0 ? Buffer.from('.') : path.subarray(0, Math.max(at, 1)),
    name: path.subarray(at + 1),
  };
};

/** A name as it can be sent: what is no text, and what steers terminals, is replaced. */
export const sendableName = (name: Buffer): string =>
  new TextDecoder('utf-8')
    .decode(name)
    .replace(/\p{Cc}/gu, '\ufffd')
    .slice(0, 255)
    .toWellFormed();

/** A side file that cannot be taken is said with the recording's digest, by which a refusal is told. */
type Side = SideFile | null | AppError;

const openSide = async (path: Buffer): Promise<Side> => {
  try {
    return await openSideFile(path);
  } catch (error) {
    if (isAppError(error)) return error;
    throw error;
  }
};

const fieldsOf = async (side: Side, sides: SideOptions): Promise<CallFields | null> => {
  if (isAppError(side)) throw side;
  return side === null ? null : readSideFile(side, sides);
};

const isWhere = async (folder: Buffer): Promise<boolean> =>
  (await realpath(folder, { encoding: 'buffer' })).equals(folder);

/** A recording and its side file, held open. */
export type Opened = { readonly path: Buffer; readonly file: OpenFile; readonly side: Side };

export const closeOpened = async ({
  file,
  side,
}: Pick<Opened, 'side'> & { readonly file: OpenFile | null }) => {
  if (side !== null && !isAppError(side)) await side.file.close();
  await file?.close();
};

/** Matters of rights: another time is not another answer. */
const FORBIDDEN: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

type Removal = Pick<Extract<HandedOver, { outcome: 'stored' }>, 'removal' | 'removalCode'>;

const removeBoth = async ({ path, file, side }: Opened, strict: boolean): Promise<Removal> => {
  try {
    const taken = isAppError(side) ? null : side;
    const isSame = (await file.unchanged()) && (taken === null || (await taken.file.unchanged()));
    if (!isSame || (strict && !(await isWhere(split(path).folder)))) return { removal: 'changed' };
    return { removal: (await removeTogether(taken, path, file)) ? 'removed' : 'changed' };
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return { removal: 'changed' };
    return { removal: FORBIDDEN.has(code) ? 'failed' : 'not_now', removalCode: code };
  }
};

const deliver = async (
  { client, metadataOf, sides, mediaType, remove, strictFolder = false }: HandOver,
  opened: Opened,
  signal: AbortSignal | undefined,
): Promise<HandedOver> => {
  const { path, file, side } = opened;
  const name = sendableName(split(path).name);
  const sha256 = await file.digest(signal);
  let metadata: CallFields;
  try {
    metadata = metadataOf(path, file, sha256, await fieldsOf(side, sides));
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { outcome: 'refused', code: error.code, reason: error.message, sha256, bytes: file.bytes };
  }
  const delivery = await client.upload({
    open: () => file.read(),
    bytes: file.bytes,
    sha256,
    mediaType: mediaType ?? mediaTypeOf(name) ?? 'application/octet-stream',
    metadata,
    ...(signal === undefined ? {} : { signal }),
  });
  if (delivery.outcome !== 'stored') return { ...delivery, sha256, bytes: file.bytes };
  if (!(await file.unchanged())) return { outcome: 'changed' };
  const removal: Removal = remove ? await removeBoth(opened, strictFolder) : { removal: 'none' };
  return { ...delivery, sha256, bytes: file.bytes, ...removal };
};

const failureOf = (error: unknown, signal: AbortSignal | undefined): HandedOver => {
  signal?.throwIfAborted();
  if (error instanceof FileChanged) return { outcome: 'changed' };
  const code = codeOf(error);
  if (code === 'ENOENT') return { outcome: 'gone' };
  return code === 'ELOOP' ? { outcome: 'no_file' } : { outcome: 'unreadable', code };
};

/**
 * Hands one file over: its digest, then its bytes, once. It counts as stored only when the vault answered with the digest
 * reckoned here and the file is still what it was then; only then, and only if told so, is it removed. Throws nothing but
 * the signal's reason.
 */
export const handOver = async (how: HandOver, given: Buffer, signal?: AbortSignal): Promise<HandedOver> => {
  let file: OpenFile | null = null;
  let side: Side = null;
  let isKept = false;
  try {
    file = await openFile(given);
    if (file === null) return { outcome: 'no_file' };
    if (how.strictFolder === true && !(await isWhere(split(given).folder))) return { outcome: 'no_file' };
    side = await openSide(given);
    const opened = { path: given, file, side };
    const result = await deliver(how, opened, signal);
    // What a share let go only when it was closed cannot be looked at any more.
    if (result.outcome === 'stored' && result.removal === 'removed' && file.isOpen())
      isKept = (await how.onRemoved?.(opened)) ?? false;
    return result;
  } catch (error) {
    return failureOf(error, signal);
  } finally {
    if (!isKept) await closeOpened({ file, side });
  }
};

/** What is held open and has no name any more, with what has not either, each as it is now. */
export const asItIs = async ({ path, file, side }: Opened): Promise<Opened> => ({
  path,
  file: await file.asItIs(),
  side: side === null || isAppError(side) ? side : { ...side, file: await side.file.asItIs() },
});

/** {@link handOver} for a recording that was written after its removal. What is open stays open. */
export const handOverUnlinked = async (
  how: HandOver,
  opened: Opened,
  signal?: AbortSignal,
): Promise<HandedOver> => {
  try {
    return await deliver({ ...how, remove: false }, await asItIs(opened), signal);
  } catch (error) {
    return failureOf(error, signal);
  }
};
