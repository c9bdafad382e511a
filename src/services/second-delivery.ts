import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import { type Ingested, type IngestRequest, ingested } from './ingest-request.ts';
import { intentEvent } from './intent-event.ts';
import { newEventId } from './new-event-id.ts';
import { createOtherCall } from './other-call.ts';
import type { IndexedFacts } from './recording-facts.ts';
import type { SettleIntent } from './settle-intent.ts';
import { HEARTBEAT_MS } from './upload-intent.ts';
import type { ReceivedAudio } from './upload-stream.ts';

/** What is known of a delivery before its body is. */
type Delivery = Pick<IngestRequest, 'actor' | 'metadata' | 'request'>;

export type SecondDeliveryDeps = {
  readonly recordings: Pick<RecordingTable, 'find' | 'findByDelivery'>;
  readonly fields: Pick<FieldEncryption, 'digestMacs' | 'blindIndexes'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly settle: SettleIntent;
  readonly now: () => number;
};

/**
 * Telephony systems deliver at least once. The same content again is a success; other content under the same call is refused,
 * and so is, whatever its content, a call that was erased (docs/decisions/0009).
 */
export const createSecondDelivery = (deps: SecondDeliveryDeps) => {
  const { isOther, apart } = createOtherCall(deps);
  const find = (asked: Delivery, { deliveries }: IndexedFacts) =>
    deps.recordings.findByDelivery(asked.actor.id, deliveries, asked.metadata.segment);

  /** The entry of a delivery that is not taken; under an id of its own, for the recording's own end was told long ago. */
  const refuse = async (row: RecordingRow, asked: Delivery, detail: { reason: string; bytes: number }) =>
    deps.audit.append({
      ...intentEvent({ ...row, intentId: newEventId(deps.now()) }, deps.now(), asked.request),
      action: 'recording.refused',
      outcome: 'denied',
      detail,
    });

  /** Told before a byte is read: nothing that comes could change the answer. */
  const assertNotErased = async (row: RecordingRow | null, asked: Delivery, bytes = 0): Promise<void> => {
    if (row?.status !== 'erased') return;
    await refuse(row, asked, { reason: 'erased', bytes });
    throw new AppError(
      'erased',
      'This call and segment was recorded and has been erased. It is not taken again.',
    );
  };

  /** The finished recording of this call; one that is still on its way makes the source come back later. */
  const finished = async (asked: Delivery, indexed: IndexedFacts): Promise<RecordingRow> => {
    const row = await find(asked, indexed);
    // Next time it is found before it begins, and kept apart.
    const isAnothers = row !== null && (await isOther(row, asked, indexed));
    if (!isAnothers) await assertNotErased(row, asked);
    if (!isAnothers && row?.status === 'stored') return row;
    throw new AppError('in_progress', 'the same call is being stored by another upload', { retryAfter: 5 });
  };

  /** The recording that was made of a delivery, once it is settled; or null. */
  const settled = async (
    row: RecordingRow | null,
    asked: Delivery,
    indexed: IndexedFacts,
  ): Promise<RecordingRow | null> => {
    if (row === null || row.status === 'stored') return row;
    await assertNotErased(row, asked);
    const idle = deps.now() - row.touchedAt.getTime() > 3 * HEARTBEAT_MS;
    if (row.status === 'sealed' && idle) await deps.settle(row);
    return (await find(asked, indexed)) === null ? null : finished(asked, indexed);
  };

  return {
    finished,

    /**
     * The recording already made of this call and segment, or null, and what the delivery is known by. An upload that died
     * half-way is settled first. Throws `erased`, once the refusal is in the log, for a call whose recording was erased.
     */
    async earlier(
      asked: Delivery,
      indexed: IndexedFacts,
    ): Promise<{ readonly recording: RecordingRow | null; readonly indexed: IndexedFacts }> {
      const row = await find(asked, indexed);
      if (row === null || !(await isOther(row, asked, indexed)))
        return { recording: await settled(row, asked, indexed), indexed };
      const own = await apart(asked, indexed);
      return { recording: await settled(await find(asked, own), asked, own), indexed: own };
    },

    /** 200 for the same content; `conflict`, with an entry, for other content; `erased` as above. */
    async compare(row: RecordingRow, received: ReceivedAudio, asked: Delivery): Promise<Ingested> {
      // A body takes its time, and the recording may be gone by its end.
      await assertNotErased(await deps.recordings.find(row.id), asked, received.bytes);
      const macs = await deps.fields.digestMacs(asked.actor.organisation, received.sha256);
      const { digestMac } = row;
      if (digestMac !== null && macs.some(({ mac }) => mac.equals(digestMac)))
        return { ...ingested(row.id, received, false), flags: row.flags };
      await refuse(row, asked, { reason: 'conflict', bytes: received.bytes });
      throw new AppError(
        'conflict',
        'This source has already delivered this call and segment with other content. Use another segment number.',
      );
    },
  };
};

export type SecondDelivery = ReturnType<typeof createSecondDelivery>;
