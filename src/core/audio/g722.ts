/**
 * Decoder of ITU-T G.722 at 64 kbit/s: each byte is two samples at 16 kHz, six bits of the lower band and two of the upper.
 * Names of the blocks as in the recommendation, §6.
 */
const saturate = (value: number): number => (value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value);

/** §6.2.1, tables 14 to 21. */
const lowFactors = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const lowRanks = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const highFactors = [0, -214, 798];
const highRanks = [2, 1, 2, 1];
const scales = [
  2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960,
  3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
const highLevels = [-7408, -1616, 7408, 1616];
const lowLevels4 = [
  0, -20_456, -12_896, -8968, -6288, -4240, -2584, -1200, 20_456, 12_896, 8968, 6288, 4240, 2584, 1200, 0,
];
const lowLevels6 = [
  -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232,
  -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032,
  -1688, -1360, -1040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9360,
  8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728,
  432, 136, -432, -136,
];
/** Half of the receiving filter; the other half is its mirror. */
const mirror = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

type Band = {
  /** Logarithmic and linear scale of the quantiser. */
  log: number;
  scale: number;
  /** Predicted signal, and the part of it from the zeros. */
  signal: number;
  zeros: number;
  /** Predictor of two poles and six zeros: coefficients, and what they are applied to; index 0 is unused. */
  readonly poles: Int16Array;
  readonly zeroGains: Int16Array;
  readonly reconstructed: Int16Array;
  readonly partial: Int16Array;
  readonly differences: Int16Array;
};

const newBand = (scale: number): Band => ({
  ...{ log: 0, scale, signal: 0, zeros: 0 },
  poles: new Int16Array(3),
  zeroGains: new Int16Array(7),
  reconstructed: new Int16Array(3),
  partial: new Int16Array(3),
  differences: new Int16Array(7),
});

/** SCALEL and SCALEH. */
const scaleOf = (log: number, base: number): number => {
  const shift = base - (log >> 11);
  const scale = scales[(log >> 6) & 31]!;
  return (shift < 0 ? scale << -shift : scale >> shift) << 2;
};

const sameSign = (a: number, b: number): boolean => a >> 15 === b >> 15;

/** UPPOL2 and UPPOL1. */
const adaptPoles = ({ poles, partial }: Band): void => {
  const four = saturate(poles[1]! << 2);
  const turned = Math.min(32_767, sameSign(partial[0]!, partial[1]!) ? -four : four);
  const second =
    (sameSign(partial[0]!, partial[2]!) ? 128 : -128) + (turned >> 7) + ((poles[2]! * 32_512) >> 15);
  const pole2 = Math.max(-12_288, Math.min(12_288, second));
  const first = saturate((sameSign(partial[0]!, partial[1]!) ? 192 : -192) + ((poles[1]! * 32_640) >> 15));
  const bound = saturate(15_360 - pole2);
  poles[1] = Math.max(-bound, Math.min(bound, first));
  poles[2] = pole2;
};

/** UPZERO. */
const adaptZeros = ({ zeroGains, differences }: Band): void => {
  const step = differences[0] === 0 ? 0 : 128;
  for (let i = 1; i < 7; i += 1) {
    const towards = sameSign(differences[i]!, differences[0]!) ? step : -step;
    zeroGains[i] = saturate(towards + ((zeroGains[i]! * 32_640) >> 15));
  }
};

/** FILTEP, FILTEZ and PREDIC. */
const predict = (band: Band): void => {
  const { poles, zeroGains, reconstructed, differences } = band;
  const pole = (i: number): number => (poles[i]! * saturate(reconstructed[i]! * 2)) >> 15;
  let zeros = 0;
  for (let i = 6; i > 0; i -= 1) zeros += (zeroGains[i]! * saturate(differences[i]! * 2)) >> 15;
  band.zeros = saturate(zeros);
  band.signal = saturate(saturate(pole(1) + pole(2)) + band.zeros);
};

/** Block 4: the predictor takes in a quantised difference. */
const adapt = (band: Band, difference: number): void => {
  const { reconstructed, partial, differences } = band;
  differences[0] = difference;
  reconstructed[0] = saturate(band.signal + difference);
  partial[0] = saturate(band.zeros + difference);
  adaptPoles(band);
  adaptZeros(band);
  shift(differences);
  shift(reconstructed);
  shift(partial);
  predict(band);
};

/** For so few numbers twice as fast as copyWithin. */
const shift = (values: Int16Array): void => {
  for (let i = values.length - 1; i > 0; i -= 1) values[i] = values[i - 1]!;
};

const BAND_LIMIT = 16_384;
const limitBand = (value: number): number => Math.max(-BAND_LIMIT, Math.min(BAND_LIMIT - 1, value));

/** LOGSCL. */
const nextLowLog = (log: number, coarse: number): number =>
  Math.max(0, Math.min(18_432, ((log * 127) >> 7) + lowFactors[lowRanks[coarse]!]!));

const decodeLow = (band: Band, code: number): number => {
  const out = limitBand(band.signal + ((band.scale * lowLevels6[code]!) >> 15));
  const coarse = code >> 2;
  const difference = (band.scale * lowLevels4[coarse]!) >> 15;
  band.log = nextLowLog(band.log, coarse);
  band.scale = scaleOf(band.log, 8);
  adapt(band, difference);
  return out;
};

const decodeHigh = (band: Band, code: number): number => {
  const difference = (band.scale * highLevels[code]!) >> 15;
  const out = limitBand(band.signal + difference);
  const log = ((band.log * 127) >> 7) + highFactors[highRanks[code]!]!;
  band.log = Math.max(0, Math.min(22_528, log));
  band.scale = scaleOf(band.log, 10);
  adapt(band, difference);
  return out;
};

/**
 * How coarse the quantiser of the lower band becomes, which follows how loud the sound is: answers its greatest scale between two
 * places, and goes on from there. Nothing is decoded.
 */
export const createG722Gauge = () => {
  let log = 0;
  return (bytes: Buffer, from: number, to: number): number => {
    let most = 0;
    for (let at = from; at < to; at += 1) {
      log = nextLowLog(log, (bytes[at]! >> 2) & 15);
      if (log > most) most = log;
    }
    return scaleOf(most, 8);
  };
};

const TAPS = 24;
/** The filter's line is moved back once in so many bytes instead of at each. */
const LINE = 2 * 512 + TAPS;

/** A decoder in its first state. Every byte decodes to two samples, and nothing throws. */
export const createG722Decoder = () => {
  const low = newBand(32);
  const high = newBand(8);
  const line = new Int32Array(LINE);
  let head = TAPS - 2;

  return {
    /** Decodes `bytes` to twice as many samples of `out` from `at`. */
    push(bytes: Buffer, out: Int16Array, at: number): void {
      let to = at;
      for (let i = 0; i < bytes.length; i += 1) {
        const lower = decodeLow(low, bytes[i]! & 63);
        const upper = decodeHigh(high, bytes[i]! >> 6);
        if (head === LINE) {
          line.copyWithin(0, LINE - TAPS + 2);
          head = TAPS - 2;
        }
        line[head] = lower + upper;
        line[head + 1] = lower - upper;
        head += 2;
        let even = 0;
        let odd = 0;
        for (let tap = 0, from = head - TAPS; tap < 12; tap += 1, from += 2) {
          even += line[from]! * mirror[tap]!;
          odd += line[from + 1]! * mirror[11 - tap]!;
        }
        out[to] = saturate(odd >> 11);
        out[to + 1] = saturate(even >> 11);
        to += 2;
      }
    },
  };
};
