import type { KeyObject } from 'node:crypto';
import { objectAad, type SealFacts } from './envelope.ts';
import { withKeyBytes } from './secret.ts';

/**
 * What opens one object without this program (docs/file-format.md §8). The one place where key material becomes text, for
 * a person who has a receipt for it and will hand it to another tool; nothing else calls this.
 */
export type RecoveryKey = {
  /** Hex, 32 bytes. */
  readonly dek: string;
  /** Hex; the associated data Tink asks for. */
  readonly aad: string;
  readonly segmentBytes: number;
  /** The same key as a cleartext Tink keyset, ready for Tink's JSON readers. */
  readonly keyset: TinkKeyset;
};

export type TinkKeyset = {
  readonly primaryKeyId: number;
  readonly key: readonly [
    {
      readonly keyData: {
        readonly typeUrl: string;
        /** Base64 of the serialised AesGcmHkdfStreamingKey. */
        readonly value: string;
        readonly keyMaterialType: 'SYMMETRIC';
      };
      readonly status: 'ENABLED';
      readonly keyId: number;
      /** Nothing of the keyset stands in the object. */
      readonly outputPrefixType: 'RAW';
    },
  ];
};

const TYPE_URL = 'type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey';
/** params { ciphertext_segment_size: 65536, derived_key_size: 32, hkdf_hash_type: SHA256 }, then key_value of 32 bytes. */
const KEY_PREFIX = Buffer.from('120808808004102018031a20', 'hex');

const keysetOf = (value: string): TinkKeyset => ({
  primaryKeyId: 1,
  key: [
    {
      keyData: { typeUrl: TYPE_URL, value, keyMaterialType: 'SYMMETRIC' },
      status: 'ENABLED',
      keyId: 1,
      outputPrefixType: 'RAW',
    },
  ],
});

/** `dek` comes from `KeyRing.openObjectKey`, which has seen the receipt and checked the commitment. */
export const recoveryKeyOf = (facts: SealFacts, dek: KeyObject): RecoveryKey =>
  withKeyBytes(dek, (bytes) => {
    const key = Buffer.concat([KEY_PREFIX, bytes]);
    try {
      return {
        dek: bytes.toString('hex'),
        aad: objectAad(facts, facts.segmentBytes).toString('hex'),
        segmentBytes: facts.segmentBytes,
        keyset: keysetOf(key.toString('base64')),
      };
    } finally {
      key.fill(0);
    }
  });
