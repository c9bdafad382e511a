import type { AuditWriter } from '../audit/writer.ts';
import type { SourceActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { Actor } from '../core/events.ts';
import { parseMetadata } from '../core/metadata.ts';
import type { UploadFacts } from '../core/upload-metadata.ts';
import type { UploadSealing } from '../crypto/upload-sealing.ts';
import type { ResumableUploadTable, StaleUpload, UploadRow } from '../storage/resumable-upload-table.ts';
import { type Appended, createAppendUpload } from './append-upload.ts';
import { eventBase } from './event-base.ts';
import { createFinishUpload, encodeUploadFacts, sourceActorOf } from './finish-upload.ts';
import type { IngestRecording } from './ingest-recording.ts';
import type { DecideIntake } from './intake-rules.ts';
import { createOwnUpload, type OwnUpload } from './own-upload.ts';
import type { RecordDenial } from './record-denial.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';
import { createUploadClaims, type UploadClaims, uploadLocked } from './upload-claims.ts';
import { createUploadParts, type UploadParts, type UploadPartsDeps } from './upload-parts.ts';

export type ResumableUploadDeps = Omit<UploadPartsDeps, 'uploads'> & {
  readonly uploads: ResumableUploadTable;
  readonly uploadSealing: UploadSealing;
  readonly ingestRecording: IngestRecording;
  readonly decideIntake: DecideIntake;
  readonly assertRoom: () => Promise<void>;
  readonly recordDenial: RecordDenial;
  readonly recordUploadRefusal: RecordUploadRefusal;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
};

/** Since something last came, and since it was begun. */
const KEPT_MS = 24 * 60 * 60_000;
const LONGEST_MS = 7 * KEPT_MS;
/** Of one source, at once. */
const MOST_OPEN = 100;

type Asked = { readonly actor: SourceActor; readonly uploadId: string; readonly request: string };

/** Everything below shares these. */
type Shared = ResumableUploadDeps & {
  readonly own: OwnUpload;
  readonly claims: UploadClaims;
  readonly parts: UploadParts;
  readonly finish: ReturnType<typeof createFinishUpload>;
  readonly expiryOf: (row: Pick<UploadRow, 'createdAt'>) => Date;
};

const appended = (row: UploadRow, over: Partial<Appended> = {}): Appended => ({
  offset: row.received,
  length: row.length,
  expiresAt: row.expiresAt,
  recording: row.recordingId === null ? null : { id: row.recordingId },
  ...over,
});

const isWhole = (row: UploadRow): boolean => row.received === row.length && row.recordingId === null;

type Begun = {
  readonly actor: SourceActor;
  readonly length: number;
  readonly facts: UploadFacts;
  readonly request: string;
};

const createBegin =
  (deps: Shared) =>
  /** Judged like a delivery, before a byte is taken. Rejects as intake does, and with `rate_limited` at too many. */
  async ({ actor, length, facts, request }: Begun): Promise<Appended & { readonly id: string }> => {
    await deps.decideIntake({ actor, metadata: parseMetadata(facts.fields, deps.now()), request });
    const createdAt = new Date(deps.now());
    const id = deps.newId();
    const identity = { organisation: actor.organisation, upload: id };
    const row: UploadRow = {
      id,
      organisationId: actor.organisation,
      sourceId: actor.id,
      length,
      received: 0,
      factsSealed: await deps.uploadSealing.sealFacts(identity, encodeUploadFacts(facts)),
      recordingId: null,
      createdAt,
      expiresAt: deps.expiryOf({ createdAt }),
      claimedUntil: null,
    };
    if (!(await deps.uploads.open({ ...row, factsSealed: row.factsSealed as Buffer }, MOST_OPEN)))
      throw new AppError(
        'rate_limited',
        `This source has ${MOST_OPEN} unfinished uploads: finish some, or end them with DELETE.`,
        { retryAfter: 60 },
      );
    return { id, ...(length > 0 ? appended(row) : await finishClaimed(deps, row.id, request)) };
  };

/** Makes the recording of a whole upload, unless somebody has by now. */
const finishClaimed = async ({ claims, finish }: Shared, id: string, request: string): Promise<Appended> => {
  const claim = await claims.take(id);
  try {
    if (!isWhole(claim.row)) return appended(claim.row);
    const recording = await finish(claim.row, request);
    return appended(claim.row, { recording });
  } finally {
    await claim.release();
  }
};

const createTell =
  (deps: Shared) =>
  /**
   * Where the upload is. Whoever still reads for it is made to stop first. Of one that has all its bytes the offset is told
   * when it is a recording, and never before: `upload_locked` while the vault cannot make it one.
   */
  async (asked: Asked): Promise<Appended> => {
    const { id } = await deps.own(asked);
    await deps.claims.interrupt(id);
    const row = await deps.own(asked);
    if (row.recordingId === null && (row.claimedUntil?.getTime() ?? 0) > deps.now()) throw uploadLocked();
    if (!isWhole(row)) return appended(row);
    return finishClaimed(deps, id, asked.request).catch(async (error: unknown) => {
      const gone = (await deps.uploads.find(id)) === null;
      throw gone ? error : uploadLocked('The recording is complete, but cannot be stored right now.');
    });
  };

/** Told once, under the upload's own id, and only of what came to nothing. */
const recordEnd = async (
  { audit, now }: Shared,
  row: UploadRow,
  { reason, request }: { readonly reason: 'client' | 'sweeper'; readonly request: string | null },
): Promise<void> => {
  const system: Actor = { type: 'system', id: null, role: null };
  try {
    await audit.append({
      ...eventBase(sourceActorOf(row), request ?? '', now()),
      ...(reason === 'sweeper' ? { actor: system } : {}),
      id: row.id,
      request,
      action: 'recording.abandoned',
      outcome: 'failed',
      detail: { reason },
    });
  } catch (error) {
    if (!isAppError(error, 'event_exists')) throw error;
  }
};

const end = async (
  deps: Shared,
  row: UploadRow,
  why: { readonly reason: 'client' | 'sweeper'; readonly request: string | null },
): Promise<void> => {
  if (row.recordingId === null) await recordEnd(deps, row, why);
  await deps.parts.removeAll(row);
  await deps.uploads.remove(row.id);
};

const createTerminate =
  (deps: Shared) =>
  /** Ends an upload, with an entry, and removes its parts. A recording that it has become stays. */
  async (asked: Asked): Promise<void> => {
    const { id } = await deps.own(asked);
    await deps.claims.interrupt(id);
    const claim = await deps.claims.take(id);
    try {
      await end(deps, claim.row, { reason: 'client', request: asked.request });
    } finally {
      await claim.release();
    }
  };

const createSweepUploads = (deps: Shared) => {
  const settle = async ({ id, welcome }: StaleUpload): Promise<void> => {
    const claim = await deps.claims.take(id);
    try {
      const { row } = claim;
      // What its source was told is here becomes a recording, however late; a fault of ours is tried again.
      if (isWhole(row) && welcome) await deps.finish(row, deps.newId());
      else if (row.expiresAt.getTime() <= deps.now())
        await end(deps, row, { reason: 'sweeper', request: null });
      else if (row.recordingId !== null) await deps.parts.removeAll(row);
    } finally {
      await claim.release();
    }
  };

  /**
   * Completes uploads whose last bytes were acknowledged to nobody, and removes what is past its time. With no grace, which
   * is for the only process at its start, whatever somebody had claimed is free again.
   */
  return async (graceMs: number): Promise<void> => {
    if (graceMs === 0) await deps.uploads.releaseAll();
    // One that cannot be settled now stands in the way of no other: it is met again in the next round.
    for (const row of await deps.uploads.stale(new Date(deps.now())))
      await settle(row).catch(() => undefined);
  };
};

/** Recordings that come in parts, over lines on which no whole one gets through (docs/uploads.md, decision 0023). */
export const createResumableUploads = (deps: ResumableUploadDeps) => {
  const expiryOf = ({ createdAt }: Pick<UploadRow, 'createdAt'>): Date =>
    new Date(Math.min(deps.now() + KEPT_MS, createdAt.getTime() + LONGEST_MS));
  const parts = createUploadParts(deps);
  const own = createOwnUpload(deps);
  const claims = createUploadClaims(deps);
  const shared: Shared = {
    ...deps,
    own,
    claims,
    parts,
    expiryOf,
    finish: createFinishUpload({ ...deps, parts, expiryOf }),
  };
  return {
    begin: createBegin(shared),
    tell: createTell(shared),
    append: createAppendUpload(shared),
    terminate: createTerminate(shared),
    sweep: createSweepUploads(shared),
  };
};

export type ResumableUploads = ReturnType<typeof createResumableUploads>;
