import { addressPrefix } from '../core/address.ts';
import type { BlindIndex, FieldEncryption } from '../crypto/field-encryption.ts';
import { INSTALLATION } from '../crypto/key-store.ts';

/** Where a request comes from, told apart but not told: keyed hashes, never an address or an account name. */
export type Origin = {
  /** One per live key version, newest first: store the first, look for any. */
  readonly indexes: readonly Buffer[];
  /** The newest, as the access log names it. */
  readonly label: string;
};

const originOf = (versions: readonly BlindIndex[]): Origin => {
  const [newest] = versions;
  return {
    indexes: versions.map(({ index }) => index),
    label: newest === undefined ? 'unknown' : `${newest.version}:${newest.index.toString('hex')}`,
  };
};

/** Longer account names are cut before they are hashed: attacker-controlled. */
const MAX_ACCOUNT = 320;

export const createOrigins = ({ fields }: { readonly fields: Pick<FieldEncryption, 'blindIndexes'> }) => ({
  /** The network of an address: /24 or /64. */
  place: async (address: string): Promise<Origin> =>
    originOf(await fields.blindIndexes(INSTALLATION, 'session.address', addressPrefix(address))),
  /** An e-mail address or client id as it was typed, whether there is such an account or not. */
  account: async (name: string): Promise<Origin> =>
    originOf(await fields.blindIndexes(INSTALLATION, 'session.account', name.slice(0, MAX_ACCOUNT))),
});

export type Origins = ReturnType<typeof createOrigins>;
