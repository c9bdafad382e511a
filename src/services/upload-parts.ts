import { AppError } from '../core/errors.ts';
import type { OrganisationId } from '../core/ids.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import type { PartIdentity, UploadSealing } from '../crypto/upload-sealing.ts';
import type { partKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { PartRow, ResumableUploadTable, UploadRow } from '../storage/resumable-upload-table.ts';
import { uploadLocked } from './upload-claims.ts';

export type UploadPartsDeps = {
  readonly uploads: Pick<ResumableUploadTable, 'announcePart' | 'keepPart' | 'parts' | 'removePart'>;
  readonly objects: Pick<ObjectStore, 'put' | 'get' | 'delete'>;
  readonly partKeyOf: typeof partKeyOf;
  readonly uploadSealing: UploadSealing;
  readonly newId: () => string;
};

/** As many as a line may be cut; beyond, rows and objects would outweigh the sound. */
const MOST_PARTS = 10_000;

const identityOf = (
  { id, organisationId }: UploadRow,
  { generation, start }: Pick<PartRow, 'generation' | 'start'>,
): PartIdentity => ({ organisation: organisationId as OrganisationId, upload: id, generation, start });

/** Never fires: what has arrived is kept also when its client has gone. */
const unhurried = (): AbortSignal => new AbortController().signal;

async function* counted(
  source: AsyncIterable<Buffer>,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of source) {
    count(chunk.length);
    yield chunk;
  }
}

/** The parts of an upload: announced first, sealed in memory, durable before they count, and gone with their keys. */
export const createUploadParts = (deps: UploadPartsDeps) => {
  const { uploads, objects, uploadSealing } = deps;
  const keyOf = ({ organisationId }: UploadRow, generation: string) =>
    deps.partKeyOf(organisationId, generation);

  /** Object first, so that a row is left to tell of it until it is gone. */
  const remove = async (row: UploadRow, { generation }: Pick<PartRow, 'generation'>): Promise<void> => {
    await objects.delete(keyOf(row, generation));
    await uploads.removePart(generation);
  };

  const write = async (
    row: UploadRow,
    place: { generation: string; start: number },
    source: AsyncGenerator<Buffer>,
  ) => {
    let bytes = 0;
    const plain = counted(source, (more) => {
      bytes += more;
    });
    const { header, wrap, body } = await uploadSealing.sealPart(identityOf(row, place), plain);
    try {
      await objects.put(keyOf(row, place.generation), body, { signal: unhurried() });
    } finally {
      // A store that refused before it took a chunk leaves them open: a generator never begun closes nothing.
      await body.return();
      await source.return(undefined);
    }
    const kept = await uploads.keepPart(place.generation, {
      bytes,
      header,
      wrapProvider: wrap.provider,
      wrapKeyId: wrap.keyId,
      wrapVersion: wrap.keyVersion,
      wrappedKey: wrap.blob,
    });
    if (!kept) throw uploadLocked();
    return bytes;
  };

  return {
    /** Seals and stores one part. When it resolves with the part's length, it is durable; when it rejects, it is removed. */
    async add(row: UploadRow, start: number, source: AsyncGenerator<Buffer>): Promise<number> {
      const generation = deps.newId();
      await uploads.announcePart(row.id, generation, start);
      try {
        return await write(row, { generation, start }, source);
      } catch (error) {
        // What cannot be removed now is removed before the next part is taken, or with the upload.
        await remove(row, { generation }).catch(() => undefined);
        throw error;
      }
    },

    /** Removes what a request left that was broken off, which was never acknowledged. Rejects with `too_large` at too many parts. */
    async settle(row: UploadRow): Promise<void> {
      const parts = await uploads.parts(row.id);
      for (const part of parts) if (part.start >= row.received) await remove(row, part);
      if (parts.length >= MOST_PARTS)
        throw new AppError('too_large', `An upload has at most ${MOST_PARTS} parts: send longer ones.`);
    },

    async removeAll(row: UploadRow): Promise<void> {
      for (const part of await uploads.parts(row.id)) await remove(row, part);
    },

    /** The recording from its first byte to its last. Throws `integrity_failure` when it cannot be had bit for bit. */
    async *open(row: UploadRow): AsyncGenerator<Buffer, void, void> {
      let at = 0;
      for (const part of await uploads.parts(row.id)) {
        if (part.start >= row.received) break;
        if (part.bytes === null || part.start !== at) throw integrityFailure('length');
        const { bytes, header, wrapProvider: provider, wrapKeyId: keyId, wrapVersion: keyVersion } = part;
        const key = { header, wrap: { provider, keyId, keyVersion, blob: part.wrappedKey } };
        const read = (range: { start: number; end: number }) =>
          objects.get(keyOf(row, part.generation), { ...range, signal: unhurried() });
        yield* uploadSealing.openPart({ ...identityOf(row, part), bytes }, key, read);
        at += bytes;
      }
      if (at !== row.length) throw integrityFailure('length');
    },
  };
};

export type UploadParts = ReturnType<typeof createUploadParts>;
