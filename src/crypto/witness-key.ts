import { createSecretKey, type KeyObject, sign } from 'node:crypto';
import { cosignedBytes, keyTypes, type NoteKey, type NoteSignature, noteKey } from '../core/audit/note.ts';
import { ed25519Key } from './ed25519.ts';
import { rawPublicKey } from './note-signer.ts';
import { KEY_BYTES, randomKey, withKeyBytes } from './secret.ts';

/** Signs what a witness has seen. The private key stays in here. */
export type WitnessSigner = {
  readonly key: NoteKey;
  /** C2SP tlog-cosignature: the time, then Ed25519 over time and text. `seconds` since 1970. */
  readonly cosign: (text: string, seconds: number) => NoteSignature;
};

/** The longest a key file can be: a name of 255 characters of up to four bytes. */
export const MAX_WITNESS_KEY_BYTES = 2048;

const PREFIX = 'PRIVATE+KEY+';
const LINE = /^PRIVATE\+KEY\+([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})\n?$/u;

const signerOf = (name: string, privateKey: KeyObject): WitnessSigner => {
  const key = noteKey(name, keyTypes.cosignature, rawPublicKey(privateKey));
  return {
    key,
    cosign: (text, seconds) => {
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(BigInt(seconds));
      const signature = sign(null, cosignedBytes(text, BigInt(seconds)), privateKey);
      return { name, keyId: key.id, bytes: Buffer.concat([time, signature]) };
    },
  };
};

/** The signer of a key file's content (`PRIVATE+KEY+name+id+base64`), or null for what is none. The caller overwrites it. */
export const readWitnessKey = (content: Buffer): WitnessSigner | null => {
  const [, name = '', id, encoded = ''] = LINE.exec(content.toString('utf8')) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  try {
    if (bytes.length !== 1 + KEY_BYTES || bytes[0] !== keyTypes.cosignature) return null;
    const signer = signerOf(name, ed25519Key(createSecretKey(bytes.subarray(1))));
    return signer.key.id.toString('hex') === id ? signer : null;
  } finally {
    bytes.fill(0);
  }
};

/** A new key and the content of its file, which the caller overwrites. Throws RangeError for a name that is none. */
export const newWitnessKey = (name: string): { readonly signer: WitnessSigner; readonly content: Buffer } => {
  const seed = randomKey();
  const signer = signerOf(name, ed25519Key(seed));
  const bytes = Buffer.alloc(1 + KEY_BYTES, keyTypes.cosignature);
  withKeyBytes(seed, (secret) => bytes.set(secret, 1));
  const content = Buffer.from(
    `${PREFIX}${name}+${signer.key.id.toString('hex')}+${bytes.toString('base64')}\n`,
  );
  bytes.fill(0);
  return { signer, content };
};
