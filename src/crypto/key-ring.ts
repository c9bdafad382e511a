import type { KeyObject } from 'node:crypto';
import { assertReceipt, type Receipt } from '../audit/receipt.ts';
import type { AuditAction } from '../core/events.ts';
import type { OrganisationId, RecordingId } from '../core/ids.ts';
import { unwrapDataKey, wrapDataKey } from './data-key.ts';
import type { EdgeManifest } from './edge-manifest.ts';
import { type EdgeRecipient, openEdgeKey } from './edge-sealing.ts';
import {
  assertEnvelope,
  type Envelope,
  type ObjectIdentity,
  objectAad,
  VAULT_FORMAT,
  type WrappedKey,
} from './envelope.ts';
import { publicBytesOf, x25519Key } from './hpke.ts';
import type { KeyCache } from './key-cache.ts';
import { keyCommitment } from './key-commitment.ts';
import {
  INSTALLATION,
  installationPurposes,
  isOutage,
  type KeyPurpose,
  organisationPurposes,
} from './key-store.ts';
import { createOpenedObjects } from './opened-objects.ts';
import { type FreshObjectKey, openObject, type ReadSealed, type SealedObject } from './sealed-object.ts';
import { randomKey } from './secret.ts';
import { randomHeader } from './segment-cipher.ts';

/** Entries of the access log that let a recording's sound be opened. No other entry does, however genuine. */
export const objectOpeningActions = [
  'playback.opened',
  'recording.key_opened',
  // For the digest of it: services/verify-recording.ts releases nothing else.
  'recording.verified',
] as const satisfies readonly AuditAction[];

export type KeyRing = {
  /** Makes the keys of an organisation, or those of the installation for `INSTALLATION`. Doing it again changes nothing. */
  readonly createOrganisationKeys: (organisation: OrganisationId) => Promise<void>;
  /** A new data key for one object, wrapped under the organisation's newest key. Throws `wrong_key` when it has none. */
  readonly newObjectKey: (identity: ObjectIdentity) => Promise<FreshObjectKey>;
  /** The public key that sources of the organisation seal data keys to. Throws `wrong_key` when it has none. */
  readonly edgeRecipient: (organisation: OrganisationId) => Promise<EdgeRecipient>;
  /**
   * The data key that a source sealed, under the organisation's newest key from now on. Throws `integrity_failure` when it was
   * not sealed to this organisation for this object, `wrong_key` when that version of the edge key is gone.
   */
  readonly adoptObjectKey: (manifest: EdgeManifest) => Promise<FreshObjectKey>;
  /**
   * The object, ready to read ranges from. Throws `invalid_receipt` before anything else is looked at, on every call,
   * also when the object is still in memory; `wrong_key`, `keys_unavailable` or `integrity_failure` as they are.
   * Opened objects stay in memory for five minutes at most, so asking again per range is cheap: callers keep nothing.
   */
  readonly openObject: (envelope: Envelope, receipt: Receipt) => Promise<SealedObject>;
  /** The data key itself, for opening an object without this program (docs/file-format.md §8). Same conditions. */
  readonly openObjectKey: (envelope: Envelope, receipt: Receipt) => Promise<KeyObject>;
  /** Proves that the wrapped key opens and is the committed one. Releases nothing, so it needs no receipt. */
  readonly verifyObjectKey: (envelope: Envelope) => Promise<void>;
  /** Opens and verifies every segment inside this room: what a scrubber needs. Releases nothing, so it needs no receipt. */
  readonly verifyObject: (envelope: Envelope, read: ReadSealed) => Promise<void>;
  /** The same data key under the organisation's newest key. Releases nothing; the object is not touched. */
  readonly rewrapObjectKey: (envelope: Envelope) => Promise<WrappedKey>;
  /** Makes the next version of a key; what was sealed before stays readable. */
  readonly rotate: (
    organisation: OrganisationId,
    purpose: KeyPurpose,
  ) => Promise<{ readonly version: number }>;
  /** Destroys an older version for ever; every row must have been re-wrapped and verified before. Never the newest. */
  readonly destroyVersion: (
    organisation: OrganisationId,
    purpose: KeyPurpose,
    version: number,
  ) => Promise<void>;
  /** Forgets an opened recording, after erasure. A key being unwrapped at this moment is not kept either. */
  readonly evict: (recording: RecordingId) => void;
  /**
   * Unwraps the canary: `keys_unavailable`, `wrong_key` or `integrity_failure`. Lets go of keys past their time; when it is
   * not a mere outage, of all. To be called about every minute.
   */
  readonly check: () => Promise<void>;
};

export type KeyRingDeps = {
  readonly keys: KeyCache;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

const kekOf = (organisation: OrganisationId) => ({ organisation, purpose: 'kek' }) as const;

/** Data keys that are to seal, or have just sealed, one object. */
const createFreshKeys = (
  keys: KeyCache,
): Pick<KeyRing, 'newObjectKey' | 'edgeRecipient' | 'adoptObjectKey'> => ({
  newObjectKey: async (identity) => {
    const { organisation, recording, generation } = identity;
    const kek = await keys.newest(kekOf(organisation));
    const dek = randomKey();
    const header = randomHeader();
    const commitment = keyCommitment(dek, header, objectAad(identity, VAULT_FORMAT.segmentBytes));
    const wrap = wrapDataKey(kek, identity, commitment, dek);
    return { organisation, recording, generation, dek, header, keyCommitment: commitment, wrap };
  },
  edgeRecipient: async (organisation) => {
    const { version, key } = await keys.newest({ organisation, purpose: 'edge' });
    return { keyVersion: version, publicKey: publicBytesOf(x25519Key(key)) };
  },
  adoptObjectKey: async (manifest) => {
    const { organisation, recording, generation, header, keyCommitment: commitment } = manifest;
    const edge = await keys.version({ organisation, purpose: 'edge' }, manifest.keyVersion);
    const dek = openEdgeKey(manifest, x25519Key(edge.key));
    const wrap = wrapDataKey(await keys.newest(kekOf(organisation)), manifest, commitment, dek);
    return { organisation, recording, generation, dek, header, keyCommitment: commitment, wrap };
  },
});

/** Where data keys are made and opened. Nothing is opened without a receipt of a committed log entry that covers it. */
export const createKeyRing = ({ keys, now }: KeyRingDeps): KeyRing => {
  const opened = createOpenedObjects({ now });

  const admit = (envelope: Envelope, receipt: Receipt): void =>
    assertReceipt(receipt, {
      actions: objectOpeningActions,
      organisation: envelope.organisation,
      recording: envelope.recording,
      now: now(),
    });

  const unwrap = async (envelope: Envelope): Promise<KeyObject> => {
    assertEnvelope(envelope);
    const kek = await keys.version(kekOf(envelope.organisation), envelope.wrap.keyVersion);
    return unwrapDataKey(kek, envelope, envelope.wrap);
  };

  return {
    createOrganisationKeys: async (organisation) => {
      const purposes = organisation === INSTALLATION ? installationPurposes : organisationPurposes;
      for (const purpose of purposes) await keys.ensure({ organisation, purpose });
    },
    ...createFreshKeys(keys),
    openObject: async (envelope, receipt) => {
      admit(envelope, receipt);
      return opened.get(envelope, async () => openObject(envelope, await unwrap(envelope)));
    },
    openObjectKey: async (envelope, receipt) => {
      admit(envelope, receipt);
      return unwrap(envelope);
    },
    verifyObjectKey: async (envelope) => {
      await unwrap(envelope);
    },
    verifyObject: async (envelope, read) => {
      const object = openObject(envelope, await unwrap(envelope));
      const whole = { start: 0, end: object.plainBytes };
      for await (const chunk of await object.readRange(whole, read)) chunk.fill(0);
    },
    rewrapObjectKey: async (envelope) => {
      const dek = await unwrap(envelope);
      return wrapDataKey(
        await keys.newest(kekOf(envelope.organisation)),
        envelope,
        envelope.keyCommitment,
        dek,
      );
    },
    rotate: async (organisation, purpose) => ({
      version: (await keys.rotate({ organisation, purpose })).version,
    }),
    destroyVersion: async (organisation, purpose, version) => {
      await keys.destroy({ organisation, purpose }, version);
      opened.forget();
    },
    evict: (recording) => opened.forget(recording),
    check: async () => {
      opened.expire();
      try {
        await keys.check();
      } catch (error) {
        if (!isOutage(error)) opened.forget();
        throw error;
      }
    },
  };
};
