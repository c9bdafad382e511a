import type { OrganisationId } from '../core/ids.ts';
import { isUuid } from '../core/ids.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import { type KeyPurpose, keyPurposes } from '../crypto/key-store.ts';
import type { KeyContext } from './key-provider.ts';

/** One wrapped key as it lies in the key ring folder (docs/file-format.md §5.3): a line of JSON in canonical form. */
export type KeyEntry = KeyContext & {
  /** First 8 bytes of the key's check value, in hex. */
  readonly keyId: string;
  readonly provider: string;
  readonly rootKeyId: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly blob: Uint8Array;
};

export const MAX_ENTRY_BYTES = 8192;
const MAX_VERSION = 2 ** 31 - 1;
const NAME = /^([0-9a-f-]{36})\.([a-z]{1,16})\.([1-9][0-9]{0,9})\.(key|destroyed)$/;

export type EntryState = 'key' | 'destroyed';

export const isKeyVersion = (version: number): boolean =>
  Number.isInteger(version) && version >= 1 && version <= MAX_VERSION;

export const entryFileName = ({ organisation, purpose, version }: KeyContext, state: EntryState): string => {
  if (!isUuid(organisation) || !isKeyVersion(version)) throw new RangeError('no such key');
  return `${organisation}.${purpose}.${version}.${state}`;
};

/** What a file name stands for, or null for a file that is none of ours. */
export const parseEntryFileName = (name: string): (KeyContext & { readonly state: EntryState }) | null => {
  const [, organisation = '', word, version, state] = NAME.exec(name) ?? [];
  const purpose = keyPurposes.find((known) => known === word);
  if (purpose === undefined || !isUuid(organisation)) return null;
  return {
    organisation: organisation as OrganisationId,
    purpose,
    version: Number(version),
    state: state as EntryState,
  };
};

export const encodeKeyEntry = (entry: KeyEntry): Buffer => {
  const line = {
    format: 1,
    organisation: entry.organisation,
    purpose: entry.purpose,
    version: entry.version,
    keyId: entry.keyId,
    provider: entry.provider,
    rootKeyId: entry.rootKeyId,
    createdAt: entry.createdAt,
    blob: Buffer.from(entry.blob).toString('base64'),
  };
  return Buffer.from(`${JSON.stringify(line)}\n`, 'utf8');
};

const parseLine = (bytes: Uint8Array): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: not JSON is not an entry.
  }
  throw integrityFailure('stored_key');
};

/**
 * Reads what {@link encodeKeyEntry} wrote, for the name it was found under. The folder is the vault's own, but disks rot and
 * backups are mixed up: anything not canonical, or under another name, throws `integrity_failure`.
 */
export const decodeKeyEntry = (bytes: Uint8Array, expected: KeyContext): KeyEntry => {
  const line = parseLine(bytes);
  const entry: KeyEntry = {
    organisation: String(line.organisation) as OrganisationId,
    purpose: String(line.purpose) as KeyPurpose,
    version: Number(line.version),
    keyId: String(line.keyId),
    provider: String(line.provider),
    rootKeyId: String(line.rootKeyId),
    createdAt: String(line.createdAt),
    blob: Buffer.from(String(line.blob), 'base64'),
  };
  const own =
    entry.organisation === expected.organisation &&
    entry.purpose === expected.purpose &&
    entry.version === expected.version;
  if (!own || !encodeKeyEntry(entry).equals(bytes)) throw integrityFailure('stored_key');
  return entry;
};
