import { describe, expect, test } from 'vitest';
import type { Codec } from '../../../../src/core/audio/facts.ts';
import { FULL_SCALE, sampleFormatOf } from '../../../../src/core/audio/samples.ts';
import { audioFixture } from '../../../support/probe-audio.ts';

const loudest = (codec: Codec, bytes: Buffer): number => {
  const format = sampleFormatOf(codec)!;
  return format.loudestIn(bytes)(0, format.bytes, bytes.length / format.bytes);
};

const bytesOf = (bytes: number, write: (buffer: Buffer) => void): Buffer => {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
};

describe.each(['alaw', 'ulaw'] as const)('%s', (codec) => {
  test('every code is as loud as another decoder says', () => {
    const decoded = audioFixture(`${codec}-codes.s16le`);
    for (let code = 0; code < 256; code += 1) {
      expect(loudest(codec, Buffer.from([code]))).toBe(Math.abs(decoded.readInt16LE(code * 2)));
    }
  });
});

test.each<[Codec, Buffer, number]>([
  ['pcm_u8', Buffer.from([128, 128]), 0],
  ['pcm_u8', Buffer.from([128, 127]), 256],
  ['pcm_u8', Buffer.from([0, 255]), FULL_SCALE],
  ['pcm_s16', bytesOf(4, (b) => b.writeInt16LE(-32_768, 2)), FULL_SCALE - 1],
  ['pcm_s16', bytesOf(4, (b) => b.writeInt16LE(32_767, 0)), 32_767],
  ['pcm_s16', Buffer.from([0xff, 0xff]), 0],
  ['pcm_s24', bytesOf(6, (b) => b.writeIntLE(-0x80_0000, 3, 3)), FULL_SCALE - 1],
  ['pcm_s24', bytesOf(6, (b) => b.writeIntLE(0x12_3456, 0, 3)), 0x1234],
  ['pcm_s32', bytesOf(8, (b) => b.writeInt32LE(0x1234_5678, 4)), 0x1234],
  ['pcm_s32', bytesOf(8, (b) => b.writeInt32LE(-0x8000_0000, 0)), FULL_SCALE - 1],
  ['pcm_f32', bytesOf(8, (b) => b.writeFloatLE(-0.5, 4)), FULL_SCALE / 2],
  ['pcm_f32', bytesOf(8, (b) => b.writeFloatLE(Number.NaN, 0)), 0],
  ['pcm_f32', bytesOf(8, (b) => b.writeFloatLE(Number.NEGATIVE_INFINITY, 0)), FULL_SCALE],
  ['pcm_f64', bytesOf(16, (b) => b.writeDoubleLE(1e300, 8)), FULL_SCALE],
  ['pcm_f64', bytesOf(16, (b) => b.writeDoubleLE(0.25, 8)), FULL_SCALE / 4],
])('%s %o', (codec, bytes, amplitude) => {
  expect(loudest(codec, bytes)).toBe(amplitude);
});

test('only the asked channel is heard', () => {
  const stereo = Buffer.from(new Int16Array([1, 900, -2, 901, 3, -903]).buffer);
  const of = sampleFormatOf('pcm_s16')!.loudestIn(stereo);
  expect(of(0, 4, 3)).toBe(3);
  expect(of(2, 4, 3)).toBe(902);
  expect(of(0, 4, 0)).toBe(0);
});

test('every sample counts, wherever the stretch begins and however the bytes lie in memory', () => {
  const memory = Buffer.alloc(256);
  for (const skew of [0, 1, 2, 3])
    for (const first of [0, 1, 2, 3])
      for (const count of [16, 17, 18, 19])
        for (let loud = 0; loud < count; loud += 1) {
          const bytes = memory.fill(0).subarray(skew, skew + 2 * (first + count + 1));
          bytes.writeInt16LE(30_000, 2 * (first + count));
          if (first > 0) bytes.writeInt16LE(30_000, 2 * (first - 1));
          bytes.writeInt16LE(loud % 2 === 0 ? 777 : -778, 2 * (first + loud));
          expect(sampleFormatOf('pcm_s16')!.loudestIn(bytes)(2 * first, 2, count)).toBe(777);
        }
});

test('codecs that must be decoded first have no sample format', () => {
  for (const codec of ['gsm610', 'adpcm_ms', 'mp3', 'opus', 'flac'] as const)
    expect(sampleFormatOf(codec)).toBeNull();
});
