import type { SourceActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { ResumableUploadTable, UploadRow } from '../storage/resumable-upload-table.ts';
import type { FinishUpload } from './finish-upload.ts';
import type { Ingested } from './ingest-request.ts';
import type { OwnUpload } from './own-upload.ts';
import { createPartSource, type PartSource, tooLong } from './part-source.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';
import { type UploadClaim, type UploadClaims, uploadLocked } from './upload-claims.ts';
import type { UploadParts } from './upload-parts.ts';

export type AppendUploadDeps = {
  readonly own: OwnUpload;
  readonly claims: UploadClaims;
  readonly uploads: Pick<ResumableUploadTable, 'advance'>;
  readonly parts: UploadParts;
  readonly finish: FinishUpload;
  readonly expiryOf: (row: Pick<UploadRow, 'createdAt'>) => Date;
  /** Throws `storage_full` below the floor of free space. */
  readonly assertRoom: () => Promise<void>;
  readonly recordUploadRefusal: RecordUploadRefusal;
};

export type AppendAsked = {
  readonly actor: SourceActor;
  readonly uploadId: string;
  /** Where the client thinks the upload is. */
  readonly offset: number;
  /** SHA-256 of the body, if it was declared. */
  readonly sha256: Buffer | null;
  /** Of the body, if it was declared. */
  readonly declaredBytes: number | null;
  /** Plaintext as it arrives; ends with the signal's reason. */
  readonly body: (stop: AbortSignal) => AsyncIterable<Buffer>;
  readonly request: string;
};

/** `recording`: what it became, once all of it was here. */
export type Appended = {
  readonly offset: number;
  readonly length: number;
  readonly expiresAt: Date;
  readonly recording: Pick<Ingested, 'id'> | null;
};

export const otherOffset = (): AppError =>
  new AppError('offset_mismatch', 'The upload is at another offset. Ask HEAD, then send from there.');

const otherChecksum = (): AppError =>
  new AppError(
    'checksum_mismatch',
    'The bytes that arrived do not have the declared SHA-256. None of them was kept; send them again.',
  );

/**
 * Takes the next bytes of an upload. They are acknowledged part by part as each is durable, so that a line that is cut loses
 * nothing of what arrived; with a checksum all at once, when it was found right. The last byte makes the recording; no
 * bytes after it change nothing. Rejects with `upload_locked`, `offset_mismatch`, `checksum_mismatch`, `too_large`, and as `finish` does.
 */
export const createAppendUpload = (deps: AppendUploadDeps) => {
  const acknowledge = async ({ row, token }: UploadClaim, from: number, to: number): Promise<void> => {
    const done =
      from === to || (await deps.uploads.advance(row.id, token, { from, to, expiresAt: deps.expiryOf(row) }));
    if (!done) throw uploadLocked();
  };

  const addParts = async (claim: UploadClaim, source: PartSource, checked: boolean): Promise<number> => {
    let at = claim.row.received;
    for (let part = await source.next(); part !== null; part = await source.next()) {
      if (at === claim.row.length) throw tooLong();
      const end = at + (await deps.parts.add(claim.row, at, part));
      if (!checked) await acknowledge(claim, at, end);
      at = end;
    }
    return at;
  };

  /** Where the upload is afterwards. */
  const receive = async (claim: UploadClaim, asked: AppendAsked): Promise<number> => {
    const { body, sha256 } = asked;
    const { row } = claim;
    const { length, received } = row;
    if (received !== asked.offset) throw otherOffset();
    if (asked.declaredBytes !== null && asked.declaredBytes > length - received) throw tooLong();
    await deps.assertRoom();
    await deps.parts.settle(row);
    const source = createPartSource(body(claim.interrupted), length - received);
    try {
      const end = await addParts(claim, source, sha256 !== null);
      const cut = source.cut();
      if (cut !== null) throw cut;
      if (sha256 === null) return end;
      if (!source.sha256().equals(sha256)) throw otherChecksum();
      await acknowledge(claim, received, end);
      return end;
    } catch (error) {
      // What was not acknowledged goes now, if it can; else before the next part comes.
      if (sha256 !== null) await deps.parts.settle(row).catch(() => undefined);
      throw error;
    } finally {
      source.close();
    }
  };

  const append = async (claim: UploadClaim, asked: AppendAsked): Promise<Appended> => {
    const { row } = claim;
    const { length } = row;
    const offset = await receive(claim, asked).catch(async (error: unknown) => {
      // A line that broke is no refusal, and what ingest refuses it tells itself.
      if (isAppError(error, 'too_large') || isAppError(error, 'storage_full'))
        await deps.recordUploadRefusal({ actor: asked.actor, request: asked.request, error });
      throw error;
    });
    // A recording already, to which nothing was added: told again what it has become.
    if (row.recordingId !== null)
      return { offset, length, expiresAt: row.expiresAt, recording: { id: row.recordingId } };
    const expiresAt = deps.expiryOf(row);
    if (offset < length) return { offset, length, expiresAt, recording: null };
    const recording = await deps.finish({ ...row, received: offset }, asked.request);
    return { offset, length, expiresAt, recording };
  };

  return async (asked: AppendAsked): Promise<Appended> => {
    const { id } = await deps.own(asked);
    const claim = await deps.claims.take(id);
    try {
      return await append(claim, asked);
    } finally {
      await claim.release();
    }
  };
};

export type AppendUpload = ReturnType<typeof createAppendUpload>;
