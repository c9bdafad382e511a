import type { KeyObject } from 'node:crypto';
import { AppError, isAppError } from '../core/errors.ts';
import type { OrganisationId } from '../core/ids.ts';

/** Keys of the installation itself (token signing, canary) lie under the nil organisation. */
export const INSTALLATION = '00000000-0000-0000-0000-000000000000' as OrganisationId;

/**
 * What every organisation has: one key to wrap data keys, one for fields, one for blind indexes and keyed digests, and the
 * X25519 key that its sources may seal data keys to.
 */
export const organisationPurposes = ['kek', 'field', 'index', 'edge'] as const;
/** `jwt` and `note` are Ed25519 seeds, for access tokens and for signed notes of the access log. */
export const installationPurposes = ['index', 'jwt', 'note'] as const;
/** `canary` opens nothing; that it unwraps proves that the root key is the right one. */
export const keyPurposes = [...organisationPurposes, 'jwt', 'note', 'canary'] as const;
export type KeyPurpose = (typeof keyPurposes)[number];

export type KeyName = { readonly organisation: OrganisationId; readonly purpose: KeyPurpose };

export type StoredKey = {
  readonly version: number;
  /** Names the key material: the first 8 bytes of its check value, in hex. Not secret. */
  readonly keyId: string;
  readonly key: KeyObject;
};

/**
 * Where wrapped keys lie, outside the database and its backups. Every 32-byte key is made here, is wrapped by the root
 * key before it touches a disk, and is never overwritten.
 *
 * All functions throw `keys_unavailable` when the root key's provider or the store cannot be asked now ({@link isOutage}
 * tells an outage from a refusal), `wrong_key` when the provider holds another root key, `integrity_failure` when what
 * is stored was damaged or moved.
 */
export interface KeyStore {
  /** Live versions, newest first; empty when there is no such key. */
  versions(name: KeyName): Promise<readonly number[]>;
  /** Unwraps one version, asking the provider each time. Throws `wrong_key` when that version is not (or no longer) there. */
  open(name: KeyName, version: number): Promise<StoredKey>;
  /** Makes a version, or opens the one that is there: of two processes that create at once, both get the same key. */
  create(name: KeyName, version: number): Promise<StoredKey>;
  /** Removes a version for ever, and remembers that it was there. What only it could open is gone. */
  destroy(name: KeyName, version: number): Promise<void>;
  /** Unwraps the canary: proves that the provider answers and holds the root key this store was made with. */
  check(): Promise<void>;
}

class KeysDenied extends Error {
  constructor(cause: unknown) {
    super('the key service refused', { cause });
    this.name = 'KeysDenied';
  }
}

/** The key service cannot be reached: worth trying again, and cached keys may serve for a while. */
export const keysUnavailable = (cause: unknown): AppError =>
  new AppError('keys_unavailable', 'The keys cannot be reached at the moment.', { cause, retryAfter: 30 });

/** The key service answered and refused: an operator has to act, and cached keys must not serve any longer. */
export const keysDenied = (cause: unknown): AppError =>
  new AppError('keys_unavailable', 'The key service refuses this vault.', { cause: new KeysDenied(cause) });

export const wrongKey = (message: string): AppError => new AppError('wrong_key', message);

/** True only for an outage: nobody has said no. */
export const isOutage = (error: unknown): boolean =>
  isAppError(error, 'keys_unavailable') && !(error.cause instanceof KeysDenied);
