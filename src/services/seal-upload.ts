import type { OrganisationId } from '../core/ids.ts';
import { sealedBytes } from '../core/sealed-layout.ts';
import { type Envelope, encodeEnvelope } from '../crypto/envelope.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { KeyRing } from '../crypto/key-ring.ts';
import { type Sealing, sealObject } from '../crypto/sealed-object.ts';
import type { envelopeKeyOf, objectKeyOf } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RecordingTable } from '../storage/recording-table.ts';
import type { IngestRequest } from './ingest-request.ts';
import { envelopeColumns } from './recording-envelope.ts';
import { peaksPlace } from './recording-facts.ts';
import type { UploadIntent } from './upload-intent.ts';
import type { ReceivedAudio, UploadStream } from './upload-stream.ts';

export type SealUploadDeps = {
  readonly recordings: Pick<RecordingTable, 'seal'>;
  readonly objects: Pick<ObjectStore, 'put'>;
  readonly objectKeyOf: typeof objectKeyOf;
  readonly envelopeKeyOf: typeof envelopeKeyOf;
  readonly keyRing: Pick<KeyRing, 'newObjectKey' | 'verifyObjectKey'>;
  readonly fields: Pick<FieldEncryption, 'digestMacs' | 'sealField'>;
  readonly now: () => number;
};

async function* once<T>(value: T): AsyncGenerator<T, void, void> {
  yield value;
}

/** The body of a sealing that does something more at its very end, before the store is told that it has ended. */
async function* endingWith(body: Sealing['body'], atEnd: () => void): Sealing['body'] {
  for await (const chunk of body) yield chunk;
  atEnd();
}

/**
 * Writes the copy of the envelope beside the object, from the moment on at which it is known: while the store still makes
 * the object durable. `done` and `abandon` settle only when nothing writes any more, so that what is removed afterwards stays removed.
 */
const createEnvelopeCopy = ({ objects, envelopeKeyOf: keyOf }: SealUploadDeps, intent: UploadIntent) => {
  const stop = new AbortController();
  const writing: Promise<unknown>[] = [];
  return {
    begin(envelope: Envelope): void {
      const line = encodeEnvelope(envelope);
      const key = keyOf(intent.organisationId, intent.generation);
      const written = objects.put(key, once(line), { bytes: line.length, signal: stop.signal });
      // Awaited below; until then a failure must not count as unhandled.
      written.catch(() => undefined);
      writing.push(written);
    },
    async done(): Promise<void> {
      await Promise.all(writing);
    },
    async abandon(reason: unknown): Promise<void> {
      stop.abort(reason);
      await Promise.allSettled(writing);
    },
  };
};

/** Plaintext in, sealed object and sealed row out; nothing in between touches a disk. */
export const createSealUpload = (deps: SealUploadDeps) => ({
  /**
   * Seals in memory while storing; resolves when the object and the copy of its envelope are durable and its wrapped key has
   * been opened once. When it rejects, nothing is written any more; what was is for the caller to remove.
   */
  async object(
    intent: UploadIntent,
    upload: UploadStream,
    { limits: { declaredBytes }, sealed, signal }: Pick<IngestRequest, 'limits' | 'sealed' | 'signal'>,
  ) {
    const fresh =
      sealed ??
      (await deps.keyRing.newObjectKey({
        organisation: intent.organisationId as OrganisationId,
        recording: intent.id,
        generation: intent.generation,
      }));
    const sealing = sealObject(fresh, upload.body);
    const copy = createEnvelopeCopy(deps, intent);
    const body = endingWith(sealing.body, () => copy.begin(sealing.envelope()));
    const key = deps.objectKeyOf(intent.organisationId, intent.generation);
    try {
      await deps.objects.put(key, body, {
        signal,
        ...(declaredBytes === null ? {} : { bytes: sealedBytes(declaredBytes) }),
      });
      const envelope = sealing.envelope();
      await deps.keyRing.verifyObjectKey(envelope);
      await copy.done();
      return envelope;
    } catch (error) {
      await copy.abandon(error);
      throw error;
    } finally {
      // A store that refused before it took a chunk leaves both ends open: a generator never begun closes nothing.
      await sealing.body.return();
      await upload.body.return(undefined);
    }
  },

  /** Writes down what is durable now. `duplicate` and `gone` as in the table. */
  async row(
    intent: UploadIntent,
    envelope: Envelope,
    { facts, flags, peaks, soundPlace, sha256 }: ReceivedAudio,
  ) {
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
      flags: [...flags],
      peaksSealed: peaksSealed === null ? null : new Uint8Array(peaksSealed),
      soundPlace,
      digestMac: digest === undefined ? null : new Uint8Array(digest.mac),
    });
  },
});

export type SealUpload = ReturnType<typeof createSealUpload>;
