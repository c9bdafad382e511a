import type { Codec } from './facts.ts';
import { createSampleVectors, type SampleVectors, VECTOR_BYTES } from './sample-vectors.ts';

/** Greatest amplitude a sample can have: that of the most negative 16-bit sample, and one more. */
export const FULL_SCALE = 32_768;

/**
 * The greatest amplitude, 0..{@link FULL_SCALE}, of `count` samples that begin at `offset` and lie `stride` bytes apart. Of a
 * negative integer it is the one's complement, one less than the absolute value: no picture shows the difference.
 */
export type Loudest = (offset: number, stride: number, count: number) => number;

/**
 * How the samples of a codec lie in the stream, for those that are read without decoding state. What `loudestIn` answers holds
 * until it is asked again.
 */
export type SampleFormat = { readonly bytes: number; readonly loudestIn: (bytes: Buffer) => Loudest };

const magnitude = (value: number): number => value ^ (value >> 31);

/** 16-bit samples that lie somewhere in wider ones, `skew` bytes from their beginning. */
const loudestInt16 =
  (skew: number): SampleFormat['loudestIn'] =>
  (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return (offset, stride, count) => {
      let high = 0;
      for (let at = offset + skew, end = at + stride * count; at < end; at += stride) {
        const sample = magnitude(view.getInt16(at, true));
        if (sample > high) high = sample;
      }
      return high;
    };
  };

const vectors = createSampleVectors();

type Lanes = {
  /** Bytes of one. */
  readonly bytes: number;
  /** Of whole vectors: what is greatest in each place. */
  readonly most: (vectors: SampleVectors, offset: number, count: number) => Int16Array | Uint8Array;
  readonly amplitude: (most: number) => number;
};

/** One channel, or one of two, as many samples of both as fit into a vector; the few behind the last whole one one by one. */
const loudestInVectors =
  (lanes: Lanes, oneByOne: SampleFormat['loudestIn']): SampleFormat['loudestIn'] =>
  (bytes) => {
    const each = oneByOne(bytes);
    if (vectors === null || bytes.length < VECTOR_BYTES || bytes.length > vectors.capacity) return each;
    vectors.load(bytes);
    return (offset, stride, count) => {
      const whole = Math.floor((stride * count) / VECTOR_BYTES);
      if (VECTOR_BYTES % stride !== 0 || whole === 0) return each(offset, stride, count);
      const found = lanes.most(vectors, offset, whole);
      let most = 0;
      for (let lane = 0; lane < found.length; lane += stride / lanes.bytes)
        if (found[lane]! > most) most = found[lane]!;
      const behind = whole * VECTOR_BYTES;
      return Math.max(lanes.amplitude(most), each(offset + behind, stride, count - behind / stride));
    };
  };

const int16Lanes: Lanes = {
  bytes: 2,
  most: (all, offset, count) => all.loudest(offset, count),
  amplitude: (most) => most,
};

/** Codes of G.711: the louder, the greater, once the right bits are inverted and the sign is left out. */
const codeLanes = (flipped: number, amplitude: (code: number) => number): Lanes => ({
  bytes: 1,
  most: (all, offset, count) => all.greatest(offset, count, flipped),
  amplitude: (most) => amplitude(most ^ flipped),
});

const loudestInt16BE: SampleFormat['loudestIn'] = (bytes) => (offset, stride, count) => {
  let high = 0;
  for (let at = offset, end = at + stride * count; at < end; at += stride) {
    const sample = magnitude(((bytes[at]! << 24) >> 16) | bytes[at + 1]!);
    if (sample > high) high = sample;
  }
  return high;
};

const loudestByTable =
  (amplitudes: Uint16Array): SampleFormat['loudestIn'] =>
  (bytes) =>
  (offset, stride, count) => {
    let high = 0;
    for (let at = offset, end = at + stride * count; at < end; at += stride) {
      const amplitude = amplitudes[bytes[at]!]!;
      if (amplitude > high) high = amplitude;
    }
    return high;
  };

/** Floats are attacker-controlled: NaN compares false and is passed over, infinities are cut to full scale. */
const loudestFloat =
  (read: (view: DataView, at: number) => number): SampleFormat['loudestIn'] =>
  (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return (offset, stride, count) => {
      let high = 0;
      for (let at = offset, end = at + stride * count; at < end; at += stride) {
        const amplitude = Math.abs(read(view, at));
        if (amplitude > high) high = amplitude;
      }
      return Math.round(Math.min(high, 1) * FULL_SCALE);
    };
  };

const tableOf = (amplitude: (code: number) => number): Uint16Array =>
  Uint16Array.from({ length: 256 }, (_, i) => amplitude(i));

/** ITU-T G.711 §3, A-law: alternate bits inverted, three bits of segment, four of step; 13 bits scaled to 16. */
const alawAmplitude = (code: number): number => {
  const value = code ^ 0x55;
  const segment = (value >> 4) & 7;
  const step = ((value & 15) << 4) + 8;
  return segment === 0 ? step : (step + 256) << (segment - 1);
};

/** ITU-T G.711 §3, µ-law: all bits inverted; 14 bits scaled to 16. */
const ulawAmplitude = (code: number): number => {
  const value = ~code & 0x7f;
  return ((((value & 15) << 3) + 132) << (value >> 4)) - 132;
};

const formats: Partial<Record<Codec, SampleFormat>> = {
  pcm_u8: { bytes: 1, loudestIn: loudestByTable(tableOf((code) => Math.abs(code - 128) << 8)) },
  pcm_s16: { bytes: 2, loudestIn: loudestInVectors(int16Lanes, loudestInt16(0)) },
  pcm_s16be: { bytes: 2, loudestIn: loudestInt16BE },
  // The two high bytes of a wider sample say all that a picture of the call needs.
  pcm_s24: { bytes: 3, loudestIn: loudestInt16(1) },
  pcm_s32: { bytes: 4, loudestIn: loudestInt16(2) },
  pcm_f32: { bytes: 4, loudestIn: loudestFloat((view, at) => view.getFloat32(at, true)) },
  pcm_f64: { bytes: 8, loudestIn: loudestFloat((view, at) => view.getFloat64(at, true)) },
  alaw: {
    bytes: 1,
    loudestIn: loudestInVectors(codeLanes(0x55, alawAmplitude), loudestByTable(tableOf(alawAmplitude))),
  },
  ulaw: {
    bytes: 1,
    loudestIn: loudestInVectors(codeLanes(0xff, ulawAmplitude), loudestByTable(tableOf(ulawAmplitude))),
  },
};

/** The sample format of a codec, or null where the codec has to be decoded first. */
export const sampleFormatOf = (codec: Codec): SampleFormat | null => formats[codec] ?? null;
