import type { KeyObject } from 'node:crypto';
import { uuidBytes } from '../core/ids.ts';
import { type ObjectIdentity, objectAad, type SealFacts, VAULT_FORMAT, type WrappedKey } from './envelope.ts';
import { integrityFailure } from './integrity.ts';
import { assertKeyCommitment } from './key-commitment.ts';
import { type StoredKey, wrongKey } from './key-store.ts';
import { labelled, labels } from './labels.ts';
import { BOX_OVERHEAD, openBox, sealBox } from './sealed-box.ts';
import { deriveKey, KEY_BYTES, secretKey, withKeyBytes } from './secret.ts';

/** The data key of an object under the wrap key of its recording (docs/file-format.md §5.4). Blob: 0x01 ‖ sealed box. */
const PROVIDER = 'keyring';
const VERSION = Buffer.from([1]);
const BLOB_BYTES = VERSION.length + BOX_OVERHEAD + KEY_BYTES;

/** One per recording, so that no wrap key ever seals more than a handful of data keys. */
const wrapKeyOf = (kek: KeyObject, { organisation, recording }: ObjectIdentity): KeyObject =>
  deriveKey(kek, labelled(labels.wrapKey, uuidBytes(organisation), uuidBytes(recording)));

const wrapAad = (identity: ObjectIdentity, keyCommitment: Uint8Array): Buffer =>
  labelled(
    labels.dataKey,
    uuidBytes(identity.organisation),
    uuidBytes(identity.recording),
    uuidBytes(identity.generation),
    keyCommitment,
  );

export const wrapDataKey = (
  kek: StoredKey,
  identity: ObjectIdentity,
  keyCommitment: Uint8Array,
  dek: KeyObject,
): WrappedKey => {
  const wrapKey = wrapKeyOf(kek.key, identity);
  const aad = wrapAad(identity, keyCommitment);
  const blob = withKeyBytes(dek, (bytes) => sealBox(wrapKey, aad, bytes, VERSION));
  return { provider: PROVIDER, keyId: kek.keyId, keyVersion: kek.version, blob };
};

/**
 * The data key, proven to be the one the object was sealed with. `wrap` comes from the database and is attacker-controlled.
 * Throws `wrong_key` when it was made by another provider or with other key material than `kek`, `integrity_failure` when
 * it was damaged, made for another object, or holds a key the envelope does not commit to.
 */
export const unwrapDataKey = (kek: StoredKey, facts: SealFacts, wrap: WrappedKey): KeyObject => {
  if (wrap.provider !== PROVIDER || wrap.keyVersion !== kek.version || wrap.keyId !== kek.keyId)
    throw wrongKey('The recording was sealed with a key that is not in this key store.');
  if (wrap.blob.length !== BLOB_BYTES || wrap.blob[0] !== VERSION[0]) throw integrityFailure('wrapped_key');
  const aad = wrapAad(facts, facts.keyCommitment);
  const bytes = openBox(wrapKeyOf(kek.key, facts), aad, wrap.blob.subarray(VERSION.length));
  if (bytes === null) throw integrityFailure('wrapped_key');
  const dek = secretKey(bytes);
  assertKeyCommitment(dek, facts.header, objectAad(facts, VAULT_FORMAT.segmentBytes), facts.keyCommitment);
  return dek;
};
