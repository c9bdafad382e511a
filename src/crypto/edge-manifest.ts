import { type KeyObject, sign, verify } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { type GenerationId, isUuid, type OrganisationId, type RecordingId } from '../core/ids.ts';
import { HEADER_BYTES, MAX_MANIFEST_BYTES } from '../core/sealed-layout.ts';
import type { ObjectIdentity } from './envelope.ts';
import { ENC_BYTES } from './hpke.ts';

/**
 * What a source that seals its recordings itself says of one (docs/file-format.md §11): a compact JWS (RFC 7515) with EdDSA.
 * The data key in it opens with the organisation's private key alone; base-mode HPKE names no sender, the signature does.
 */
export type EdgeManifest = ObjectIdentity & {
  /** Of the organisation's public key that the data key was sealed to. */
  readonly keyVersion: number;
  /** HPKE: encapsulated key (32 bytes), and the data key sealed (48 bytes). */
  readonly enc: Uint8Array;
  readonly sealedDek: Uint8Array;
  readonly header: Uint8Array;
  readonly keyCommitment: Uint8Array;
  readonly plainBytes: number;
  /** What tells of people and of the sound: an {@link EdgeFacts}, sealed under the data key. */
  readonly sealedFacts: Uint8Array;
};

export type EdgeFacts = {
  readonly plainSha256: Uint8Array;
  readonly mediaType: string | null;
  /** As a source sends it otherwise; read by core/metadata.ts. */
  readonly metadata: unknown;
};

/** Algorithm 1: docs/file-format.md §11. There is no other. */
const ALGORITHM = 1;
const HEAD = Buffer.from(JSON.stringify({ alg: 'EdDSA', typ: 'callvault-edge+jws' })).toString('base64url');
const DIGEST_BYTES = 32;
const SEALED_DEK_BYTES = 48;
const SIGNATURE_BYTES = 64;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

/** The manifest as it is sent. `key` is the source's Ed25519 private key. */
export const signEdgeManifest = (manifest: EdgeManifest, key: KeyObject): string => {
  const payload = Buffer.from(
    JSON.stringify({
      algorithm: ALGORITHM,
      organisation: manifest.organisation,
      recording: manifest.recording,
      generation: manifest.generation,
      keyVersion: manifest.keyVersion,
      enc: text(manifest.enc),
      sealedDek: text(manifest.sealedDek),
      header: text(manifest.header),
      keyCommitment: text(manifest.keyCommitment),
      plainBytes: manifest.plainBytes,
      sealedFacts: text(manifest.sealedFacts),
    }),
  ).toString('base64url');
  const signed = `${HEAD}.${payload}`;
  return `${signed}.${text(sign(null, Buffer.from(signed), key))}`;
};

const bad = (fault: string): AppError =>
  new AppError('invalid_request', `The manifest is not as documented: ${fault}.`);

const bytesOf = (line: Record<string, unknown>, name: string, length: number): Buffer => {
  const value = line[name];
  const bytes = Buffer.from(typeof value === 'string' ? value : '', 'base64url');
  if (bytes.length !== length || bytes.toString('base64url') !== value)
    throw bad(`${name} must be ${length} bytes in base64url`);
  return bytes;
};

const idOf = <Id extends string>(line: Record<string, unknown>, name: string): Id => {
  const value = line[name];
  if (typeof value !== 'string' || !isUuid(value)) throw bad(`${name} must be a UUID in lower case`);
  return value as Id;
};

const countOf = (line: Record<string, unknown>, name: string, least: number): number => {
  const value = line[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
    throw bad(`${name} must be a whole number from ${least}`);
  return value;
};

/** Of any length. */
const bytesFrom = (line: Record<string, unknown>, name: string): Buffer => {
  const value = line[name];
  const bytes = Buffer.from(typeof value === 'string' ? value : '', 'base64url');
  if (bytes.length === 0 || bytes.toString('base64url') !== value) throw bad(`${name} must be base64url`);
  return bytes;
};

const parsed = (json: Uint8Array): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Signed nonsense is nonsense.
  }
  throw bad('what it holds is not JSON in UTF-8');
};

/**
 * Reads a manifest, which is attacker-controlled until its signature has verified: nothing in it is looked at before. Throws
 * `invalid_request`, which never repeats a value, and `forbidden` for a signature that is not by this key.
 */
export const readEdgeManifest = (jws: string, key: KeyObject): EdgeManifest => {
  const [head, payload = '', signature = '', ...more] = jws.split('.');
  // One spelling of the head: no algorithm is ever chosen by whoever sends.
  if (head !== HEAD || more.length > 0 || jws.length > MAX_MANIFEST_BYTES)
    throw bad('it must be a compact JWS of EdDSA and type callvault-edge+jws');
  const bytes = Buffer.from(signature, 'base64url');
  const genuine =
    bytes.length === SIGNATURE_BYTES && verify(null, Buffer.from(`${head}.${payload}`), key, bytes);
  if (!genuine)
    throw new AppError('forbidden', 'The manifest is not signed by the key that this source is known by.');
  const line = parsed(Buffer.from(payload, 'base64url'));
  if (line.algorithm !== ALGORITHM) throw bad(`algorithm must be ${ALGORITHM}`);
  return {
    organisation: idOf<OrganisationId>(line, 'organisation'),
    recording: idOf<RecordingId>(line, 'recording'),
    generation: idOf<GenerationId>(line, 'generation'),
    keyVersion: countOf(line, 'keyVersion', 1),
    enc: bytesOf(line, 'enc', ENC_BYTES),
    sealedDek: bytesOf(line, 'sealedDek', SEALED_DEK_BYTES),
    header: bytesOf(line, 'header', HEADER_BYTES),
    keyCommitment: bytesOf(line, 'keyCommitment', DIGEST_BYTES),
    plainBytes: countOf(line, 'plainBytes', 0),
    sealedFacts: bytesFrom(line, 'sealedFacts'),
  };
};

/** The facts as they are sealed. */
export const edgeFactsBytes = ({ plainSha256, mediaType, metadata }: EdgeFacts): Buffer =>
  Buffer.from(JSON.stringify({ plainSha256: text(plainSha256), mediaType, metadata }));

/** Reads facts, opened. Throws `invalid_request`, which never repeats a value. */
export const readEdgeFacts = (bytes: Uint8Array): EdgeFacts => {
  const line = parsed(bytes);
  const { mediaType } = line;
  if (mediaType !== null && (typeof mediaType !== 'string' || mediaType.length > 255))
    throw bad('mediaType must be text of at most 255 characters, or null');
  return { plainSha256: bytesOf(line, 'plainSha256', DIGEST_BYTES), mediaType, metadata: line.metadata };
};
