import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { keyTypes, type NoteKey, type NoteSignature, noteKey } from '../core/audit/note.ts';
import { ed25519Key } from './ed25519.ts';
import type { KeyCache } from './key-cache.ts';
import { INSTALLATION, type StoredKey } from './key-store.ts';

/** Signs checkpoints of the access log. The private key stays in here. */
export type NoteSigner = {
  /** The log's name, which is that of its key. */
  readonly name: string;
  /** The key that signs from now on; its public half is what those who verify are given. */
  readonly key: () => Promise<NoteKey>;
  /** Every key of this log whose signatures count, newest first. */
  readonly keys: () => Promise<readonly NoteKey[]>;
  /** Ed25519 over the text; the same text is signed alike every time. */
  readonly sign: (text: string) => Promise<NoteSignature>;
};

const PURPOSE = { organisation: INSTALLATION, purpose: 'note' } as const;

/** The 32 bytes of an Ed25519 public key. */
export const rawPublicKey = (key: KeyObject): Buffer =>
  Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url');

type SigningKey = { readonly privateKey: KeyObject; readonly key: NoteKey };

/** Makes the first key when there is none. Throws what the key store throws, RangeError for a name that is none. */
export const createNoteSigner = async (
  keys: Pick<KeyCache, 'ensure' | 'newest' | 'all'>,
  name: string,
): Promise<NoteSigner> => {
  await keys.ensure(PURPOSE);
  // Expanded once per unwrapped seed; the entry goes when the cache lets go of the seed.
  const expanded = new WeakMap<KeyObject, SigningKey>();
  const expand = ({ key: seed }: StoredKey): SigningKey => {
    const known = expanded.get(seed);
    if (known !== undefined) return known;
    const privateKey = ed25519Key(seed);
    const made = { privateKey, key: noteKey(name, keyTypes.ed25519, rawPublicKey(privateKey)) };
    expanded.set(seed, made);
    return made;
  };
  const newest = async (): Promise<SigningKey> => expand(await keys.newest(PURPOSE));
  return {
    name,
    key: async () => (await newest()).key,
    keys: async () => (await keys.all(PURPOSE)).map((stored) => expand(stored).key),
    sign: async (text) => {
      const { key, privateKey } = await newest();
      return { name, keyId: key.id, bytes: sign(null, Buffer.from(text), privateKey) };
    },
  };
};
