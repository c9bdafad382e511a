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

  test.each([1, 2, 3])('of %i channels, every code is heard where it lies', (channels) => {
    const decoded = audioFixture(`${codec}-codes.s16le`);
    const [quiet, loud] = codec === 'alaw' ? [0xd5, 0xaa] : [0xff, 0x80];
    for (let code = 0; code < 256; code += 1)
      for (const count of [15, 16, 17, 40]) {
        const bytes = Buffer.alloc(channels * count, loud);
        for (let frame = 0; frame < count; frame += 1) bytes[frame * channels] = quiet;
        bytes[((code * 7) % count) * channels] = code;
        const quietest = Math.abs(decoded.readInt16LE(quiet * 2));
        const expected = Math.max(quietest, Math.abs(decoded.readInt16LE(code * 2)));
        expect(sampleFormatOf(codec)!.loudestIn(bytes)(0, channels, count)).toBe(expected);
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

describe('every sample counts, and no other', () => {
  const loudestIn = sampleFormatOf('pcm_s16')!.loudestIn;

  test.each([1, 2, 3, 4, 8, 9])(
    'of %i channels, wherever the stretch begins and however the bytes lie',
    (channels) => {
      const memory = Buffer.alloc(16_384);
      const stride = 2 * channels;
      // Whatever was measured before must not be heard again.
      for (const skew of [0, 1])
        for (const first of [0, 1, 3])
          for (const count of [1, 7, 8, 9, 16, 17, 31])
            for (let loud = 0; loud < count; loud += 1) {
              loudestIn(Buffer.alloc(16_384, 0x7f));
              const bytes = memory.subarray(skew, skew + stride * (first + count));
              // All that is not asked for is louder: other channels, and what lies before.
              for (let at = 0; at < bytes.length; at += 2)
                bytes.writeInt16LE(at % stride === 0 ? 0 : 30_000, at);
              for (let frame = 0; frame < first; frame += 1) bytes.writeInt16LE(30_000, frame * stride);
              bytes.writeInt16LE(loud % 2 === 0 ? 777 : -778, stride * (first + loud));
              expect(loudestIn(bytes)(stride * first, stride, count)).toBe(777);
            }
    },
  );

  test('the last of two channels, to the very end of a chunk', () => {
    for (const frames of [4, 5, 8, 1000]) {
      const stereo = Buffer.alloc(frames * 4);
      stereo.writeInt16LE(-500, frames * 4 - 2);
      stereo.writeInt16LE(20_000, frames * 4 - 4);
      expect(loudestIn(stereo)(2, 4, frames)).toBe(499);
    }
  });

  test('of a chunk larger than any that comes from a socket', () => {
    const bytes = Buffer.alloc(1_000_000);
    bytes.writeInt16LE(1234, 999_998);
    expect(loudestIn(bytes)(0, 2, 500_000)).toBe(1234);
  });
});

test('codecs that must be decoded first have no sample format', () => {
  for (const codec of ['gsm610', 'adpcm_ms', 'mp3', 'opus', 'flac'] as const)
    expect(sampleFormatOf(codec)).toBeNull();
});
