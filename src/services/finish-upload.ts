import type { SourceActor } from '../core/access.ts';
import { type ErrorCode, isAppError } from '../core/errors.ts';
import type { OrganisationId, SourceId } from '../core/ids.ts';
import { parseMetadata } from '../core/metadata.ts';
import type { UploadFacts } from '../core/upload-metadata.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import type { UploadSealing } from '../crypto/upload-sealing.ts';
import type { ResumableUploadTable, UploadRow } from '../storage/resumable-upload-table.ts';
import type { IngestRecording } from './ingest-recording.ts';
import type { Ingested } from './ingest-request.ts';
import type { UploadParts } from './upload-parts.ts';

export type FinishUploadDeps = {
  readonly uploads: Pick<ResumableUploadTable, 'finish' | 'remove'>;
  readonly parts: UploadParts;
  readonly uploadSealing: Pick<UploadSealing, 'openFacts'>;
  readonly ingestRecording: IngestRecording;
  readonly expiryOf: (row: Pick<UploadRow, 'createdAt'>) => Date;
  readonly now: () => number;
};

/** What would be answered the same to the same bytes however often they came: the upload ends, and its source is told why. */
const final: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'refused_content',
  'conflict',
  'erased',
  'forbidden',
  'not_acceptable_metadata',
  'invalid_request',
  'too_large',
  // Of a part that was damaged here; the source has the recording still, and begins anew.
  'integrity_failure',
]);

const encoding = 'utf8';
export const encodeUploadFacts = (facts: UploadFacts): Buffer => Buffer.from(JSON.stringify(facts), encoding);
/** The bytes were sealed by us and have just verified, so their form is ours. */
const decode = (bytes: Buffer): UploadFacts => JSON.parse(bytes.toString(encoding)) as UploadFacts;

export const sourceActorOf = ({ sourceId, organisationId }: UploadRow): SourceActor => ({
  type: 'source',
  id: sourceId as SourceId,
  role: 'source',
  organisation: organisationId as OrganisationId,
  session: null,
});

/**
 * Makes a recording of an upload that has all its bytes; for whoever holds its claim. The parts are opened in memory, in order,
 * and delivered like any other body. Killed at any moment and repeated, it finds the recording that it made: the same call and
 * content again is the same recording. Rejects as ingest does; after a refusal that is final, nothing is left of the upload.
 */
export const createFinishUpload = (deps: FinishUploadDeps) => {
  const deliver = async (row: UploadRow, request: string): Promise<Ingested> => {
    if (row.factsSealed === null) throw integrityFailure('field');
    const identity = { organisation: row.organisationId as OrganisationId, upload: row.id };
    const facts = decode(await deps.uploadSealing.openFacts(identity, row.factsSealed));
    return deps.ingestRecording({
      actor: sourceActorOf(row),
      metadata: parseMetadata(facts.fields, deps.now()),
      body: deps.parts.open(row),
      limits: { declaredBytes: row.length, declaredSha256: null, declaredMediaType: facts.mediaType },
      request,
      // All of it is here: whether its client still is does not matter.
      signal: new AbortController().signal,
    });
  };

  return async (row: UploadRow, request: string): Promise<Ingested> => {
    const result = await deliver(row, request).catch(async (error: unknown) => {
      if (isAppError(error) && final.has(error.code)) {
        await deps.parts.removeAll(row);
        await deps.uploads.remove(row.id);
      }
      throw error;
    });
    await deps.uploads.finish(row.id, result.id, deps.expiryOf(row));
    // The recording is there; what cannot be removed now is the sweeper's.
    await deps.parts.removeAll(row).catch(() => undefined);
    return result;
  };
};

export type FinishUpload = ReturnType<typeof createFinishUpload>;
