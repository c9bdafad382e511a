import type { AuditWriter } from '../audit/writer.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import type { GenerationId, RecordingId } from '../core/ids.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import type { IngestRequest } from './ingest-request.ts';
import type { IntakeRules } from './intake-rules.ts';
import { intentEvent } from './intent-event.ts';
import { newEventId } from './new-event-id.ts';
import { encodeFacts, factsPlace, type IndexedFacts, personalFactsOf, subjectOf } from './recording-facts.ts';
import { type RemoveObjectDeps, removeObject } from './remove-object.ts';

export type UploadIntent = {
  readonly id: RecordingId;
  readonly generation: GenerationId;
  readonly intentId: string;
  readonly organisationId: string;
  readonly sourceId: string;
  readonly unitId: string | null;
  readonly subject: string | null;
};

export type UploadIntentDeps = RemoveObjectDeps & {
  readonly recordings: Pick<RecordingTable, 'insertIntent' | 'removeIntent' | 'touch'>;
  readonly fields: FieldEncryption;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
  readonly newId: () => string;
};

/** How often a flowing upload tells the sweeper that it is alive; the sweeper's grace is several of these. */
export const HEARTBEAT_MS = 10_000;

const announcer =
  ({ recordings, fields, newId, now }: UploadIntentDeps) =>
  async (asked: IngestRequest, rules: IntakeRules, indexed: IndexedFacts): Promise<UploadIntent> => {
    const { actor, metadata } = asked;
    const at = new Date(now());
    const id = asked.sealed?.recording ?? (newId() as RecordingId);
    const intent: UploadIntent = {
      id,
      generation: asked.sealed?.generation ?? (newId() as GenerationId),
      intentId: newEventId(at.getTime()),
      organisationId: actor.organisation,
      sourceId: actor.id,
      unitId: rules.unitId,
      subject: await subjectOf(fields, { organisation: actor.organisation, recording: id }, metadata),
    };
    const factsSealed = await fields.sealField(factsPlace(intent), encodeFacts(personalFactsOf(metadata)));
    const { unitId: _unit, hasCareUnit: _flagged, unitIsUnknown: _told, ...governed } = rules;
    await recordings.insertIntent({
      ...intent,
      ...governed,
      ...indexed.columns,
      factsSealed: new Uint8Array(factsSealed),
      createdAt: at,
      touchedAt: at,
      segment: metadata.segment,
      endedAt: metadata.endedAt === null ? null : new Date(metadata.endedAt),
      direction: metadata.direction,
      ...(metadata.channels === null ? {} : { channelParties: metadata.channels }),
      ...(metadata.pauses.length === 0 ? {} : { pauses: metadata.pauses.map((pause) => [...pause]) }),
    });
    return intent;
  };

/** What is told of an upload that came to nothing. */
const endOf = (
  intent: UploadIntent,
  at: number,
  asked: IngestRequest,
  bytes: number,
  error: unknown,
): AuditEvent => {
  const reason = error instanceof AppError ? error.code : asked.signal.aborted ? 'client_closed' : 'internal';
  const base = intentEvent(intent, at, asked.request);
  return reason === 'client_closed'
    ? { ...base, action: 'recording.abandoned', outcome: 'failed', detail: { reason: 'client' } }
    : { ...base, action: 'recording.refused', outcome: 'denied', detail: { reason, bytes } };
};

/** The life of an upload before it is a recording: announced first, so that nothing it leaves behind is ever unknown. */
export const createUploadIntents = (deps: UploadIntentDeps) => {
  const discard = ({ organisationId, generation }: UploadIntent): Promise<void> =>
    removeObject(deps, organisationId, generation);
  return {
    announce: announcer(deps),

    /** Keeps the sweeper away until the returned function is called. */
    keepAlive({ id }: UploadIntent): () => void {
      const heartbeat = setInterval(() => {
        // A missed beat only brings the sweeper nearer; the seal statement finds out.
        deps.recordings.touch(id, new Date(deps.now())).catch(() => undefined);
      }, HEARTBEAT_MS);
      return () => clearInterval(heartbeat);
    },

    /** Every intent ends with exactly one entry under its own id, also the one that came to nothing. */
    async giveUp(intent: UploadIntent, asked: IngestRequest, bytes: number, error: unknown): Promise<void> {
      try {
        await deps.audit.append(endOf(intent, deps.now(), asked, bytes, error));
      } catch (failure) {
        // The sweeper was first, and may have been before the object was there.
        if (!isAppError(failure, 'event_exists')) throw failure;
      }
      await discard(intent);
      await deps.recordings.removeIntent(intent.id);
    },

    /** Nobody works on this upload any more: whoever meets it may settle it, for the log knows how it ended. Never rejects. */
    async letGo({ id }: UploadIntent): Promise<void> {
      await deps.recordings.touch(id, new Date(0)).catch(() => undefined);
    },

    /** Removes the object and the copy of the envelope of an upload that the sweeper gave up while it was still being written. */
    discard,
  };
};

export type UploadIntents = ReturnType<typeof createUploadIntents>;
