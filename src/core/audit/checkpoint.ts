import { HASH_BYTES } from './merkle.ts';
import { keyTypes, type NoteKey, parseNote, strictBase64, verifyNote } from './note.ts';

/** C2SP tlog-checkpoint: what a log says of itself, as the text of a signed note. */
export type Checkpoint = {
  /** Name of the log, which is that of the key that signs it. */
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
};

const SIZE = /^(0|[1-9]\d{0,15})$/;
const ORIGIN = /^[^\s+\p{Cc}]{1,255}$/u;

/** Throws RangeError for what {@link parseCheckpoint} would refuse. */
export const formatCheckpoint = ({ origin, size, root }: Checkpoint): string => {
  if (!ORIGIN.test(origin) || !Number.isSafeInteger(size) || size < 0 || root.length !== HASH_BYTES)
    throw new RangeError('a checkpoint has an origin, a size and a root of 32 bytes');
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
};

/**
 * Reads the text of a note; null for what is no checkpoint. Attacker-controlled. Lines after the third are extensions, which
 * are signed but mean nothing here.
 */
export const parseCheckpoint = (text: string): Checkpoint | null => {
  const [origin = '', size = '', encoded = '', ...rest] = text.split('\n');
  const root = strictBase64(encoded);
  if (rest.length === 0 || rest.at(-1) !== '' || rest.slice(0, -1).includes('')) return null;
  if (!ORIGIN.test(origin) || !SIZE.test(size) || !Number.isSafeInteger(Number(size))) return null;
  if (root?.length !== HASH_BYTES) return null;
  return { origin, size: Number(size), root };
};

/** What a log calls itself in its first, second … epoch: the suffix keeps a witness from taking a restored log for the old one. */
export const epochOrigin = (log: string, epoch: number): string =>
  epoch === 1 ? log : `${log}/epoch-${epoch}`;

/** The log and the epoch that an origin names; anything without a suffix of ours is a first epoch. */
export const parseOrigin = (origin: string): { readonly log: string; readonly epoch: number } => {
  const [, log, epoch] = /^(.+)\/epoch-([2-9]|[1-9]\d{1,5})$/.exec(origin) ?? [];
  return log === undefined ? { log: origin, epoch: 1 } : { log, epoch: Number(epoch) };
};

const NAME_DIGITS = 16;

/** Under which name a checkpoint is kept elsewhere: names in order are checkpoints in order. */
export const checkpointName = (size: number): string => String(size).padStart(NAME_DIGITS, '0');

/** The size that such a name stands for, or null for any other text. */
export const sizeOfCheckpointName = (name: string): number | null => {
  const size = /^\d{16}$/.test(name) ? Number(name) : 0;
  return Number.isSafeInteger(size) && size > 0 ? size : null;
};

/**
 * The checkpoint of a note that one of the log's own keys has signed; null for anything else: no note, no checkpoint, of
 * another log, signed by nobody we know or wrongly. Attacker-controlled.
 */
export const openCheckpoint = (
  note: string,
  { origin, keys }: { readonly origin: string; readonly keys: readonly NoteKey[] },
): Checkpoint | null => {
  const parsed = parseNote(note);
  const checkpoint = parsed && parseCheckpoint(parsed.text);
  if (parsed === null || checkpoint === null || checkpoint.origin !== origin) return null;
  const verified = verifyNote(
    parsed,
    keys.filter(({ type }) => type === keyTypes.ed25519),
  );
  return verified !== null && verified.length > 0 ? checkpoint : null;
};
