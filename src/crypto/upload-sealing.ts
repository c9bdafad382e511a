import type { KeyObject } from 'node:crypto';
import { type OrganisationId, uuidBytes } from '../core/ids.ts';
import { sealedBytes, VAULT_SEGMENT_BYTES } from '../core/sealed-layout.ts';
import type { WrappedKey } from './envelope.ts';
import { integrityFailure } from './integrity.ts';
import type { KeyCache } from './key-cache.ts';
import { wrongKey } from './key-store.ts';
import { type Label, labelled, labels, uint32 } from './labels.ts';
import { openBox, sealBox } from './sealed-box.ts';
import type { ReadSealed } from './sealed-object.ts';
import { openRange, seal } from './sealed-stream.ts';
import { deriveKey, randomKey, secretKey, withKeyBytes } from './secret.ts';
import { randomHeader, segmentCipher } from './segment-cipher.ts';

/**
 * What lies in the vault of a recording that is not one yet (docs/file-format.md §12): its parts, and what its source said of
 * the call. Sealed like recordings, but under labels of its own, so that nothing here can open anything of a recording,
 * whatever a row of the database says. Therefore no receipt is asked for: what is opened goes to ingest, and nowhere else.
 */
export type UploadIdentity = { readonly organisation: OrganisationId; readonly upload: string };

/** A part opens in its own place only: of this upload, from this byte on. */
export type PartIdentity = UploadIdentity & { readonly generation: string; readonly start: number };

export type PartKey = { readonly header: Uint8Array; readonly wrap: WrappedKey };

export type SealingPart = PartKey & { readonly body: AsyncGenerator<Buffer, void, void> };

export type UploadSealing = {
  readonly sealFacts: (identity: UploadIdentity, plain: Uint8Array) => Promise<Buffer>;
  /** Throws `integrity_failure` for what was sealed elsewhere or damaged, `wrong_key` when that version of the key is gone. */
  readonly openFacts: (identity: UploadIdentity, sealed: Uint8Array) => Promise<Buffer>;
  /** Under a new data key, wrapped under the organisation's newest key. `source` is read as `body` is. */
  readonly sealPart: (identity: PartIdentity, source: AsyncIterable<Uint8Array>) => Promise<SealingPart>;
  /** The plaintext of a part of `bytes` bytes, one at least, each segment verified before it is yielded. Throws as `openFacts`. */
  readonly openPart: (
    identity: PartIdentity & { readonly bytes: number },
    key: PartKey,
    read: ReadSealed,
  ) => AsyncGenerator<Buffer, void, void>;
};

const PROVIDER = 'keyring';
const FORMAT = Buffer.from([1]);
const PREFIX_BYTES = FORMAT.length + 4;

const placed = (label: Label, { organisation, upload }: UploadIdentity, ...more: Uint8Array[]): Buffer =>
  labelled(label, uuidBytes(organisation), uuidBytes(upload), ...more);

const uint64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

const partAad = (identity: PartIdentity): Buffer =>
  placed(
    labels.part,
    identity,
    uuidBytes(identity.generation),
    uint64(identity.start),
    uint32(VAULT_SEGMENT_BYTES),
  );

const keyAad = (identity: PartIdentity, header: Uint8Array): Buffer =>
  placed(labels.partKey, identity, uuidBytes(identity.generation), uint64(identity.start), header);

/** One per upload, so that no key seals more than the few thousand data keys of one. */
const uploadKeyOf = (kek: KeyObject, identity: UploadIdentity): KeyObject =>
  deriveKey(kek, placed(labels.upload, identity));

export const createUploadSealing = ({ keys }: { readonly keys: KeyCache }): UploadSealing => {
  const kekOf = ({ organisation }: UploadIdentity) => ({ organisation, purpose: 'kek' }) as const;

  const unwrap = async (identity: PartIdentity, { header, wrap }: PartKey): Promise<KeyObject> => {
    const kek = await keys.version(kekOf(identity), wrap.keyVersion);
    if (wrap.provider !== PROVIDER || wrap.keyId !== kek.keyId)
      throw wrongKey('The upload was sealed with a key that is not in this key store.');
    if (wrap.blob[0] !== FORMAT[0]) throw integrityFailure('wrapped_key');
    const box = wrap.blob.subarray(FORMAT.length);
    const bytes = openBox(uploadKeyOf(kek.key, identity), keyAad(identity, header), box);
    if (bytes === null) throw integrityFailure('wrapped_key');
    return secretKey(bytes);
  };

  return {
    sealFacts: async (identity, plain) => {
      const { key, version } = await keys.newest(kekOf(identity));
      const prefix = Buffer.concat([FORMAT, uint32(version)]);
      return sealBox(uploadKeyOf(key, identity), placed(labels.uploadFacts, identity), plain, prefix);
    },
    openFacts: async (identity, sealed) => {
      if (sealed.length < PREFIX_BYTES || sealed[0] !== FORMAT[0]) throw integrityFailure('field');
      const version = Buffer.from(sealed.subarray(FORMAT.length, PREFIX_BYTES)).readUInt32BE();
      const { key } = await keys.version(kekOf(identity), version);
      const aad = placed(labels.uploadFacts, identity);
      const plain = openBox(uploadKeyOf(key, identity), aad, sealed.subarray(PREFIX_BYTES));
      if (plain === null) throw integrityFailure('field');
      return plain;
    },
    sealPart: async (identity, source) => {
      const kek = await keys.newest(kekOf(identity));
      const [dek, header] = [randomKey(), randomHeader()];
      const blob = withKeyBytes(dek, (bytes) =>
        sealBox(uploadKeyOf(kek.key, identity), keyAad(identity, header), bytes, FORMAT),
      );
      const wrap = { provider: PROVIDER, keyId: kek.keyId, keyVersion: kek.version, blob };
      return { header, wrap, body: seal(segmentCipher({ dek, header, aad: partAad(identity) }), source) };
    },
    openPart: async function* (identity, key, read) {
      const { bytes } = identity;
      const dek = await unwrap(identity, key);
      const whole = sealedBytes(bytes);
      const { body, totalBytes } = await read({ start: 0, end: whole });
      const cipher = segmentCipher({ dek, header: key.header, aad: partAad(identity) });
      // What has another length is not read; begun all the same, which closes it.
      for await (const chunk of openRange(cipher, { start: 0, end: bytes }, bytes, body)) {
        if (totalBytes !== whole) throw integrityFailure('length');
        yield chunk;
      }
    },
  };
};
