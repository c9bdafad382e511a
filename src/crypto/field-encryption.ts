import type { KeyObject } from 'node:crypto';
import { assertReceipt, type Receipt } from '../audit/receipt.ts';
import type { AuditAction } from '../core/events.ts';
import { type OrganisationId, type RecordingId, uuidBytes } from '../core/ids.ts';
import { integrityFailure } from './integrity.ts';
import type { KeyCache } from './key-cache.ts';
import { labelled, labels, lengthPrefixed, uint32 } from './labels.ts';
import { openBox, sealBox } from './sealed-box.ts';
import { deriveKey, mac } from './secret.ts';

/** Entries of the access log that let sealed facts (numbers, names, peaks) of the recordings they cover be opened. */
export const fieldOpeningActions = [
  'recording.viewed',
  'recordings.searched',
  'playback.opened',
  'recording.key_opened',
] as const satisfies readonly AuditAction[];

/** Where a sealed value lies. It opens nowhere else: not in another row, column, recording or organisation. */
export type FieldPlace = {
  readonly organisation: OrganisationId;
  /** Whose facts these are: the recording the receipt has to cover. */
  readonly recording: RecordingId;
  readonly table: string;
  readonly column: string;
  readonly row: string;
};

export type BlindIndex = { readonly version: number; readonly index: Buffer };
export type DigestMac = { readonly version: number; readonly mac: Buffer };

export type FieldEncryption = {
  /** 0x01 ‖ key version(4) ‖ nonce(12) ‖ ciphertext ‖ tag(16) (docs/file-format.md §6.1). Throws `wrong_key` without a key. */
  readonly sealField: (place: FieldPlace, plain: Uint8Array) => Promise<Buffer>;
  /**
   * The value, for a receipt whose entry covers the recording. Throws `invalid_receipt` before anything else is looked at;
   * `integrity_failure` for a value that is damaged or was sealed in another place.
   */
  readonly openField: (place: FieldPlace, sealed: Uint8Array, receipt: Receipt) => Promise<Buffer>;
  /**
   * 16 bytes that are equal for equal values of one column in one organisation, one per live key version, newest first:
   * store the first, search for any. `canonical` is the normal form of the value (E.164, twelve digits …), 4,096 bytes at
   * most (RangeError). Never index what many calls share (withheld, the own switchboard): frequency gives it away.
   */
  readonly blindIndexes: (
    organisation: OrganisationId,
    column: string,
    canonical: string,
  ) => Promise<readonly BlindIndex[]>;
  /** Keyed digest of the plaintext's SHA-256 (32 bytes), so that the database cannot tell which known file this is. */
  readonly digestMacs: (organisation: OrganisationId, sha256: Uint8Array) => Promise<readonly DigestMac[]>;
};

export type FieldEncryptionDeps = {
  readonly keys: KeyCache;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

const FORMAT = Buffer.from([1]);
const PREFIX_BYTES = 5;
const INDEX_BYTES = 16;
const DIGEST_BYTES = 32;

const placeAad = (place: FieldPlace): Buffer =>
  labelled(
    labels.fieldPlace,
    uuidBytes(place.organisation),
    uuidBytes(place.recording),
    lengthPrefixed(place.table),
    lengthPrefixed(place.column),
    lengthPrefixed(place.row),
  );

/** Column keys live as long as the organisation key they come from stays in the cache. */
const columnKeys = new WeakMap<KeyObject, Map<string, KeyObject>>();

const columnKeyOf = (key: KeyObject, table: string, column: string): KeyObject => {
  const info = labelled(labels.fieldKey, lengthPrefixed(table), lengthPrefixed(column));
  const known = columnKeys.get(key) ?? new Map<string, KeyObject>();
  columnKeys.set(key, known);
  const slot = info.toString('latin1');
  const derived = known.get(slot) ?? deriveKey(key, info);
  known.set(slot, derived);
  return derived;
};

export const createFieldEncryption = ({ keys, now }: FieldEncryptionDeps): FieldEncryption => ({
  sealField: async (place, plain) => {
    const { organisation, table, column } = place;
    const { key, version } = await keys.newest({ organisation, purpose: 'field' });
    const prefix = Buffer.concat([FORMAT, uint32(version)]);
    return sealBox(columnKeyOf(key, table, column), placeAad(place), plain, prefix);
  },
  openField: async (place, sealed, receipt) => {
    const { organisation, recording, table, column } = place;
    assertReceipt(receipt, { actions: fieldOpeningActions, organisation, recording, now: now() });
    if (sealed.length < PREFIX_BYTES || sealed[0] !== FORMAT[0]) throw integrityFailure('field');
    const version = Buffer.from(sealed.subarray(FORMAT.length, PREFIX_BYTES)).readUInt32BE();
    const { key } = await keys.version({ organisation, purpose: 'field' }, version);
    const plain = openBox(columnKeyOf(key, table, column), placeAad(place), sealed.subarray(PREFIX_BYTES));
    if (plain === null) throw integrityFailure('field');
    return plain;
  },
  blindIndexes: async (organisation, column, canonical) => {
    const parts = [uuidBytes(organisation), lengthPrefixed(column), lengthPrefixed(canonical)];
    const live = await keys.all({ organisation, purpose: 'index' });
    return live.map(({ key, version }) => ({
      version,
      index: mac(key, labels.index, ...parts).subarray(0, INDEX_BYTES),
    }));
  },
  digestMacs: async (organisation, sha256) => {
    if (sha256.length !== DIGEST_BYTES) throw new RangeError('a SHA-256 has 32 bytes');
    const live = await keys.all({ organisation, purpose: 'index' });
    return live.map(({ key, version }) => ({
      version,
      mac: mac(key, labels.digest, uuidBytes(organisation), sha256),
    }));
  },
});
