import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import { type RecoveryKey, recoveryKeyOf } from '../crypto/recovery-key.ts';
import type { objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import { newEventId } from './new-event-id.ts';
import { envelopeOf } from './recording-envelope.ts';

export type OpenKeyDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly keyRing: Pick<KeyRing, 'openObjectKey'>;
  readonly objects: Pick<ObjectStore, 'locate'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
};

/** Everything another implementation needs (docs/file-format.md); `dek` and `keyset` are the secret and open it for ever. */
export type OpenedKey = RecoveryKey & { readonly object: string };

/** Disaster recovery for the operator with the key file. The entry comes first; without it no key. */
export const createOpenKey =
  (deps: OpenKeyDeps) =>
  async (recordingId: string): Promise<OpenedKey> => {
    const row = await deps.recordings.find(recordingId);
    if (row === null) throw new AppError('not_found', 'There is no recording with this id.');
    if (row.status === 'erased')
      throw new AppError('erased', 'This recording has been erased; its key is destroyed.');
    if (row.status !== 'stored') throw new AppError('not_found', 'There is no recording with this id.');
    const receipt = await deps.audit.append({
      id: newEventId(deps.now()),
      at: deps.now(),
      action: 'recording.key_opened',
      outcome: 'success',
      actor: { type: 'operator', id: null, role: null },
      organisation: row.organisationId,
      unit: row.unitId,
      recording: row.id,
      subject: row.subject,
      purpose: 'technical',
      session: null,
      request: null,
      detail: { reason: 'disaster_recovery' },
    });
    const envelope = envelopeOf(row);
    const key = await deps.keyRing.openObjectKey(envelope, receipt);
    return {
      ...recoveryKeyOf(envelope, key),
      object: deps.objects.locate(deps.objectKeyOf(row.organisationId, row.generation)),
    };
  };

export type OpenKey = ReturnType<typeof createOpenKey>;
