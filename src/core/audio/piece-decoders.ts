import { decodeImaBlock, decodeMsBlock, imaBlockSamples, msBlockSamples } from './adpcm.ts';
import type { Codec } from './facts.ts';
import { createG722Decoder } from './g722.ts';
import { createGsmDecoder, GSM_FRAME_SAMPLES, GSM_PARAMETERS, unpackFrame, unpackHalf } from './gsm.ts';

/**
 * Decodes sound in pieces that do not depend on one another, to samples of 16 bits. A piece begins with a decoder in its
 * first state that reads `leadBlocks` before it, whose samples are dropped. So every sample depends on its place in the
 * recording alone, not on what was asked for before it.
 */
export type PieceDecoder = {
  readonly pieceBlocks: number;
  readonly leadBlocks: number;
  /** Whole blocks; answers the samples of all but the first `lead`, interleaved. */
  decode(blocks: Buffer, lead: number): Int16Array;
};

export type BlockFormat = {
  readonly codec: Codec;
  readonly channels: number;
  readonly blockBytes: number;
  readonly blockSamples: number;
};

/** Five seconds of a call are decoded in a few milliseconds; after one second a decoder has forgotten how it began. */
const PIECE_SECONDS = 5;
const LEAD_SECONDS = 1;
const GSM_FRAMES_PER_SECOND = 50;
const G722_BYTES_PER_SECOND = 8000;

/** The decoder of a codec, or null where none is known or the blocks are not what they are said to be. */
export const pieceDecoderOf = (format: BlockFormat): PieceDecoder | null => {
  switch (format.codec) {
    case 'gsm610':
      return isOneOf(format, [GSM_FRAME, GSM_PAIR]) ? gsmDecoder(format.blockBytes) : null;
    case 'g722':
      return isOneOf(format, [G722_BYTE]) ? g722Decoder : null;
    case 'adpcm_ima':
      return adpcmDecoder(format, decodeImaBlock, imaBlockSamples);
    case 'adpcm_ms':
      return adpcmDecoder(format, decodeMsBlock, msBlockSamples);
    case 'pcm_f64':
      return format.blockBytes === FLOAT_BYTES * format.channels && format.blockSamples === 1
        ? floatDecoder(format.channels)
        : null;
    default:
      return null;
  }
};

type Block = Pick<BlockFormat, 'blockBytes' | 'blockSamples'>;
const GSM_FRAME: Block = { blockBytes: 33, blockSamples: GSM_FRAME_SAMPLES };
const GSM_PAIR: Block = { blockBytes: 65, blockSamples: 2 * GSM_FRAME_SAMPLES };
const G722_BYTE: Block = { blockBytes: 1, blockSamples: 2 };

const isOneOf = ({ channels, blockBytes, blockSamples }: BlockFormat, blocks: readonly Block[]): boolean =>
  channels === 1 &&
  blocks.some((block) => block.blockBytes === blockBytes && block.blockSamples === blockSamples);

/** Frames of 33 bytes alone, or two in 65. A frame without its mark is silence, and the decoder stays as it was. */
const gsmDecoder = (blockBytes: number): PieceDecoder => {
  const packed = blockBytes === GSM_PAIR.blockBytes;
  const frames = packed ? 2 : 1;
  return {
    pieceBlocks: (PIECE_SECONDS * GSM_FRAMES_PER_SECOND) / frames,
    leadBlocks: (LEAD_SECONDS * GSM_FRAMES_PER_SECOND) / frames,
    decode(blocks, lead) {
      const decoder = createGsmDecoder();
      const parameters = new Uint8Array(GSM_PARAMETERS);
      const count = Math.floor(blocks.length / blockBytes);
      const out = new Int16Array(count * frames * GSM_FRAME_SAMPLES);
      let to = 0;
      for (let block = 0; block < count; block += 1) {
        const at = block * blockBytes;
        for (const half of packed ? ([0, 1] as const) : ([0] as const)) {
          const whole = packed || unpackFrame(blocks, at, parameters);
          if (packed) unpackHalf(blocks, at, half, parameters);
          if (whole) decoder.frame(parameters, out, to);
          to += GSM_FRAME_SAMPLES;
        }
      }
      return out.subarray(lead * frames * GSM_FRAME_SAMPLES);
    },
  };
};

const g722Decoder: PieceDecoder = {
  pieceBlocks: PIECE_SECONDS * G722_BYTES_PER_SECOND,
  leadBlocks: LEAD_SECONDS * G722_BYTES_PER_SECOND,
  decode(blocks, lead) {
    const out = new Int16Array(blocks.length * 2);
    createG722Decoder().push(blocks, out, 0);
    return out.subarray(lead * 2);
  },
};

const FLOAT_BYTES = 8;
const FLOAT_PIECE_SAMPLES = 40_000;
const FULL_SCALE = 32_768;

/** Floats of 64 bits are attacker-controlled: what is louder than full scale is cut there, what is no number is silence. */
const floatDecoder = (channels: number): PieceDecoder => ({
  pieceBlocks: Math.floor(FLOAT_PIECE_SAMPLES / channels),
  leadBlocks: 0,
  decode(blocks, lead) {
    const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    const out = new Int16Array(Math.floor(blocks.length / FLOAT_BYTES));
    for (let n = 0; n < out.length; n += 1) {
      const sample = Math.round(view.getFloat64(n * FLOAT_BYTES, true) * FULL_SCALE);
      out[n] = Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, sample));
    }
    return out.subarray(lead * channels);
  },
});

type DecodeBlock = (block: Buffer, channels: number, out: Int16Array, at: number) => void;

const MAX_CHANNELS = 2;
/** What writers use is 256 to 4096 per channel; far longer ones would only be a way to fill memory. */
const MAX_BLOCK_BYTES = 16_384;
const ADPCM_PIECE_SAMPLES = 40_000;

const adpcmDecoder = (
  { channels, blockBytes, blockSamples }: BlockFormat,
  decodeBlock: DecodeBlock,
  samplesIn: (blockBytes: number, channels: number) => number,
): PieceDecoder | null => {
  const usual = channels <= MAX_CHANNELS && blockBytes <= MAX_BLOCK_BYTES;
  // What the header says of a block must be what one holds: all else is found by these two numbers.
  if (!usual || blockSamples < 3 || blockSamples !== samplesIn(blockBytes, channels)) return null;
  return {
    pieceBlocks: Math.ceil(ADPCM_PIECE_SAMPLES / blockSamples),
    leadBlocks: 0,
    decode(blocks, lead) {
      const count = Math.floor(blocks.length / blockBytes);
      const out = new Int16Array(count * blockSamples * channels);
      for (let n = 0; n < count; n += 1)
        decodeBlock(
          blocks.subarray(n * blockBytes, (n + 1) * blockBytes),
          channels,
          out,
          n * blockSamples * channels,
        );
      return out.subarray(lead * blockSamples * channels);
    },
  };
};
