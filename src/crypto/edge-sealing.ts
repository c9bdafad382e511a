import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import {
  type EdgeFacts,
  type EdgeManifest,
  edgeFactsBytes,
  readEdgeFacts,
  signEdgeManifest,
} from './edge-manifest.ts';
import { type ObjectIdentity, objectAad, VAULT_FORMAT } from './envelope.ts';
import { hpkeOpen, hpkeSeal } from './hpke.ts';
import { integrityFailure } from './integrity.ts';
import { assertKeyCommitment, keyCommitment } from './key-commitment.ts';
import { labelled, labels } from './labels.ts';
import { openBox, sealBox } from './sealed-box.ts';
import { seal } from './sealed-stream.ts';
import { deriveKey, randomKey, secretKey, withKeyBytes } from './secret.ts';
import { randomHeader, saltOf, segmentCipher } from './segment-cipher.ts';

/**
 * Sealing beside the telephony system: the recording under a data key of its own, the data key to the organisation's public
 * key. What is left on the machine opens nothing that was sealed before.
 */

/** AAD of the object ‖ key commitment: what is sealed belongs to this object and no other. */
const edgeAad = (identity: ObjectIdentity, commitment: Uint8Array): Buffer =>
  Buffer.concat([objectAad(identity, VAULT_FORMAT.segmentBytes), commitment]);
const INFO = labelled(labels.edgeKey);
const NOTHING = Buffer.alloc(0);

/** One per data key, and so for one box: derived as the key of the object is, under a label of its own. */
const factsKey = (identity: ObjectIdentity, dek: KeyObject, header: Uint8Array): KeyObject =>
  deriveKey(dek, factsLabel(identity), saltOf(header));
const factsLabel = (identity: ObjectIdentity): Buffer =>
  labelled(labels.edgeFacts, objectAad(identity, VAULT_FORMAT.segmentBytes));

export type EdgeRecipient = {
  readonly keyVersion: number;
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
};

/** Whether anything can be sealed to these bytes: there are points that agree on a secret known to all. */
export const isEdgeRecipient = (publicKey: Uint8Array): boolean => {
  try {
    return hpkeSeal(publicKey, INFO, NOTHING, NOTHING).enc.length === publicKey.length;
  } catch {
    return false;
  }
};

export type EdgeRecording = EdgeFacts & {
  readonly plainBytes: number;
  readonly source: AsyncIterable<Uint8Array>;
};

export type EdgeSealed = {
  /** Signed; goes before the object. */
  readonly manifest: string;
  readonly object: AsyncGenerator<Buffer, void, void>;
};

/** Seals one recording for the organisation. `signingKey` is the source's Ed25519 private key. */
export const sealAtEdge = (
  identity: ObjectIdentity,
  { keyVersion, publicKey }: EdgeRecipient,
  { source, plainBytes, ...facts }: EdgeRecording,
  signingKey: KeyObject,
): EdgeSealed => {
  const dek = randomKey();
  const header = randomHeader();
  const aad = objectAad(identity, VAULT_FORMAT.segmentBytes);
  const commitment = keyCommitment(dek, header, aad);
  const { enc, ciphertext } = withKeyBytes(dek, (bytes) =>
    hpkeSeal(publicKey, INFO, edgeAad(identity, commitment), bytes),
  );
  const manifest = signEdgeManifest(
    {
      ...identity,
      keyVersion,
      enc,
      sealedDek: ciphertext,
      header,
      keyCommitment: commitment,
      plainBytes,
      sealedFacts: sealBox(factsKey(identity, dek, header), factsLabel(identity), edgeFactsBytes(facts)),
    },
    signingKey,
  );
  return { manifest, object: seal(segmentCipher({ dek, aad, header }), source) };
};

/** The data key of a manifest, proven to be the one it commits to. Throws `integrity_failure`. */
export const openEdgeKey = (manifest: EdgeManifest, privateKey: KeyObject): KeyObject => {
  const { enc, sealedDek, header, keyCommitment: commitment } = manifest;
  const message = { enc: Buffer.from(enc), ciphertext: Buffer.from(sealedDek) };
  const dek = secretKey(hpkeOpen(privateKey, INFO, edgeAad(manifest, commitment), message));
  assertKeyCommitment(dek, header, objectAad(manifest, VAULT_FORMAT.segmentBytes), commitment);
  return dek;
};

/**
 * What a source said of the recording, of a manifest whose data key {@link openEdgeKey} has proven. Throws
 * `integrity_failure`, and `invalid_request` as {@link readEdgeFacts} does.
 */
export const openEdgeFacts = (dek: KeyObject, manifest: EdgeManifest): EdgeFacts => {
  const key = factsKey(manifest, dek, manifest.header);
  const facts = openBox(key, factsLabel(manifest), manifest.sealedFacts);
  if (facts === null) throw integrityFailure('field');
  return readEdgeFacts(facts);
};

/** Ed25519 public keys as SubjectPublicKeyInfo up to the bytes of the key (RFC 8410). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
export const SIGNING_KEY_BYTES = 32;

export const signingKeyOf = (bytes: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' });

/** A source's private key from its file (PEM, PKCS #8), with the 32 bytes that the vault knows it by. */
export const readSigningKey = (pem: string): { readonly key: KeyObject; readonly publicBytes: Buffer } => {
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem))
    throw new AppError(
      'config_invalid',
      'The signing key is encrypted with a passphrase, and nobody is there to type it: take the passphrase off (openssl pkey -in FILE -out NEWFILE) and keep the new file to its owner.',
    );
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') {
      const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
      return { key, publicBytes: spki.subarray(SPKI.length) };
    }
  } catch {
    // What it says of the file may quote it.
  }
  throw new AppError(
    'config_invalid',
    'The signing key must be an Ed25519 private key in PEM: openssl genpkey -algorithm ed25519 -out FILE makes one.',
  );
};
