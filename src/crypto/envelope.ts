import { createHash } from 'node:crypto';
import { type GenerationId, isUuid, type OrganisationId, type RecordingId, uuidBytes } from '../core/ids.ts';
import { HEADER_BYTES, plainBytes, VAULT_SEGMENT_BYTES } from '../core/sealed-layout.ts';
import { integrityFailure } from './integrity.ts';
import { labelled, labels, uint32 } from './labels.ts';

/** Which object this is. A retried upload is another generation with another key. */
export type ObjectIdentity = {
  readonly organisation: OrganisationId;
  readonly recording: RecordingId;
  readonly generation: GenerationId;
};

/** A data key under a key-encryption key. `keyId` names the key material, `keyVersion` its place in the rotation. */
export type WrappedKey = {
  readonly provider: string;
  readonly keyId: string;
  readonly keyVersion: number;
  readonly blob: Uint8Array;
};

/** The only format there is; spread it when an envelope is built from a database row. */
export const VAULT_FORMAT = { format: 1, segmentBytes: VAULT_SEGMENT_BYTES } as const;

/** What is known about a sealed object besides its bytes, without the key. Safe to lie beside the object. */
export type SealFacts = ObjectIdentity & {
  readonly format: number;
  readonly segmentBytes: number;
  readonly plainBytes: number;
  readonly sealedBytes: number;
  /** SHA-256 of the object's bytes; 32 bytes. */
  readonly sealedSha256: Uint8Array;
  /** The object's first 40 bytes, pinned: 0x28 ‖ salt(32) ‖ nonce prefix(7). */
  readonly header: Uint8Array;
  /** Commitment to the data key; 32 bytes. */
  readonly keyCommitment: Uint8Array;
};

/** docs/file-format.md §4. */
export type Envelope = SealFacts & { readonly wrap: WrappedKey };

const ALGORITHM = 'tink-aes256gcm-hkdfsha256';
const DIGEST_BYTES = 32;
/** A canonical envelope has about 550 bytes; more is not ours. */
const MAX_ENCODED_BYTES = 1024;

/** AAD of the sealed object: binds its bytes to organisation, recording, generation and segment size. */
export const objectAad = (identity: ObjectIdentity, segmentBytes: number): Buffer =>
  labelled(
    labels.object,
    uuidBytes(identity.organisation),
    uuidBytes(identity.recording),
    uuidBytes(identity.generation),
    uint32(segmentBytes),
  );

const isIdentity = (facts: ObjectIdentity): boolean =>
  isUuid(facts.organisation) && isUuid(facts.recording) && isUuid(facts.generation);

/**
 * Throws `integrity_failure` unless the envelope is one the vault could have written. It comes from a database row or a
 * sidecar file and is attacker-controlled: nothing is computed from it before this.
 */
export const assertEnvelope = (facts: SealFacts): void => {
  const sound =
    facts.format === VAULT_FORMAT.format &&
    facts.segmentBytes === VAULT_FORMAT.segmentBytes &&
    isIdentity(facts) &&
    plainBytes(facts.sealedBytes) === facts.plainBytes &&
    facts.sealedSha256.length === DIGEST_BYTES &&
    facts.keyCommitment.length === DIGEST_BYTES &&
    facts.header.length === HEADER_BYTES &&
    facts.header[0] === HEADER_BYTES;
  if (!sound) throw integrityFailure('envelope');
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/**
 * The canonical bytes of the envelope without its wrapped key: one line of JSON with fixed names in fixed order. They are
 * the content of the copy beside the object, and their SHA-256 is what the access log keeps.
 */
export const encodeEnvelope = (facts: SealFacts): Buffer => {
  assertEnvelope(facts);
  const line = {
    format: facts.format,
    algorithm: ALGORITHM,
    segmentBytes: facts.segmentBytes,
    organisation: facts.organisation,
    recording: facts.recording,
    generation: facts.generation,
    plainBytes: facts.plainBytes,
    sealedBytes: facts.sealedBytes,
    sealedSha256: hex(facts.sealedSha256),
    header: hex(facts.header),
    keyCommitment: hex(facts.keyCommitment),
  };
  return Buffer.from(`${JSON.stringify(line)}\n`, 'latin1');
};

/** Lower-case hex, as the entry `recording.stored` says it. `sha256sum` over the copy beside the object gives the same. */
export const envelopeSha256 = (facts: SealFacts): string =>
  createHash('sha256').update(encodeEnvelope(facts)).digest('hex');

const bytesOf = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : '', 'hex');
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : -1);

const parseLine = (bytes: Uint8Array): Record<string, unknown> => {
  if (bytes.length > MAX_ENCODED_BYTES) throw integrityFailure('envelope');
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('latin1'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: not JSON is not an envelope.
  }
  throw integrityFailure('envelope');
};

/**
 * Reads what {@link encodeEnvelope} wrote. `bytes` is attacker-controlled; anything that would not be encoded to the very
 * same bytes again throws `integrity_failure`, so that two readings of one file cannot differ.
 */
export const decodeEnvelope = (bytes: Uint8Array): SealFacts => {
  const line = parseLine(bytes);
  const facts: SealFacts = {
    format: numberOf(line.format),
    segmentBytes: numberOf(line.segmentBytes),
    organisation: textOf(line.organisation) as OrganisationId,
    recording: textOf(line.recording) as RecordingId,
    generation: textOf(line.generation) as GenerationId,
    plainBytes: numberOf(line.plainBytes),
    sealedBytes: numberOf(line.sealedBytes),
    sealedSha256: bytesOf(line.sealedSha256),
    header: bytesOf(line.header),
    keyCommitment: bytesOf(line.keyCommitment),
  };
  if (!encodeEnvelope(facts).equals(bytes)) throw integrityFailure('envelope');
  return facts;
};
