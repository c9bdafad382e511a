import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { integrityFailure } from './integrity.ts';
import { KEY_BYTES, withKeyBytes } from './secret.ts';

/**
 * Hybrid public key encryption, RFC 9180: base mode, one message per encapsulation, and one suite: DHKEM(X25519,
 * HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Base mode says nothing of the sender: who uses it must sign as well.
 */
const VERSION = Buffer.from('HPKE-v1');
/** "KEM" ‖ kem_id. */
const KEM = Buffer.from('KEM\x00\x20', 'latin1');
/** "HPKE" ‖ kem_id ‖ kdf_id ‖ aead_id. */
const SUITE = Buffer.from('HPKE\x00\x20\x00\x01\x00\x02', 'latin1');
const MODE_BASE = Buffer.from([0]);
const NONE = Buffer.alloc(0);

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Of an encapsulated key, and of a public key. */
export const ENC_BYTES = 32;

export type HpkeMessage = {
  /** The sender's public key for this message alone; 32 bytes. */
  readonly enc: Buffer;
  /** Ciphertext ‖ tag. */
  readonly ciphertext: Buffer;
};

/** X25519 keys as SubjectPublicKeyInfo and PKCS #8 up to the bytes of the key (RFC 8410). */
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');

const publicKeyOf = (bytes: Uint8Array): KeyObject => {
  if (bytes.length !== ENC_BYTES) throw integrityFailure('wrapped_key');
  return createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' });
};

/** The 32 bytes of an X25519 public key, or of the one that belongs to a private key. */
export const publicBytesOf = (key: KeyObject): Buffer =>
  (key.type === 'private' ? createPublicKey(key) : key)
    .export({ format: 'der', type: 'spki' })
    .subarray(SPKI.length);

/** The private key that 32 stored bytes stand for; the bytes in between are overwritten. */
export const x25519Key = (seed: KeyObject): KeyObject => {
  const der = Buffer.alloc(PKCS8.length + KEY_BYTES);
  try {
    der.set(PKCS8);
    withKeyBytes(seed, (bytes) => der.set(bytes, PKCS8.length));
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
};

const extract = (suite: Buffer, salt: Buffer, label: string, ikm: Uint8Array): Buffer =>
  createHmac('sha256', salt).update(VERSION).update(suite).update(label).update(ikm).digest();

/** At most 32 bytes: the one block that HKDF-Expand has then. */
const expand = (suite: Buffer, prk: Buffer, label: string, info: Buffer, length: number): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(length);
  const block = createHmac('sha256', prk)
    .update(head)
    .update(VERSION)
    .update(suite)
    .update(label)
    .update(info)
    .update(Buffer.from([1]))
    .digest();
  return block.subarray(0, length);
};

/** Throws when the shared secret is all zero, as RFC 9180 §7.1.4 asks: OpenSSL refuses such keys by itself. */
const agreed = (privateKey: KeyObject, other: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Buffer => {
  const dh = diffieHellman({ privateKey, publicKey: publicKeyOf(other) });
  try {
    const context = Buffer.concat([enc, recipient]);
    return expand(KEM, extract(KEM, NONE, 'eae_prk', dh), 'shared_secret', context, KEY_BYTES);
  } finally {
    dh.fill(0);
  }
};

const scheduled = (shared: Buffer, info: Uint8Array): { readonly key: Buffer; readonly nonce: Buffer } => {
  const context = Buffer.concat([
    MODE_BASE,
    extract(SUITE, NONE, 'psk_id_hash', NONE),
    extract(SUITE, NONE, 'info_hash', info),
  ]);
  const secret = extract(SUITE, shared, 'secret', NONE);
  shared.fill(0);
  return {
    key: expand(SUITE, secret, 'key', context, KEY_BYTES),
    nonce: expand(SUITE, secret, 'base_nonce', context, NONCE_BYTES),
  };
};

/** Seals a message to a public key (32 bytes). Throws for a key that is none. */
export const hpkeSeal = (
  recipient: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plain: Uint8Array,
): HpkeMessage => {
  const ephemeral = generateKeyPairSync('x25519');
  const enc = Buffer.from(publicBytesOf(ephemeral.publicKey));
  const { key, nonce } = scheduled(agreed(ephemeral.privateKey, recipient, enc, recipient), info);
  try {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(aad);
    return { enc, ciphertext: Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]) };
  } finally {
    key.fill(0);
  }
};

/**
 * Opens a message, which is attacker-controlled. Throws `integrity_failure` for anything but what was sealed to this key with
 * this info and AAD.
 */
export const hpkeOpen = (
  privateKey: KeyObject,
  info: Uint8Array,
  aad: Uint8Array,
  { enc, ciphertext }: HpkeMessage,
): Buffer => {
  const body = ciphertext.length - TAG_BYTES;
  if (enc.length !== ENC_BYTES || body < 0) throw integrityFailure('wrapped_key');
  let key: Buffer = NONE;
  try {
    const schedule = scheduled(agreed(privateKey, enc, enc, publicBytesOf(privateKey)), info);
    key = schedule.key;
    const decipher = createDecipheriv('aes-256-gcm', key, schedule.nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(aad);
    decipher.setAuthTag(ciphertext.subarray(body));
    return Buffer.concat([decipher.update(ciphertext.subarray(0, body)), decipher.final()]);
  } catch {
    // Which of the two it was, a key of low order or a tag, is nobody's business.
    throw integrityFailure('wrapped_key');
  } finally {
    key.fill(0);
  }
};
