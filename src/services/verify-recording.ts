import { createHash } from 'node:crypto';
import type { AuditWriter } from '../audit/writer.ts';
import { decide, type SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { freeBuffer } from '../core/free-buffer.ts';
import type { ByteRange } from '../core/sealed-layout.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import type { SealedObject } from '../crypto/sealed-object.ts';
import type { objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import { eventBase } from './event-base.ts';
import type { RecordDenial } from './record-denial.ts';
import { envelopeOf } from './recording-envelope.ts';
import { openOrReport, type ReportDamage } from './report-damage.ts';

export type VerifyRecordingDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly objects: Pick<ObjectStore, 'get'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly keyRing: Pick<KeyRing, 'openObject'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly recordDenial: RecordDenial;
  readonly reportDamage: ReportDamage;
  readonly now: () => number;
};

type Asked = {
  readonly actor: SourceActor;
  readonly recordingId: string;
  readonly request: string;
  readonly signal: AbortSignal;
};

/** What lies in the store now, not what was once received. */
export type Verified = { readonly id: string; readonly sha256: string; readonly bytes: number };

type Read = (sealed: ByteRange) => ReturnType<ObjectStore['get']>;

/** SHA-256 of the message: a segment at a time, each verified before it counts, none kept. */
const digestOf = async (object: SealedObject, read: Read, signal: AbortSignal): Promise<string> => {
  const hash = createHash('sha256');
  const whole = { start: 0, end: object.plainBytes };
  for await (const chunk of await object.readRange(whole, read)) {
    signal.throwIfAborted();
    hash.update(chunk);
    freeBuffer(chunk);
  }
  return hash.digest('hex');
};

/**
 * Reads back what a source delivered, for that source and nobody else: it may only write, so it is told the SHA-256 of what
 * lies in the store, opened with the key, and never a byte of it. The entry is committed before the key is opened. Rejects
 * with `not_found` for what this source did not deliver, `erased`, and `integrity_failure` for what does not open.
 */
export const createVerifyRecording = (deps: VerifyRecordingDeps) => {
  const refuse = async (asked: Asked, reason: string, error: AppError): Promise<never> => {
    const { actor, request, recordingId } = asked;
    const route = '/v1/recordings/:id/verification';
    await deps.recordDenial({ actor, request, route, reason, recording: recordingId });
    throw error;
  };

  const find = async (asked: Asked): Promise<RecordingRow> => {
    const row = await deps.recordings.find(asked.recordingId);
    const relation = row !== null && row.sourceId === asked.actor.id ? 'self' : 'foreign';
    const allowed = decide(asked.actor.role, 'recording.verify', relation) === 'allow';
    if (row !== null && allowed && row.status === 'stored') return row;
    if (row !== null && allowed && row.status === 'erased')
      return refuse(asked, 'erased', new AppError('erased', 'This recording has been erased.'));
    return refuse(asked, 'unknown', new AppError('not_found', 'There is no such recording.'));
  };

  return async (asked: Asked): Promise<Verified> => {
    const { actor, request, signal } = asked;
    const row = await find(asked);
    const receipt = await deps.audit.append({
      ...eventBase(actor, request, deps.now(), { recording: row.id, row }),
      action: 'recording.verified',
      outcome: 'success',
      detail: {},
    });
    return openOrReport(deps.reportDamage, row, async () => {
      const object = await deps.keyRing.openObject(envelopeOf(row), receipt);
      const key = deps.objectKeyOf(row.organisationId, row.generation);
      const read: Read = (sealed) => deps.objects.get(key, { ...sealed, signal });
      return { id: row.id, sha256: await digestOf(object, read, signal), bytes: object.plainBytes };
    });
  };
};

export type VerifyRecording = ReturnType<typeof createVerifyRecording>;
