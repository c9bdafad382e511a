import { type BlockShape, createBlockMeter } from './block-loudness.ts';
import {
  type AudioFlag,
  type AudioScan,
  bareScan,
  type Codec,
  type Container,
  millisecondsOf,
} from './facts.ts';
import { createPeakMeter, type Levels, type PeakMeter } from './peaks.ts';
import { type Parser, pass, skip } from './pull.ts';
import { sampleFormatOf } from './samples.ts';

/** Sound at a constant rate and what is known of it from outside: a declared type, or the header before it. */
export type PlainSound = {
  readonly container: Container;
  readonly codec: Codec;
  readonly sampleRate: number;
  readonly channels: number;
  /** Its first byte in the original. */
  readonly start: number;
  /** Null: until the end of the stream. */
  readonly declaredBytes: number | null;
};

/** What these codecs pack into one block, besides plain samples: bytes, and samples of the one channel they have. */
const blocks: Partial<Record<Codec, { readonly blockBytes: number; readonly blockSamples: number }>> = {
  gsm610: { blockBytes: 33, blockSamples: 160 },
  g722: { blockBytes: 1, blockSamples: 2 },
};

/** What measures sound at a constant rate: its samples, or what its blocks say of themselves. Null where neither tells. */
export const meterOf = (shape: BlockShape): PeakMeter | null => {
  const format = shape.codec === null ? null : sampleFormatOf(shape.codec);
  return format === null
    ? createBlockMeter(shape)
    : createPeakMeter(format, shape.channels, shape.sampleRate);
};

/** Reads sound that no header describes for a player: its length is what is there. */
export function* plainSound(sound: PlainSound): Parser<AudioScan> {
  const { codec, sampleRate, channels, start, declaredBytes } = sound;
  const format = sampleFormatOf(codec);
  const block = blocks[codec] ?? { blockBytes: (format?.bytes ?? 1) * channels, blockSamples: 1 };
  const meter = meterOf({ codec, channels, sampleRate, ...block });
  const present = yield* pass(declaredBytes ?? Number.POSITIVE_INFINITY, (bytes) => meter?.push(bytes));
  yield* skip(Number.POSITIVE_INFINITY);
  const bytes = present - (present % block.blockBytes);
  const samples = (bytes / block.blockBytes) * block.blockSamples;
  const levels = meter?.finish() ?? null;
  return {
    ...bareScan(sound.container),
    codec,
    sampleRate,
    channels,
    declaredDurationMs:
      declaredBytes === null
        ? null
        : millisecondsOf(Math.floor(declaredBytes / block.blockBytes) * block.blockSamples, sampleRate),
    durationMs: millisecondsOf(samples, sampleRate),
    flags: [
      ...(samples === 0 ? ['empty' as const] : []),
      ...(bytes < present || (declaredBytes !== null && present < declaredBytes)
        ? ['truncated' as const]
        : []),
      ...(samples === 0 ? [] : levelFlags(levels)),
    ],
    peaks: levels?.encoded ?? null,
    place: { start, bytes, ...block, samples, described: false },
  };
}

/** Silence on all channels, or on some. */
export const levelFlags = (levels: Levels | null): AudioFlag[] => {
  if (levels === null) return [];
  const audible = levels.audible.filter(Boolean).length;
  if (audible === levels.audible.length) return [];
  return [audible === 0 ? 'silent' : 'one_sided'];
};
