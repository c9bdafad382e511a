import type { KeyName } from '../crypto/key-store.ts';

/** Which key a blob holds. The blob opens for exactly this; a blob moved to another name is refused. */
export type KeyContext = KeyName & { readonly version: number };

/**
 * Holds the root key and wraps the 32-byte keys of the key store. The root key never leaves it.
 *
 * Both functions throw `keys_unavailable` when the provider cannot be asked (`keysUnavailable`) or refuses
 * (`keysDenied`); `unwrap` also `wrong_key` when the blob was made by another root key, and `integrity_failure` when it was
 * damaged or is that of another context. Contexts hold ids only: key services write them into logs of their own.
 */
export interface KeyProvider {
  readonly kind: 'file' | 'aws-kms' | 'transit';
  /** Names the root key; not secret. */
  readonly keyId: string;
  wrap(context: KeyContext, secret: Uint8Array): Promise<Buffer>;
  /** The caller overwrites what it gets. */
  unwrap(context: KeyContext, blob: Uint8Array): Promise<Buffer>;
}
