import type { OrganisationId } from '../core/ids.ts';
import { sealedBytes } from '../core/sealed-layout.ts';
import type { Envelope } from '../crypto/envelope.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import { sealObject } from '../crypto/sealed-object.ts';
import type { objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import { envelopeColumns } from './recording-envelope.ts';
import { peaksPlace } from './recording-facts.ts';
import type { UploadIntent } from './upload-intent.ts';
import type { ReceivedAudio, UploadStream } from './upload-stream.ts';

export type SealUploadDeps = {
  readonly recordings: Pick<RecordingTable, 'seal'>;
  readonly objects: Pick<ObjectStore, 'put'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly keyRing: Pick<KeyRing, 'newObjectKey' | 'verifyObjectKey'>;
  readonly fields: Pick<FieldEncryption, 'digestMacs' | 'sealField'>;
  readonly now: () => number;
};

/** Plaintext in, sealed object and sealed row out; nothing in between touches a disk. */
export const createSealUpload = (deps: SealUploadDeps) => ({
  /** Seals in memory while storing; resolves when the object is durable and its wrapped key has been opened once. */
  async object(
    intent: UploadIntent,
    upload: UploadStream,
    declaredBytes: number | null,
    signal: AbortSignal,
  ) {
    const fresh = await deps.keyRing.newObjectKey({
      organisation: intent.organisationId as OrganisationId,
      recording: intent.id,
      generation: intent.generation,
    });
    const sealing = sealObject(fresh, upload.body);
    const key = deps.objectKeyOf(intent.organisationId, intent.generation);
    try {
      await deps.objects.put(key, sealing.body, {
        signal,
        ...(declaredBytes === null ? {} : { bytes: sealedBytes(declaredBytes) }),
      });
    } finally {
      // A store that refused before it took a chunk leaves both ends open: a generator never begun closes nothing.
      await sealing.body.return();
      await upload.body.return(undefined);
    }
    const envelope = sealing.envelope();
    await deps.keyRing.verifyObjectKey(envelope);
    return envelope;
  },

  /** Writes down what is durable now. `duplicate` and `gone` as in the table. */
  async row(intent: UploadIntent, envelope: Envelope, { facts, peaks, sha256 }: ReceivedAudio) {
    const [digest] = await deps.fields.digestMacs(envelope.organisation, sha256);
    const peaksSealed = peaks === null ? null : await deps.fields.sealField(peaksPlace(intent), peaks);
    return deps.recordings.seal(intent.id, new Date(deps.now()), {
      ...envelopeColumns(envelope),
      mediaType: facts.mediaType,
      codec: facts.codec,
      sampleRate: facts.sampleRate,
      channels: facts.channels,
      declaredDurationMs: facts.declaredDurationMs,
      durationMs: facts.durationMs,
      flags: [...facts.flags],
      peaksSealed: peaksSealed === null ? null : new Uint8Array(peaksSealed),
      digestMac: digest === undefined ? null : new Uint8Array(digest.mac),
    });
  },
});

export type SealUpload = ReturnType<typeof createSealUpload>;
