import type { Codec } from './facts.ts';
import { createG722Gauge } from './g722.ts';
import { frameExcitation, GSM_FRAME_SAMPLES, halfExcitation } from './gsm.ts';
import { createLevelMeter, createPeakMeter, type PeakMeter } from './peaks.ts';
import { pieceDecoderOf } from './piece-decoders.ts';
import { sampleFormatOf } from './samples.ts';

export type BlockShape = {
  readonly codec: Codec | null;
  readonly channels: number;
  readonly sampleRate: number;
  readonly blockBytes: number | null;
  readonly blockSamples: number | null;
};

/**
 * A meter of blocks, or null for a codec whose blocks tell nothing, or that are not what they are said to be. ADPCM is decoded.
 * GSM and G.722 are estimated ({@link BlockLoudness}). Blocks are attacker-controlled, and any bytes are some amplitude.
 */
export const createBlockMeter = (shape: BlockShape): PeakMeter | null => {
  const loudness = loudnessOf(shape);
  return loudness === null ? decodedMeter(shape) : estimatedMeter(shape, loudness);
};

/** Hands over whole blocks, as many as there are in a row, and keeps what is cut until the rest of it comes. */
const inBlocks = (blockBytes: number, take: (blocks: Buffer) => void): PeakMeter['push'] => {
  const cut = Buffer.alloc(blockBytes);
  let cutBytes = 0;
  return (bytes) => {
    let at = 0;
    if (cutBytes > 0) {
      at = bytes.copy(cut, cutBytes, 0, blockBytes - cutBytes);
      cutBytes += at;
      if (cutBytes < blockBytes) return;
      take(cut);
    }
    const whole = bytes.length - at - ((bytes.length - at) % blockBytes);
    if (whole > 0) take(bytes.subarray(at, at + whole));
    cutBytes = bytes.copy(cut, 0, at + whole);
  };
};

const decodedMeter = ({
  codec,
  channels,
  sampleRate,
  blockBytes,
  blockSamples,
}: BlockShape): PeakMeter | null => {
  if ((codec !== 'adpcm_ima' && codec !== 'adpcm_ms') || blockBytes === null || blockSamples === null)
    return null;
  const decoder = pieceDecoderOf({ codec, channels, blockBytes, blockSamples });
  if (decoder === null) return null;
  const meter = createPeakMeter(sampleFormatOf('pcm_s16')!, channels, sampleRate);
  const push = inBlocks(blockBytes, (blocks) => {
    const { buffer, byteOffset, byteLength } = decoder.decode(blocks, 0);
    meter.push(Buffer.from(buffer, byteOffset, byteLength));
  });
  return { push, finish: meter.finish };
};

/**
 * How loud blocks are by what they say of their own loudness: no sample is decoded, which for GSM would cost many times what
 * storing the call does. Factors are fitted to what the decoders make of speech.
 */
type BlockLoudness = {
  readonly blockBytes: number;
  readonly blockSamples: number;
  /** The amplitude of the block that begins at `at`. */
  read(bytes: Buffer, at: number): number;
};

const loudnessOf = ({ codec, channels, blockBytes }: BlockShape): BlockLoudness | null => {
  if (channels !== 1) return null;
  if (codec === 'gsm610') return blockBytes === gsmPair.blockBytes ? gsmPair : gsmFrame;
  return codec === 'g722' ? g722() : null;
};

const estimatedMeter = (
  { sampleRate }: BlockShape,
  { blockBytes, blockSamples, read }: BlockLoudness,
): PeakMeter => {
  const meter = createLevelMeter(1, sampleRate);
  const level = new Float64Array(1);
  const push = inBlocks(blockBytes, (blocks) => {
    for (let at = 0; at < blocks.length; at += blockBytes) {
      level[0] = read(blocks, at);
      meter.add(blockSamples, level);
    }
  });
  return { push, finish: meter.finish };
};

/** Of the greatest pulse of a frame to its loudest sample. */
const GSM_FACTOR = 6.6;

const gsmFrame: BlockLoudness = {
  blockBytes: 33,
  blockSamples: GSM_FRAME_SAMPLES,
  read: (bytes, at) => GSM_FACTOR * frameExcitation(bytes, at),
};

const gsmPair: BlockLoudness = {
  blockBytes: 65,
  blockSamples: 2 * GSM_FRAME_SAMPLES,
  read: (bytes, at) => GSM_FACTOR * Math.max(halfExcitation(bytes, at, 0), halfExcitation(bytes, at, 1)),
};

/** Ten milliseconds: a byte alone is too little to be measured by itself. */
const G722_BYTES = 80;
/** Of the scale of the quantiser to the loudest sample. */
const G722_FACTOR = 0.7;

const g722 = (): BlockLoudness => {
  const gauge = createG722Gauge();
  return {
    blockBytes: G722_BYTES,
    blockSamples: 2 * G722_BYTES,
    read: (bytes, at) => G722_FACTOR * gauge(bytes, at, at + G722_BYTES),
  };
};
