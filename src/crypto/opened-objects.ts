import { LRUCache } from 'lru-cache';
import type { RecordingId } from '../core/ids.ts';
import type { Envelope } from './envelope.ts';
import type { SealedObject } from './sealed-object.ts';

const OPENED_MAX = 1000;
const OPENED_TTL_MS = 5 * 60_000;

/**
 * Objects opened lately, each bound to the whole envelope it was opened with: another envelope for the same recording
 * is another object, and goes through every check again. Grants nothing; the key ring asks for a receipt before it looks.
 */
export type OpenedObjects = {
  readonly get: (envelope: Envelope, open: () => Promise<SealedObject>) => Promise<SealedObject>;
  /** Forgets one recording, or all. What is being opened at this moment is not kept either. */
  readonly forget: (recording?: RecordingId) => void;
  /** Lets go of what is past its time and that nobody has asked for since. */
  readonly expire: () => void;
};

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Public values all of them, so the comparison need not be constant in time. */
const sameEnvelope = (a: Envelope, b: Envelope): boolean =>
  a.format === b.format &&
  a.segmentBytes === b.segmentBytes &&
  a.organisation === b.organisation &&
  a.recording === b.recording &&
  a.generation === b.generation &&
  a.plainBytes === b.plainBytes &&
  a.sealedBytes === b.sealedBytes &&
  a.wrap.provider === b.wrap.provider &&
  a.wrap.keyId === b.wrap.keyId &&
  a.wrap.keyVersion === b.wrap.keyVersion &&
  sameBytes(a.wrap.blob, b.wrap.blob) &&
  sameBytes(a.header, b.header) &&
  sameBytes(a.keyCommitment, b.keyCommitment) &&
  sameBytes(a.sealedSha256, b.sealedSha256);

/** Bytes of its own: the caller's may lie in a buffer that is used for something else next. */
const copyOf = (envelope: Envelope): Envelope => ({
  ...envelope,
  sealedSha256: Uint8Array.from(envelope.sealedSha256),
  header: Uint8Array.from(envelope.header),
  keyCommitment: Uint8Array.from(envelope.keyCommitment),
  wrap: { ...envelope.wrap, blob: Uint8Array.from(envelope.wrap.blob) },
});

export const createOpenedObjects = ({ now }: { readonly now: () => number }): OpenedObjects => {
  const opened = new LRUCache<RecordingId, { readonly envelope: Envelope; readonly object: SealedObject }>({
    max: OPENED_MAX,
    ttl: OPENED_TTL_MS,
    ttlResolution: 0,
    perf: { now },
  });
  // Counts what was forgotten, so that an opening which began before an erasure does not bring the recording back after it.
  let forgotten = 0;
  return {
    get: async (envelope, open) => {
      const known = opened.get(envelope.recording);
      if (known !== undefined && sameEnvelope(known.envelope, envelope)) return known.object;
      const before = forgotten;
      const object = await open();
      if (forgotten === before) opened.set(envelope.recording, { envelope: copyOf(envelope), object });
      return object;
    },
    forget: (recording) => {
      forgotten += 1;
      if (recording === undefined) opened.clear();
      else opened.delete(recording);
    },
    expire: () => {
      opened.purgeStale();
    },
  };
};
