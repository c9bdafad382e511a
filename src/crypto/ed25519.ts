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

const P = 2n ** 255n - 19n;
/** y of the points of order eight (with its negative), four, one and two: whoever holds such a key, anybody signs for it. */
const Y8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const LOW_ORDER: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, Y8, P - Y8]);

const mod = (value: bigint): bigint => ((value % P) + P) % P;
const power = (base: bigint, exponent: bigint): bigint => {
  let [result, square] = [1n, mod(base)];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
};
/** Of the curve: -121665/121666. */
const D = mod(-121_665n * power(121_666n, P - 2n));

/**
 * Whether 32 bytes are the public key of somebody who holds a private one: a point of the curve in its one spelling (RFC 8032
 * §5.1.3), and not of an order so low that signatures under it can be made up. The key is public: time may depend on it.
 */
export const isEd25519PublicKey = (bytes: Uint8Array): boolean => {
  if (bytes.length !== KEY_BYTES) return false;
  const littleEndian = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
  const y = littleEndian & (2n ** 255n - 1n);
  if (y >= P || LOW_ORDER.has(y)) return false;
  // x² = (y² - 1) / (d·y² + 1) has a root: Euler's criterion.
  const [u, v] = [mod(y * y - 1n), mod(D * y * y + 1n)];
  return power(u * power(v, P - 2n), (P - 1n) / 2n) === 1n;
};
