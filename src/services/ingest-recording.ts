import type { Receipt } from '../audit/receipt.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { deliveryFlags } from '../core/delivery-flags.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditEvent } from '../core/events.ts';
import { type Envelope, envelopeSha256 } from '../crypto/envelope.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import { type Ingested, type IngestRequest, ingested } from './ingest-request.ts';
import type { DecideIntake, IntakeRules } from './intake-rules.ts';
import { intentEvent } from './intent-event.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';
import { type IndexedFacts, indexFacts } from './recording-facts.ts';
import type { SealUpload } from './seal-upload.ts';
import type { SecondDelivery } from './second-delivery.ts';
import type { UploadIntent, UploadIntents } from './upload-intent.ts';
import { createUploadStream, type ReceivedAudio, type UploadStream } from './upload-stream.ts';

export type IngestDeps = {
  readonly decideIntake: DecideIntake;
  readonly intents: UploadIntents;
  readonly seal: SealUpload;
  readonly secondDelivery: SecondDelivery;
  readonly recordings: Pick<RecordingTable, 'store'>;
  readonly fields: Pick<FieldEncryption, 'blindIndexes'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly recordUploadRefusal: RecordUploadRefusal;
  readonly maxUploadBytes: number;
  readonly now: () => number;
};

const givenUp = (): AppError =>
  new AppError('request_timeout', 'The upload took too long and was given up. Send it again.');

/** An intent that has ended already was given up by the sweeper while this process slept. */
const appendOnce = async (audit: IngestDeps['audit'], event: AuditEvent): Promise<Receipt> => {
  try {
    return await audit.append(event);
  } catch (error) {
    if (isAppError(error, 'event_exists')) throw givenUp();
    throw error;
  }
};

/** An upload of which nothing is kept: no intent tells how it ended. */
const readOnly = async (
  upload: UploadStream,
  { actor, request }: IngestRequest,
  { recordUploadRefusal }: Pick<IngestDeps, 'recordUploadRefusal'>,
): Promise<ReceivedAudio> => {
  try {
    for await (const _chunk of upload.body);
    return upload.received();
  } catch (error) {
    await recordUploadRefusal({ actor, request, error, bytes: upload.bytesSoFar() });
    throw error;
  }
};

const judged = (
  received: ReceivedAudio,
  { metadata, isCut }: IngestRequest,
  rules: IntakeRules,
): ReceivedAudio => {
  const { flags } = received.facts;
  const cut = isCut?.() === true && !flags.includes('truncated');
  return {
    ...received,
    flags: [
      ...flags,
      ...(cut ? (['truncated'] as const) : []),
      ...deliveryFlags(metadata, received.facts, rules),
    ],
  };
};

const storedDetail = (envelope: Envelope, received: ReceivedAudio) => ({
  bytes: received.bytes,
  sealedSha256: Buffer.from(envelope.sealedSha256).toString('hex'),
  envelopeSha256: envelopeSha256(envelope),
  durationMs: received.facts.durationMs,
  flags: received.flags,
});

/**
 * Intent row → stream (count, hash, probe, seal, store) → sealed row → entry committed → stored row. Killed anywhere, the
 * intent's id tells from the log alone whether the recording counts; `settle` completes or removes it.
 */
export const createIngestRecording = (deps: IngestDeps) => {
  const receive = (asked: IngestRequest) =>
    createUploadStream(asked.body, { ...asked.limits, maxBytes: deps.maxUploadBytes });

  const record = async (
    intent: UploadIntent,
    envelope: Envelope,
    received: ReceivedAudio,
    asked: IngestRequest,
  ) => {
    const { seq } = await appendOnce(deps.audit, {
      ...intentEvent(intent, deps.now(), asked.request),
      action: 'recording.stored',
      outcome: 'success',
      detail: storedDetail(envelope, received),
    });
    await deps.recordings.store(intent.id, seq, new Date(deps.now()));
    return ingested(intent.id, received, true);
  };

  const ingestNew = async (
    asked: IngestRequest,
    intent: UploadIntent,
    rules: IntakeRules,
    indexed: IndexedFacts,
  ): Promise<Ingested> => {
    const upload = receive(asked);
    const failed = async (error: unknown): Promise<never> => {
      // What cannot be cleaned up now is the sweeper's; the client hears the first fault.
      await deps.intents.giveUp(intent, asked, upload.bytesSoFar(), error).catch(() => undefined);
      throw error;
    };
    const envelope = await deps.seal.object(intent, upload, asked).catch(failed);
    const received = judged(upload.received(), asked, rules);
    const sealed = await deps.seal.row(intent, envelope, received).catch(failed);
    if (sealed === 'gone') {
      await deps.intents.discard(intent).catch(() => undefined);
      throw givenUp();
    }
    if (sealed === 'sealed') return record(intent, envelope, received, asked);
    await deps.intents.giveUp(
      intent,
      asked,
      received.bytes,
      new AppError('conflict', 'delivered twice at once'),
    );
    return deps.secondDelivery.compare(await deps.secondDelivery.finished(asked, indexed), received, asked);
  };

  return async (asked: IngestRequest): Promise<Ingested> => {
    const rules = await deps.decideIntake(asked);
    const { recording, indexed } = await deps.secondDelivery.earlier(
      asked,
      await indexFacts(deps.fields, asked.actor.organisation, asked.metadata),
    );
    if (recording !== null)
      return deps.secondDelivery.compare(recording, await readOnly(receive(asked), asked, deps), asked);
    const intent = await deps.intents.announce(asked, rules, indexed).catch(async (error: unknown) => {
      if (isAppError(error, 'conflict'))
        await deps.recordUploadRefusal({ actor: asked.actor, request: asked.request, error });
      throw error;
    });
    const rest = deps.intents.keepAlive(intent);
    try {
      return await ingestNew(asked, intent, rules, indexed).finally(rest);
    } catch (error) {
      // Should the row still be there, the next delivery of the call or the sweeper need not wait for it.
      void deps.intents.letGo(intent);
      throw error;
    }
  };
};

export type IngestRecording = ReturnType<typeof createIngestRecording>;
