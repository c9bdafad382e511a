import type { AuditWriter } from '../audit/writer.ts';
import { decide, relationTo, type UserActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import type { RecordingId } from '../core/ids.ts';
import { hasUnseen, mayHoldNumber } from '../core/number-like.ts';
import { mayErase, type RetentionClass } from '../core/retention.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import type { AuditedChanges, Effect } from './audited-change.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import { type RemoveObjectDeps, removeObject } from './remove-object.ts';

export type Erasure = {
  readonly recording: string;
  readonly organisation: string;
  readonly generation: string;
};
export type ErasureChange = { 'recording.erase': Erasure };

export type EraseEffectDeps = RemoveObjectDeps & {
  readonly recordings: Pick<RecordingTable, 'claimErasure' | 'releaseErasure' | 'erase'>;
  readonly keyRing: Pick<KeyRing, 'evict'>;
  /** Drops what the playback service remembers. */
  readonly forget: (recordingId: string) => void;
  readonly now: () => number;
};

const held = (): AppError =>
  new AppError('held', 'A hold was placed on this recording: it must not be erased.');

/** Key first: once the wrapped key is gone the object is noise, whatever happens to it. */
export const createEraseEffect = (deps: EraseEffectDeps): Effect<Erasure> => ({
  async claim({ recording }) {
    const claim = await deps.recordings.claimErasure(recording);
    if (claim === 'held') throw held();
    if (claim === 'gone') throw new AppError('not_found', 'There is no such recording.');
  },
  async apply({ recording, organisation, generation }, { seq }) {
    // The entry says so: a claim that was undone while this process slept is made again, unless a hold came between.
    if ((await deps.recordings.claimErasure(recording)) === 'held') throw held();
    await deps.recordings.erase(recording, seq, new Date(deps.now()));
    deps.keyRing.evict(recording as RecordingId);
    deps.forget(recording);
    await removeObject(deps, organisation, generation);
  },
  async release({ recording }) {
    await deps.recordings.releaseErasure(recording);
  },
});

export type EraseRecordingDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly changes: Pick<AuditedChanges<ErasureChange>, 'perform'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
};

type Asked = {
  readonly actor: UserActor;
  readonly recordingId: string;
  /** IVO's decision, without which a journal document is not destroyed (PDL 8:4). */
  readonly decisionReference: string | null;
  readonly reason: string;
  readonly request: string;
};

/** Decide (hold, class, floor) → entry → key destroyed → object deleted → tombstone. Refusals are entries. */
export const createEraseRecording = (deps: EraseRecordingDeps) => {
  const base = ({ actor, request, recordingId }: Asked, row: RecordingRow | null) =>
    eventBase(actor, request, deps.now(), { recording: recordingId, row });

  const refuse = async (
    asked: Asked,
    row: RecordingRow | null,
    error: AppError,
    reason: string,
  ): Promise<never> => {
    await deps.audit.append({
      ...base(asked, row),
      action: 'recording.erase_denied',
      outcome: 'denied',
      detail: { reason },
    });
    throw error;
  };

  return async (asked: Asked): Promise<void> => {
    if (asked.decisionReference !== null && hasUnseen(asked.decisionReference))
      throw invalid('body/decisionReference', 'holds control or invisible characters: type it anew');
    if (asked.decisionReference !== null && mayHoldNumber(asked.decisionReference))
      throw invalid(
        'body/decisionReference',
        'may hold a number of a person; divide long numbers with a blank',
      );
    const found = await deps.recordings.find(asked.recordingId);
    const relation =
      found === null
        ? 'foreign'
        : relationTo(asked.actor, { organisation: found.organisationId, unit: found.unitId });
    if (found === null || decide(asked.actor.role, 'recording.erase', relation) !== 'allow')
      return refuse(asked, null, new AppError('not_found', 'There is no such recording.'), 'unknown');
    if (found.status === 'erased')
      return refuse(asked, found, new AppError('erased', 'This recording has been erased.'), 'erased');
    if (found.status !== 'stored')
      return refuse(asked, found, new AppError('not_found', 'There is no such recording.'), found.status);
    const verdict = mayErase({
      retentionClass: found.retentionClass as RetentionClass,
      holdCount: found.holdCount,
      eraseAfter: found.eraseAfter?.getTime() ?? null,
      now: deps.now(),
      decisionReference: asked.decisionReference,
    });
    if (!verdict.allowed)
      return refuse(asked, found, new AppError(verdict.code, verdict.reason), verdict.code);
    const event: AuditEvent = {
      ...base(asked, found),
      action: 'recording.erased',
      outcome: 'success',
      detail: { reason: asked.reason, decision: asked.decisionReference, tombstone: true },
    };
    const { id: recording, organisationId: organisation, generation } = found;
    const payload = { recording, organisation, generation };
    try {
      await deps.changes.perform(event, 'recording.erase', payload);
    } catch (error) {
      // Held, or taken by another erasure, between the decision and the claim.
      if (isAppError(error, 'held') || isAppError(error, 'not_found'))
        await refuse(asked, found, error, error.code === 'held' ? 'held' : 'gone');
      throw error;
    }
  };
};

export type EraseRecording = ReturnType<typeof createEraseRecording>;
