import type { Codec } from './facts.ts';

/** Greatest amplitude a sample can have: that of the most negative 16-bit sample. */
export const FULL_SCALE = 32_768;

/** The greatest amplitude, 0..{@link FULL_SCALE}, of `count` samples that begin at `offset` and lie `stride` bytes apart. */
export type LoudestOf = (bytes: Buffer, offset: number, stride: number, count: number) => number;

/** How the samples of a codec lie in the stream, for those that are read without decoding state. */
export type SampleFormat = { readonly bytes: number; readonly loudest: LoudestOf };

// One pass with two bounds instead of an absolute value each: three times as fast in V8, and this loop sees every byte.
const loudestInt16 =
  (skew: number): LoudestOf =>
  (bytes, offset, stride, count) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let low = 0;
    let high = 0;
    for (let at = offset + skew, end = at + stride * count; at < end; at += stride) {
      const sample = view.getInt16(at, true);
      if (sample > high) high = sample;
      else if (sample < low) low = sample;
    }
    return Math.max(high, -low);
  };

const loudestByTable =
  (amplitudes: Uint16Array): LoudestOf =>
  (bytes, offset, stride, count) => {
    let high = 0;
    for (let at = offset, end = at + stride * count; at < end; at += stride) {
      const amplitude = amplitudes[bytes[at]!]!;
      if (amplitude > high) high = amplitude;
    }
    return high;
  };

/** Floats are attacker-controlled: NaN compares false and is passed over, infinities are cut to full scale. */
const loudestFloat =
  (read: (view: DataView, at: number) => number): LoudestOf =>
  (bytes, offset, stride, count) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let high = 0;
    for (let at = offset, end = at + stride * count; at < end; at += stride) {
      const amplitude = Math.abs(read(view, at));
      if (amplitude > high) high = amplitude;
    }
    return Math.round(Math.min(high, 1) * FULL_SCALE);
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
  pcm_u8: { bytes: 1, loudest: loudestByTable(tableOf((code) => Math.abs(code - 128) << 8)) },
  pcm_s16: { bytes: 2, loudest: loudestInt16(0) },
  // The two high bytes of a wider sample say all that a picture of the call needs.
  pcm_s24: { bytes: 3, loudest: loudestInt16(1) },
  pcm_s32: { bytes: 4, loudest: loudestInt16(2) },
  pcm_f32: { bytes: 4, loudest: loudestFloat((view, at) => view.getFloat32(at, true)) },
  pcm_f64: { bytes: 8, loudest: loudestFloat((view, at) => view.getFloat64(at, true)) },
  alaw: { bytes: 1, loudest: loudestByTable(tableOf(alawAmplitude)) },
  ulaw: { bytes: 1, loudest: loudestByTable(tableOf(ulawAmplitude)) },
};

/** The sample format of a codec, or null where the codec has to be decoded first. */
export const sampleFormatOf = (codec: Codec): SampleFormat | null => formats[codec] ?? null;
