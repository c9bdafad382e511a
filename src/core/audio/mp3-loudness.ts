import type { Mp3Header } from './mp3-header.ts';
import { FULL_SCALE } from './samples.ts';

/** Bytes that a frame's header, checksum and side information take at most. */
export const SIDE_END = 4 + 2 + 32;

const GRANULE_SAMPLES = 576;
/** A gain of this leaves the lines as they are. */
const UNITY_GAIN = 210;
/** Of the greatest line to the loudest sample of its granule and of the one before, in which it sounds as well; fitted. */
const SCALE = FULL_SCALE * 2 ** 1.9;
/** How much of the most by which a granule's bands can be turned down they usually are, in powers of two; fitted. */
const BANDS_TURNED_DOWN = 0.35;

/** By code book: the greatest line it can say, and that of the next smaller book, which would have been taken for less. */
const plainBooks = {
  most: [0, 1, 2, 2, 0, 3, 3, 5, 5, 5, 7, 7, 7, 15, 0, 15],
  less: [0, 0, 1, 1, 0, 2, 2, 3, 3, 3, 5, 5, 5, 7, 0, 7],
};
/** Two sets of books behind them, whose greatest line is 15 and what so many bits can say besides. */
const longBooks = [Uint8Array.of(1, 2, 3, 4, 6, 8, 10, 13), Uint8Array.of(4, 5, 6, 7, 8, 9, 11, 13)];

/** Of the greatest line, which lies somewhere between the two; lines are coded by their power of 3/4. */
const amplitudeOf = (most: number, less: number): number => Math.sqrt((less + 1) * most) ** (4 / 3);
const longAmplitudes = (bits: Uint8Array): number[] =>
  Array.from(bits, (count, i) => amplitudeOf(14 + 2 ** count, i === 0 ? 15 : 14 + 2 ** bits[i - 1]!));
const amplitudes = Float64Array.of(
  ...plainBooks.most.map((most, book) => amplitudeOf(most, plainBooks.less[book]!)),
  ...longBooks.flatMap(longAmplitudes),
);

/** Amplitude of a line of one, by the gain of its granule. */
const gains = Float64Array.from({ length: 256 }, (_, gain) => SCALE * 2 ** ((gain - UNITY_GAIN) / 4));

/** Bits of the greater scale factors by `scalefac_compress`: MPEG-1, whose codes have 4 bits, and MPEG-2, whose have 9. */
const lengths1 = [0, 0, 0, 0, 3, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4];
const lengths2 = Array.from({ length: 512 }, (_, code) => {
  if (code < 400) return Math.floor((code >> 4) / 5);
  return Math.floor(code < 500 ? ((code - 400) >> 2) / 5 : (code - 500) / 3);
});
/** By how much the bands are taken to be turned down, by the same codes: in steps of half a power of two, and in whole ones. */
const turnedDown = (lengths: readonly number[], step: number): Float64Array =>
  Float64Array.from(lengths, (bits) => 2 ** (-BANDS_TURNED_DOWN * (2 ** bits - 1) * step));
const bands1 = [turnedDown(lengths1, 0.5), turnedDown(lengths1, 1)];
const bands2 = [turnedDown(lengths2, 0.5), turnedDown(lengths2, 1)];

/** The 32 bits from a bit on. */
const wordAt = (bytes: Buffer, bit: number): number => {
  const at = bit >> 3;
  const word = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  const shift = bit & 7;
  return shift === 0 ? word : (word << shift) | (bytes[at + 4]! >> (8 - shift));
};

/** Bits of the second word of a granule: whether it is windowed, and 22 more that depend on it. */
const WINDOW_WORD_BITS = 23;
const SHORT = 2;

/** The amplitude of one granule of one channel, whose side information begins at `bit`. */
const amplitudeAt = (bytes: Buffer, bit: number, mpeg1: boolean): number => {
  // part2_3_length 12, big_values 9, global_gain 8.
  const head = wordAt(bytes, bit);
  if (head >>> 20 === 0) return 0;
  const pairs = (head >>> 11) & 511;
  // scalefac_compress 4 or 9, then the window word.
  const compressBits = mpeg1 ? 4 : 9;
  const body = wordAt(bytes, bit + 29);
  const compress = body >>> (32 - compressBits);
  const word = (body >>> (32 - compressBits - WINDOW_WORD_BITS)) & 0x7f_ffff;
  const behind = bit + 29 + compressBits + WINDOW_WORD_BITS + (mpeg1 ? 1 : 0);
  const step = (bytes[behind >> 3]! >> (7 - (behind & 7))) & 1;
  // Without pairs there are lines of one at most.
  const most = pairs === 0 ? 1 : greatestLine(word);
  return most * gains[(head >>> 3) & 255]! * (mpeg1 ? bands1 : bands2)[step]![compress]!;
};

/**
 * Amplitude of the greatest line by the code books. Windowed: block type 2, mixed 1, two books, three gains of 3 bits, by which the
 * windows of a short block are turned down. Not windowed: three books and two counts.
 */
const greatestLine = (word: number): number => {
  const isWindowed = word >>> 22 === 1;
  if (!isWindowed) return Math.max(book(word >>> 17), book(word >>> 12), book(word >>> 7));
  const most = Math.max(book(word >>> 14), book(word >>> 9));
  if (((word >>> 20) & 3) !== SHORT) return most;
  return most * 4 ** -Math.min((word >>> 6) & 7, (word >>> 3) & 7, word & 7);
};
const book = (bits: number): number => amplitudes[bits & 31]!;

const JOINT = 1;

/**
 * How loud a frame of MPEG Layer III is, by its side information alone (ISO/IEC 11172-3 §2.4.1.7, 13818-3 §2.4.1.7): the gain of
 * each granule and the code books of its lines, which bound the greatest of them. No line is decoded, which would cost several
 * times what storing the call does. Silence is exact; of anything else four in five estimates lie within 12 dB of what a decoder
 * says (loudness.test.ts), for the gain of single bands is not looked at but guessed.
 *
 * Every bit is attacker-controlled, and any bits are some amplitude. `frame` reads up to {@link SIDE_END} bytes.
 */
export const createMp3Loudness = ({ samples, channels }: Mp3Header) => {
  const mpeg1 = samples > GRANULE_SAMPLES;
  const granules = samples / GRANULE_SAMPLES;
  const levels = Array.from({ length: granules }, () => new Float64Array(channels));
  // The shared head of the side information: where its sound begins, private bits, which scale factors are taken again.
  const headBits = mpeg1 ? (channels === 1 ? 18 : 20) : channels === 1 ? 9 : 10;
  const granuleBits = mpeg1 ? 59 : 63;
  return {
    /** Samples per channel that one granule is. */
    granuleSamples: GRANULE_SAMPLES,
    /** Amplitudes of each granule, channel by channel; they hold until the next frame is read. */
    frame(bytes: Buffer, at: number): readonly Float64Array[] {
      const checked = (bytes[at + 1]! & 1) === 0;
      const mode = bytes[at + 3]!;
      let bit = (at + (checked ? 6 : 4)) * 8 + headBits;
      for (const level of levels) {
        for (let channel = 0; channel < channels; channel += 1, bit += granuleBits)
          level[channel] = amplitudeAt(bytes, bit, mpeg1);
        if (mode >> 6 === JOINT) separate(level, mode);
      }
      return levels;
    },
  };
};

/**
 * Of a sum and a difference, and of a channel with directions, nothing tells which channel is the loud one: both are taken for it.
 */
const separate = (level: Float64Array, mode: number): void => {
  if ((mode & 0x30) !== 0) level.fill(Math.max(level[0]!, level[1]!));
};
