import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import { type RecoveryKey, recoveryKeyOf } from '../crypto/recovery-key.ts';
import type { objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
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

/** Disaster recovery for the operator with the key file. The entry comes first; without it no key. Refusals are entries. */
export const createOpenKey = (deps: OpenKeyDeps) => {
  const base = (recording: string, row: RecordingRow | null) => {
    const at = deps.now();
    return {
      id: newEventId(at),
      at,
      actor: { type: 'operator', id: null, role: null },
      organisation: row?.organisationId ?? null,
      unit: row?.unitId ?? null,
      recording,
      subject: row?.subject ?? null,
      purpose: 'technical',
      session: null,
      request: null,
    } as const;
  };

  const find = async (id: string): Promise<RecordingRow> => {
    const row = await deps.recordings.find(id);
    if (row?.status === 'stored') return row;
    const isErased = row?.status === 'erased';
    await deps.audit.append({
      ...base(id, row),
      action: 'access.denied',
      outcome: 'denied',
      detail: { route: 'open-key', reason: isErased ? 'erased' : 'unknown' },
    });
    throw isErased
      ? new AppError('erased', 'This recording has been erased; its key is destroyed.')
      : new AppError('not_found', 'There is no recording with this id.');
  };

  return async (recordingId: string): Promise<OpenedKey> => {
    const row = await find(recordingId);
    const receipt = await deps.audit.append({
      ...base(row.id, row),
      action: 'recording.key_opened',
      outcome: 'success',
      detail: { reason: 'disaster_recovery' },
    });
    const envelope = envelopeOf(row);
    const key = await deps.keyRing.openObjectKey(envelope, receipt);
    return {
      ...recoveryKeyOf(envelope, key),
      object: deps.objects.locate(deps.objectKeyOf(row.organisationId, row.generation)),
    };
  };
};

export type OpenKey = ReturnType<typeof createOpenKey>;
