import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type BlockFormat, pieceDecoderOf } from '../../../../src/core/audio/piece-decoders.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

/** SHA-256 of the samples, by file, as sox (libgsm) and ffmpeg decode them; test/fixtures/audio/make.sh. */
const expected = new Map(
  audioFixture('decoded.sha256')
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/).reverse() as [string, string]),
);
const declared: Readonly<Record<string, string>> = { gsm: 'audio/gsm', g722: 'audio/g722' };

const decoded = (file: string) => {
  const bytes = audioFixture(file);
  const { facts, place } = probeAudio(bytes, bytes.length, declared[file.split('.').at(-1)!] ?? 'audio/wav');
  const format: BlockFormat = { codec: facts.codec!, channels: facts.channels!, ...place! };
  const decoder = pieceDecoderOf(format)!;
  const samples = decoder.decode(bytes.subarray(place!.start, place!.start + place!.bytes), 0);
  return samples.subarray(0, place!.samples * format.channels);
};

test.each([...expected.keys()])('%s: to the bit as others decode it', (file) => {
  const samples = decoded(file);
  const bytes = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(expected.get(file));
});

const gsm = { codec: 'gsm610', channels: 1, blockSamples: 160, blockBytes: 33 } as const;

describe('from the middle', () => {
  test('GSM: after a second of lead every sample of speech is the one it would have been', () => {
    const bytes = audioFixture('speech.gsm');
    const whole = decoded('speech.gsm');
    const decoder = pieceDecoderOf(gsm)!;
    for (let frame = 50; frame + 50 < bytes.length / 33; frame += 11) {
      const samples = decoder.decode(bytes.subarray((frame - 50) * 33, (frame + 50) * 33), 50);
      expect(samples).toEqual(whole.subarray(frame * 160, (frame + 50) * 160));
    }
  });

  test('G.722: nearly so', () => {
    const bytes = audioFixture('tone.g722');
    const decoder = pieceDecoderOf({ codec: 'g722', channels: 1, blockSamples: 2, blockBytes: 1 })!;
    const whole = decoded('tone.g722');
    const samples = decoder.decode(bytes.subarray(800), 3200);
    const worst = samples.reduce((most, sample, i) => Math.max(most, Math.abs(sample - whole[8000 + i]!)), 0);
    expect(samples).toHaveLength(1600);
    expect(worst).toBeLessThan(64);
  });
});

describe('hostile blocks', () => {
  /** Small, fast, seeded. */
  const noise = (length: number): Buffer => {
    let state = length;
    return Buffer.from(
      Uint8Array.from({ length }, () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state >>> 24;
      }),
    );
  };

  test.each([
    gsm,
    { codec: 'gsm610', channels: 1, blockSamples: 320, blockBytes: 65 },
    { codec: 'g722', channels: 1, blockSamples: 2, blockBytes: 1 },
    { codec: 'adpcm_ima', channels: 2, blockSamples: 249, blockBytes: 256 },
    { codec: 'adpcm_ms', channels: 2, blockSamples: 244, blockBytes: 256 },
  ] as const)('any bytes as $codec in $blockBytes bytes are some sound, as much as they hold', (format) => {
    const decoder = pieceDecoderOf(format)!;
    for (const blocks of [0, 1, 7]) {
      const bytes = noise(blocks * format.blockBytes);
      expect(decoder.decode(bytes, 0)).toHaveLength(blocks * format.blockSamples * format.channels);
      expect(decoder.decode(Buffer.alloc(bytes.length, 255), 0)).toHaveLength(
        blocks * format.blockSamples * format.channels,
      );
    }
  });

  test('a GSM frame without its mark is silence of its length, and what follows is as if it were not there', () => {
    const bytes = audioFixture('tone.gsm');
    const frames = Array.from({ length: 6 }, (_, i) => bytes.subarray(i * 33, (i + 1) * 33));
    const decoder = pieceDecoderOf(gsm)!;
    const right = decoder.decode(Buffer.concat(frames), 0);
    const broken = decoder.decode(
      Buffer.concat([...frames.slice(0, 3), noise(33).fill(0x11), ...frames.slice(3)]),
      0,
    );
    expect(broken.subarray(480, 640).every((sample) => sample === 0)).toBe(true);
    expect(broken.subarray(640)).toEqual(right.subarray(480));
  });

  test.each([
    { codec: 'gsm610', channels: 2, blockSamples: 160, blockBytes: 33 },
    { codec: 'adpcm_ima', channels: 1, blockSamples: 505, blockBytes: 255 },
    { codec: 'adpcm_ima', channels: 1, blockSamples: 1, blockBytes: 4 },
    { codec: 'adpcm_ima', channels: 3, blockSamples: 1, blockBytes: 12 },
    { codec: 'adpcm_ms', channels: 1, blockSamples: 60_000, blockBytes: 256 },
    { codec: 'adpcm_ms', channels: 1, blockSamples: 130_988, blockBytes: 65_500 },
    { codec: 'amr_nb', channels: 1, blockSamples: 160, blockBytes: 32 },
  ] as const)(
    'blocks that are not what they are said to be ($codec, $blockBytes bytes, $blockSamples samples)',
    (format) => {
      expect(pieceDecoderOf(format)).toBeNull();
    },
  );
});
