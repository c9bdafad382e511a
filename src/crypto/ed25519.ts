import { createPrivateKey, type KeyObject } from 'node:crypto';
import { KEY_BYTES, withKeyBytes } from './secret.ts';

/** PKCS #8 of an Ed25519 key up to the seed (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The private key that a stored 32-byte seed stands for; the bytes in between are overwritten. */
export const ed25519Key = (seed: KeyObject): KeyObject => {
  const der = Buffer.alloc(PKCS8_PREFIX.length + KEY_BYTES);
  try {
    der.set(PKCS8_PREFIX);
    withKeyBytes(seed, (bytes) => der.set(bytes, PKCS8_PREFIX.length));
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
};
