import type { Codec } from './facts.ts';
import { type Parser, pass, peek, type Sink } from './pull.ts';
import { sampleFormatOf } from './samples.ts';
import { FMT_BYTES, parseWavFormat, type WavFormat } from './wav-format.ts';

/** As much behind the stated end of the sound is looked at to tell sound from anything else. */
const SEAM_BYTES = 4096;
/** Fewer bytes than these, 64 ms at most, are a tag or what fills up a sector, and no part of a call. */
export const FEWEST_BEYOND = 512;

export type Beyond = {
  /** Bytes of sound behind its stated end. */
  readonly sound: number;
  /** There are bytes enough to be a part of the call, and they are not known to be sound. */
  readonly unknown: boolean;
};

const NOTHING: Beyond = { sound: 0, unknown: false };
const UNKNOWN_BYTES: Beyond = { sound: 0, unknown: true };

/**
 * Bytes that follow the data of a WAV file. A recorder that writes the length from time to time and is killed leaves a length
 * that was true once, and the sound goes on behind it; one that goes on with a call may write its sound as more data, or a whole
 * file behind the first, whose header is then a click of a few milliseconds. `present` bytes of data lie before; `to` is given
 * what goes on. A file that was made larger beforehand ends in zeros, which are left out. What is not the same sound is left
 * where it is.
 */
export function* readBeyond(format: WavFormat | null, present: number, to: Sink): Parser<Beyond> {
  const seam = yield* peek(SEAM_BYTES);
  if (seam.length < FEWEST_BEYOND) return NOTHING;
  const length = format === null ? null : lengthOf(seam, format);
  if (format === null || length === null || !isLikeSound(seam, format, present)) return UNKNOWN_BYTES;
  let sound = 0;
  let zeros = 0;
  const give = (bytes: Buffer): void => {
    sound += bytes.length;
    to(bytes);
  };
  const giveZeros = (count: number): void => {
    for (let left = count; left > 0; left -= ZEROS.length) give(ZEROS.subarray(0, left));
  };
  yield* pass(length, (bytes) => {
    const end = endOfSound(bytes);
    if (end > 0) {
      giveZeros(zeros);
      give(bytes.subarray(0, end));
      zeros = 0;
    }
    zeros += bytes.length - end;
  });
  const block = format.blockBytes ?? 1;
  // A sample may end in a zero, and of a stated length all counts.
  if (length !== Number.POSITIVE_INFINITY) giveZeros(zeros);
  else if (sound > 0) giveZeros(Math.min(zeros, (block - ((present + sound) % block)) % block));
  return { sound, unknown: false };
}

const HEAD_BYTES = 8;
const FILE_HEAD_BYTES = 12;

/**
 * How many bytes of what begins here may be the same sound: of bare samples all, of data what it states, of a file all if its
 * samples are of the same kind. Null when none: samples must lie behind a header as they would without it.
 */
const lengthOf = (seam: Buffer, { codec, channels, sampleRate, blockBytes }: WavFormat): number | null => {
  const idAt = (at: number): string => seam.toString('latin1', at, at + 4);
  const isInStep = (bytes: number): boolean => blockBytes !== null && bytes % blockBytes === 0;
  if (idAt(0) === 'data') return isInStep(HEAD_BYTES) ? HEAD_BYTES + seam.readUInt32LE(4) : null;
  if (idAt(0) !== 'RIFF' || idAt(8) !== 'WAVE') return Number.POSITIVE_INFINITY;
  const next = parseWavFormat(
    seam.subarray(FILE_HEAD_BYTES + HEAD_BYTES, FILE_HEAD_BYTES + HEAD_BYTES + FMT_BYTES),
  );
  const isSame =
    idAt(FILE_HEAD_BYTES) === 'fmt ' &&
    next?.codec === codec &&
    next.channels === channels &&
    next.sampleRate === sampleRate;
  const dataAt = seam.indexOf('data', FILE_HEAD_BYTES, 'latin1');
  return isSame && dataAt !== -1 && isInStep(dataAt + HEAD_BYTES) ? Number.POSITIVE_INFINITY : null;
};

const ZEROS = Buffer.alloc(65_536);

const endOfSound = (bytes: Buffer): number => {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
};

/** Mean amplitudes, of 32,768: below the one is a quiet line whatever it looks like, above the other no telephone. */
const QUIET = 1500;
const TOO_LOUD = 20_000;
/** From one sample to the next a voice or a tone moves by less than it is loud; numbers at random by a third more. */
const ROUGH = 1.15;
/** Sound swings about zero; text and tables lie on one side of it. */
const ONE_SIDED = 0.8;

/** The codes of one channel as numbers that are read without a decoder; false for codecs that need one. */
const isLikeSound = (bytes: Buffer, { codec, blockBytes }: WavFormat, present: number): boolean => {
  const samples = codec === null ? null : sampleFormatOf(codec);
  if (codec === null || samples === null || blockBytes === null) return false;
  const from = (blockBytes - (present % blockBytes)) % blockBytes;
  const count = Math.floor((bytes.length - from) / blockBytes);
  if (count < 2) return false;
  const loudest = samples.loudestIn(bytes);
  let [sum, moved, total, before] = [0, 0, 0, 0];
  for (let n = 0; n < count; n += 1) {
    const at = from + n * blockBytes;
    const amplitude = loudest(at, blockBytes, 1);
    const value = isNegative(codec, bytes[at + samples.bytes - 1]!) ? -amplitude : amplitude;
    sum += value;
    total += amplitude;
    moved += n === 0 ? 0 : Math.abs(value - before);
    before = value;
  }
  const mean = total / count;
  if (mean < QUIET) return true;
  return mean < TOO_LOUD && moved < ROUGH * total && Math.abs(sum) < ONE_SIDED * total;
};

/** By the byte that holds the sign. */
const isNegative = (codec: Codec, byte: number): boolean =>
  codec === 'pcm_u8' || codec === 'alaw' || codec === 'ulaw' ? byte < 0x80 : byte >= 0x80;
