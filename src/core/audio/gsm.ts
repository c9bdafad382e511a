/**
 * Decoder of GSM 06.10 full rate (ETSI EN 300 961), exact to the bit in 16-bit arithmetic. It follows the structure of the
 * reference implementation by Jutta Degener and Carsten Bormann, whose notice asks to be kept:
 *
 * Copyright 1992, 1993, 1994 by Jutta Degener and Carsten Bormann, Technische Universitaet Berlin. Any use of this software
 * is permitted provided that this notice is not removed and that neither the authors nor the Technische Universitaet Berlin
 * are deemed to have made any representations as to the suitability of this software for any purpose nor are held
 * responsible for any defects of this software. THERE IS ABSOLUTELY NO WARRANTY FOR THIS SOFTWARE.
 */
export const GSM_FRAME_SAMPLES = 160;

/** Bits of the parameters of a frame, in their order: eight reflection coefficients, then four subframes of 17. */
const COEFFICIENT_BITS = [6, 6, 5, 5, 4, 4, 3, 3];
const SUBFRAME_BITS = [7, 2, 2, 6, ...Array<number>(13).fill(3)];
const parameterBits = [...COEFFICIENT_BITS, ...[0, 1, 2, 3].flatMap(() => SUBFRAME_BITS)];
export const GSM_PARAMETERS = parameterBits.length;

/** First half of the first byte of a frame that stands alone. */
const MARK = 0xd;

/** Reads a frame of 33 bytes, most significant bit first; false where it does not begin as every frame does. */
export const unpackFrame = (bytes: Buffer, at: number, parameters: Uint8Array): boolean => {
  if (bytes[at]! >> 4 !== MARK) return false;
  let bit = at * 8 + 4;
  for (let i = 0; i < GSM_PARAMETERS; i += 1) {
    const width = parameterBits[i]!;
    const word = (bytes[bit >> 3]! << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    parameters[i] = (word >> (16 - (bit & 7) - width)) & ((1 << width) - 1);
    bit += width;
  }
  return true;
};

/** Reads one of the two frames of a block of 65 bytes, as WAV packs them: least significant bit first, no mark. */
export const unpackHalf = (bytes: Buffer, at: number, half: 0 | 1, parameters: Uint8Array): void => {
  let bit = at * 8 + half * 260;
  for (let i = 0; i < GSM_PARAMETERS; i += 1) {
    const width = parameterBits[i]!;
    const word = bytes[bit >> 3]! | ((bytes[(bit >> 3) + 1] ?? 0) << 8);
    parameters[i] = (word >> (bit & 7)) & ((1 << width) - 1);
    bit += width;
  }
};

/** Where the first `xmaxc` lies in a frame, and how far from one to the next. */
const LEVEL_BIT = 36 + 11;
const SUBFRAME_WIDTH = 56;
const MARK_BITS = 4;
const HALF_BITS = 260;

/** Greatest pulse of a subframe, 31 to 32,767 (table 4.5). */
const pulses = Uint16Array.from({ length: 64 }, (_, level) =>
  level < 16 ? 32 * (level + 1) - 1 : (((level & 7) + 9) << ((level >> 3) + 4)) - 1,
);

/** Greatest pulse of a frame of 33 bytes, without decoding it; 0 where it does not begin as every frame does. */
export const frameExcitation = (bytes: Buffer, at: number): number => {
  if (bytes[at]! >> 4 !== MARK) return 0;
  let most = 0;
  for (
    let subframe = 0, bit = at * 8 + MARK_BITS + LEVEL_BIT;
    subframe < 4;
    subframe += 1, bit += SUBFRAME_WIDTH
  ) {
    const word = (bytes[bit >> 3]! << 8) | bytes[(bit >> 3) + 1]!;
    most = Math.max(most, pulses[(word >> (10 - (bit & 7))) & 63]!);
  }
  return most;
};

/** The same of one of the two frames of a block of 65 bytes. */
export const halfExcitation = (bytes: Buffer, at: number, half: 0 | 1): number => {
  let most = 0;
  for (
    let subframe = 0, bit = at * 8 + half * HALF_BITS + LEVEL_BIT;
    subframe < 4;
    subframe += 1, bit += SUBFRAME_WIDTH
  ) {
    const word = bytes[bit >> 3]! | (bytes[(bit >> 3) + 1]! << 8);
    most = Math.max(most, pulses[(word >> (bit & 7)) & 63]!);
  }
  return most;
};

const saturate = (value: number): number => (value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value);
const multiply = (a: number, b: number): number => (a * b + 16_384) >> 15;

/** Offsets, minima and inverse slopes of the coefficients (table 4.1). */
const offsets = [0, 0, 2048, -2560, 94, -1792, -341, -1144];
const minima = [-32, -32, -16, -16, -8, -8, -4, -4];
const slopes = [13_107, 13_107, 13_107, 13_107, 19_223, 17_476, 31_454, 29_708];
/** Gains of the long-term predictor (table 4.3b) and mantissas of the pulses (table 4.6). */
const gains = [3277, 11_469, 21_299, 32_767];
const mantissas = [18_431, 20_479, 22_527, 24_575, 26_623, 28_671, 30_719, 32_767];

const HISTORY = 120;
const SUBFRAME = 40;
const MIN_LAG = 40;
const DE_EMPHASIS = 28_180;

/** Where one set of interpolated coefficients ends and the next begins. */
const interpolationEnds = [13, 27, 40, GSM_FRAME_SAMPLES];

const reflectionOf = (ratio: number): number => {
  const size = ratio === -32_768 ? 32_767 : Math.abs(ratio);
  const value = size < 11_059 ? size << 1 : size < 20_070 ? size + 11_059 : saturate((size >> 2) + 26_112);
  return ratio < 0 ? -value : value;
};

const interpolate = (part: number, before: number, now: number): number => {
  if (part === 0) return saturate(saturate((before >> 2) + (now >> 2)) + (before >> 1));
  if (part === 1) return saturate((before >> 1) + (now >> 1));
  return part === 2 ? saturate(saturate((before >> 2) + (now >> 2)) + (now >> 1)) : now;
};

/** The pulses of a subframe, scaled, on their grid (§4.2.15–17); the rest of it is nothing. */
const placePulses = (parameters: Uint8Array, at: number, residual: Int16Array): void => {
  const grid = parameters[at + 2]!;
  const level = parameters[at + 3]!;
  let exponent = level > 15 ? (level >> 3) - 1 : 0;
  let mantissa = level - (exponent << 3);
  if (mantissa === 0) {
    exponent = -4;
    mantissa = 7;
  } else {
    for (; mantissa <= 7; exponent -= 1) mantissa = (mantissa << 1) | 1;
    mantissa -= 8;
  }
  const shift = 6 - exponent;
  const rounding = shift === 0 ? 0 : 1 << (shift - 1);
  residual.fill(0);
  for (let i = 0; i < 13; i += 1) {
    const pulse = ((parameters[at + 4 + i]! << 1) - 7) << 12;
    residual[grid + 3 * i] = saturate(multiply(mantissas[mantissa]!, pulse) + rounding) >> shift;
  }
};

/** A decoder in its first state. Any 76 parameters decode to something, and nothing throws. */
export const createGsmDecoder = () => {
  /** What was excited before, then the subframe at hand. */
  const excitation = new Int16Array(HISTORY + SUBFRAME);
  const residual = new Int16Array(SUBFRAME);
  const excited = new Int16Array(GSM_FRAME_SAMPLES);
  const filter = new Int16Array(9);
  const reflections = new Int16Array(8);
  let before = new Int16Array(8);
  let now = new Int16Array(8);
  let lag = MIN_LAG;
  let emphasis = 0;

  const excite = (parameters: Uint8Array): void => {
    for (let subframe = 0; subframe < 4; subframe += 1) {
      const at = COEFFICIENT_BITS.length + subframe * SUBFRAME_BITS.length;
      placePulses(parameters, at, residual);
      const asked = parameters[at]!;
      if (asked >= MIN_LAG && asked <= HISTORY) lag = asked;
      const gain = gains[parameters[at + 1]!]!;
      for (let k = 0; k < SUBFRAME; k += 1)
        excitation[HISTORY + k] = saturate(residual[k]! + multiply(gain, excitation[HISTORY + k - lag]!));
      excited.set(excitation.subarray(HISTORY), subframe * SUBFRAME);
      excitation.copyWithin(0, SUBFRAME);
    }
  };

  const decodeRatios = (parameters: Uint8Array): void => {
    [before, now] = [now, before];
    for (let i = 0; i < 8; i += 1) {
      const coded = saturate((parameters[i]! + minima[i]!) << 10);
      const half = multiply(slopes[i]!, saturate(coded - (offsets[i]! << 1)));
      now[i] = saturate(half + half);
    }
  };

  const synthesise = (out: Int16Array, at: number): void => {
    let k = 0;
    for (let part = 0; part < 4; part += 1) {
      for (let i = 0; i < 8; i += 1) reflections[i] = reflectionOf(interpolate(part, before[i]!, now[i]!));
      for (; k < interpolationEnds[part]!; k += 1) {
        let sample = excited[k]!;
        for (let i = 7; i >= 0; i -= 1) {
          const reflection = reflections[i]!;
          sample = saturate(sample - multiply(reflection, filter[i]!));
          filter[i + 1] = saturate(filter[i]! + multiply(reflection, sample));
        }
        filter[0] = sample;
        emphasis = saturate(sample + multiply(emphasis, DE_EMPHASIS));
        out[at + k] = saturate(emphasis + emphasis) & 0xfff8;
      }
    }
  };

  return {
    /** Decodes one frame to 160 samples of `out` from `at`. */
    frame(parameters: Uint8Array, out: Int16Array, at: number): void {
      excite(parameters);
      decodeRatios(parameters);
      synthesise(out, at);
    },
  };
};
