import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { sha256 } from './sha256.ts';

/**
 * C2SP signed-note: a text, a blank line, and one line per signature. And C2SP tlog-cosignature, whose signatures carry the
 * time at which a witness saw the text.
 */
export const keyTypes = { ed25519: 0x01, cosignature: 0x04 } as const;
export type KeyType = (typeof keyTypes)[keyof typeof keyTypes];

/** Public half of a key that signs notes. */
export type NoteKey = {
  readonly name: string;
  readonly type: KeyType;
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** The first four bytes of a hash of the above, by which a signature names its key. Says nothing about who holds it. */
  readonly id: Buffer;
};

export type NoteSignature = { readonly name: string; readonly keyId: Buffer; readonly bytes: Buffer };
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] };

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const ID_BYTES = 4;
const TIME_BYTES = 8;
/** A checkpoint has a few hundred bytes; a note of somebody else's is not read beyond this. */
export const MAX_NOTE_BYTES = 64 * 1024;
const MAX_SIGNATURES = 64;

const NAME = /^[^\s+\p{Cc}]{1,255}$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones a note may not hold.
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f]/;
const SIGNATURE_LINE = /^— (\S+) (\S+)$/u;

/** Base64 in its one canonical spelling, or null. */
export const strictBase64 = (text: string): Buffer | null => {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
};

const keyIdOf = (name: string, type: KeyType, publicKey: Buffer): Buffer =>
  sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(type), publicKey])).subarray(0, ID_BYTES);

/** Throws RangeError for a name with white space, plus or control characters, and for a key that is not 32 bytes. */
export const noteKey = (name: string, type: KeyType, publicKey: Buffer): NoteKey => {
  if (!NAME.test(name))
    throw new RangeError('the name of a key has 1 to 255 characters, no white space and no plus');
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new RangeError('an Ed25519 key has 32 bytes');
  return { name, type, publicKey, id: keyIdOf(name, type, publicKey) };
};

/** `name+id+key`, the form in which a key is handed to those who verify. */
export const formatNoteKey = ({ name, type, publicKey, id }: NoteKey): string =>
  `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(type), publicKey]).toString('base64')}`;

/** Null for anything that is not spelled as {@link formatNoteKey} does, its id included. */
export const parseNoteKey = (text: string): NoteKey | null => {
  const [name = '', id = '', ...rest] = text.split('+');
  const bytes = strictBase64(rest.join('+'));
  if (bytes === null || bytes.length !== 1 + PUBLIC_KEY_BYTES || !NAME.test(name)) return null;
  const type = Object.values(keyTypes).find((known) => known === bytes[0]);
  if (type === undefined) return null;
  const key = noteKey(name, type, bytes.subarray(1));
  return key.id.toString('hex') === id ? key : null;
};

const parseSignature = (line: string): NoteSignature | null => {
  const [, name = '', encoded = ''] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = strictBase64(encoded);
  if (bytes === null || bytes.length <= ID_BYTES || !NAME.test(name)) return null;
  return { name, keyId: bytes.subarray(0, ID_BYTES), bytes: bytes.subarray(ID_BYTES) };
};

/** Reads a note; null for what is none. Signatures are not verified. Attacker-controlled. */
export const parseNote = (note: string): Note | null => {
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES || !note.isWellFormed() || CONTROL.test(note)) return null;
  const blank = note.lastIndexOf('\n\n');
  if (blank === -1 || !note.endsWith('\n')) return null;
  const lines = note.slice(blank + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return null;
  const signatures = lines.map(parseSignature);
  if (signatures.includes(null)) return null;
  return { text: note.slice(0, blank + 1), signatures: signatures as NoteSignature[] };
};

export const signatureLine = ({ name, keyId, bytes }: NoteSignature): string =>
  `— ${name} ${Buffer.concat([keyId, bytes]).toString('base64')}\n`;

/** Throws RangeError for a text that does not end with a line feed or holds control characters. */
export const formatNote = ({ text, signatures }: Note): string => {
  if (!text.endsWith('\n') || !text.isWellFormed() || CONTROL.test(text))
    throw new RangeError('the text of a note ends with a line feed and holds no other control character');
  return `${text}\n${signatures.map(signatureLine).join('')}`;
};

/** What a witness signs: that it saw the text at this second. */
export const cosignedBytes = (text: string, seconds: bigint): Buffer =>
  Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`);

const publicKeyObject = (raw: Buffer): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' });

/** `seconds` is when a witness says it saw the text; null for an ordinary signature. */
export type Verified = { readonly key: NoteKey; readonly seconds: number | null };

const verifyOne = (text: string, { bytes }: NoteSignature, key: NoteKey): Verified | null => {
  const cosigned = key.type === keyTypes.cosignature;
  if (bytes.length !== SIGNATURE_BYTES + (cosigned ? TIME_BYTES : 0)) return null;
  const seconds = cosigned ? bytes.readBigUInt64BE(0) : null;
  if (seconds !== null && seconds > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  const signed = seconds === null ? Buffer.from(text) : cosignedBytes(text, seconds);
  return verify(null, signed, publicKeyObject(key.publicKey), bytes.subarray(bytes.length - SIGNATURE_BYTES))
    ? { key, seconds: seconds === null ? null : Number(seconds) }
    : null;
};

/**
 * The signatures by `keys`, once each. Null when a signature that names one of them is wrong, which no honest note has;
 * those of unknown keys are passed over, as the format asks.
 */
export const verifyNote = (
  { text, signatures }: Note,
  keys: readonly NoteKey[],
): readonly Verified[] | null => {
  const verified = new Map<NoteKey, Verified>();
  for (const signature of signatures) {
    const key = keys.find(({ name, id }) => name === signature.name && id.equals(signature.keyId));
    if (key === undefined || verified.has(key)) continue;
    const found = verifyOne(text, signature, key);
    if (found === null) return null;
    verified.set(key, found);
  }
  return [...verified.values()];
};
