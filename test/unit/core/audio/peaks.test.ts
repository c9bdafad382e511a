import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPeakMeter, decodePeaks, MAX_BUCKETS, type Peaks } from '../../../../src/core/audio/peaks.ts';
import { sampleFormatOf } from '../../../../src/core/audio/samples.ts';
import { pcm16 } from '../../../support/audio-files.ts';

const format = sampleFormatOf('pcm_s16')!;

/** Interleaves one array of samples per channel, measures them in pieces, and reads the result back. */
const measure = (
  channels: readonly (readonly number[])[],
  pieceBytes = 1 << 20,
): Peaks & { audible: readonly boolean[] } => {
  const interleaved = channels[0]!.flatMap((_, frame) => channels.map((samples) => samples[frame]!));
  const bytes = pcm16(interleaved);
  const meter = createPeakMeter(format, channels.length, 8000);
  for (let at = 0; at < bytes.length; at += pieceBytes) meter.push(bytes.subarray(at, at + pieceBytes));
  const { encoded, audible } = meter.finish();
  return { ...decodePeaks(encoded)!, audible };
};

/** The plain way, with everything in memory: what the meter must agree with. */
const bucketsOf = (samples: readonly number[], width: number): number[] =>
  Array.from({ length: Math.ceil(samples.length / width) }, (_, i) =>
    Math.min(
      255,
      Math.max(...samples.slice(i * width, (i + 1) * width).map((value) => (value < 0 ? ~value : value))) >>
        7,
    ),
  );

const sample = fc.integer({ min: -32_768, max: 32_767 });

test('buckets are the loudest of their frames, per channel, however the stream is cut', () => {
  const calls = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 5000 }))
    .chain(([channels, frames]) =>
      fc.tuple(
        fc.array(fc.array(sample, { minLength: frames, maxLength: frames }), {
          minLength: channels,
          maxLength: channels,
        }),
        fc.integer({ min: 1, max: 3000 }),
      ),
    );
  fc.assert(
    fc.property(calls, ([channels, pieceBytes]) => {
      const peaks = measure(channels, pieceBytes);
      expect(peaks.channels).toBe(channels.length);
      expect(peaks.sampleRate).toBe(8000);
      peaks.levels.forEach((levels, i) => {
        expect(levels.length).toBeLessThanOrEqual(MAX_BUCKETS);
        expect([...levels]).toEqual(bucketsOf(channels[i]!, peaks.framesPerBucket));
      });
    }),
    { numRuns: 60 },
  );
});

test.each([
  [0, 0, 1],
  [1, 1, 1],
  [999, 999, 1],
  [1000, 500, 2],
  [1001, 501, 2],
  [1999, 1000, 2],
  [2000, 500, 4],
  [1_000_000, 977, 1024],
])('%i frames fill %i buckets of %i', (frames, buckets, width) => {
  const peaks = measure([Array<number>(frames).fill(256)]);
  expect(peaks.levels[0]!.length).toBe(buckets);
  expect(peaks.framesPerBucket).toBe(width);
  expect([...new Set(peaks.levels[0])]).toEqual(frames === 0 ? [] : [2]);
});

test('half a frame at the end is left out', () => {
  const meter = createPeakMeter(format, 1, 8000);
  meter.push(pcm16([100, 200]).subarray(0, 3));
  expect(decodePeaks(meter.finish().encoded)!.levels[0]!.length).toBe(1);
});

describe('audible', () => {
  const voice = Array.from({ length: 4000 }, (_, i) => (i % 2 === 0 ? 3000 : -3000));
  const idle = voice.map((_, i) => (i % 2 === 0 ? 40 : -40));

  test('a voice is, the idle noise of a line is not', () => {
    expect(measure([voice, idle]).audible).toEqual([true, false]);
    expect(measure([idle, voice]).audible).toEqual([false, true]);
  });

  /** Seconds of idle noise, but for what is said from which second on. */
  const call = (seconds: number, said: Readonly<Record<number, readonly number[]>>) => {
    const meter = createPeakMeter(format, 1, 8000);
    const second = pcm16([...idle, ...idle]);
    for (let n = 0; n < seconds; n += 1) {
      const bytes = Buffer.from(second);
      if (said[n] !== undefined) pcm16(said[n]!).copy(bytes);
      meter.push(bytes);
    }
    return meter.finish().audible;
  };
  const click = Array<number>(400).fill(30_000);

  test.each([6, 60, 3600])('clicks at the beginning and the end of %i seconds are no speech', (seconds) => {
    expect(call(seconds, { 0: click, [seconds - 1]: click })).toEqual([false]);
  });

  test.each([6, 60, 3600])('half a second of a voice in %i seconds is', (seconds) => {
    expect(call(seconds, { 3: voice })).toEqual([true]);
  });

  test('of a call of two seconds two tenths are enough', () => {
    expect(call(2, { 1: voice.slice(0, 1600) })).toEqual([true]);
    expect(call(2, { 1: voice.slice(0, 800) })).toEqual([false]);
  });

  test('nothing is not audible', () => {
    expect(measure([[]]).audible).toEqual([false]);
  });
});

describe('encoding', () => {
  test('the bytes are as documented', () => {
    const meter = createPeakMeter(format, 2, 16_000);
    meter.push(pcm16([-32_768, 0, 12_800, 127]));
    expect(meter.finish().encoded.toString('hex')).toBe(
      '4356504b' + '01' + '02' + '0002' + '00000001' + '00003e80' + 'ff64' + '0000',
    );
  });

  test('other bytes are no peaks', () => {
    const meter = createPeakMeter(format, 1, 8000);
    meter.push(pcm16([1, 2, 3]));
    const { encoded } = meter.finish();
    const damaged = (at: number) => Buffer.from(encoded.map((byte, i) => (i === at ? byte ^ 1 : byte)));
    expect(decodePeaks(encoded)).not.toBeNull();
    expect(decodePeaks(Buffer.alloc(0))).toBeNull();
    expect(decodePeaks(encoded.subarray(0, 15))).toBeNull();
    expect(decodePeaks(encoded.subarray(0, -1))).toBeNull();
    expect(decodePeaks(Buffer.concat([encoded, Buffer.alloc(1)]))).toBeNull();
    for (const at of [0, 3, 4, 5, 7]) expect(decodePeaks(damaged(at))).toBeNull();
  });
});
