import { HASH_BYTES } from './merkle.ts';
import { strictBase64 } from './note.ts';

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
