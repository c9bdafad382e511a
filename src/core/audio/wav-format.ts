import { type Codec, isPlausible } from './facts.ts';
import { sampleFormatOf } from './samples.ts';

/** The `fmt ` chunk of a RIFF file, checked. */
export type WavFormat = {
  /** Null for a format tag that is not known here. */
  readonly codec: Codec | null;
  readonly channels: number;
  readonly sampleRate: number;
  /** Smallest unit of the data, in bytes; null where that is not known. */
  readonly blockBytes: number | null;
  /** Samples per channel in one such unit. */
  readonly blockSamples: number | null;
  /** False when the header contradicts itself (its own block size is wrong); the format is used as computed here. */
  readonly consistent: boolean;
};

const EXTENSIBLE = 0xfffe;
/** Bytes 2..15 of every sub-format GUID that stands for a format tag (KSDATAFORMAT_SUBTYPE_*). */
const TAG_GUID_TAIL = '000000001000800000aa00389b71';

/** How much of the chunk is ever looked at. */
export const FMT_BYTES = 40;
const MIN_FMT_BYTES = 16;

/** Reads a `fmt ` chunk, which is attacker-controlled; null when it is too short or holds impossible values. */
export const parseWavFormat = (fmt: Buffer): WavFormat | null => {
  if (fmt.length < MIN_FMT_BYTES) return null;
  const channels = fmt.readUInt16LE(2);
  const sampleRate = fmt.readUInt32LE(4);
  const blockAlign = fmt.readUInt16LE(12);
  if (!isPlausible(sampleRate, channels)) return null;
  const codec = codecOf(tagOf(fmt), fmt.readUInt16LE(14));
  const sampleBytes = codec === null ? null : (sampleFormatOf(codec)?.bytes ?? null);
  if (sampleBytes !== null) {
    const blockBytes = sampleBytes * channels;
    return {
      codec,
      channels,
      sampleRate,
      blockBytes,
      blockSamples: 1,
      consistent: blockBytes === blockAlign,
    };
  }
  if (codec === 'gsm610')
    return { codec, channels, sampleRate, ...GSM_BLOCK, consistent: isGsm(channels, blockAlign) };
  const blockSamples = codec === null ? null : blockSamplesOf(codec, fmt);
  const consistent = blockSamples === null || blockAlign > 0;
  return { codec, channels, sampleRate, blockBytes: blockAlign || null, blockSamples, consistent };
};

const tagOf = (fmt: Buffer): number | null => {
  const tag = fmt.readUInt16LE(0);
  if (tag !== EXTENSIBLE) return tag;
  const isTag = fmt.length >= FMT_BYTES && fmt.toString('hex', 26, 40) === TAG_GUID_TAIL;
  return isTag ? fmt.readUInt16LE(24) : null;
};

/** Format tags as in mmreg.h. PCM of odd widths (12, 20 bits) lies in whole bytes. */
const codecOf = (tag: number | null, bits: number): Codec | null => {
  switch (tag) {
    case 0x0001:
      return pcmByBytes[Math.ceil(bits / 8)] ?? null;
    case 0x0002:
      return 'adpcm_ms';
    case 0x0003:
      return floatByBits[bits] ?? null;
    case 0x0006:
      return 'alaw';
    case 0x0007:
      return 'ulaw';
    case 0x0011:
      return 'adpcm_ima';
    case 0x0031:
      return 'gsm610';
    case 0x0055:
      return 'mp3';
    default:
      return null;
  }
};

const pcmByBytes: Readonly<Record<number, Codec>> = { 1: 'pcm_u8', 2: 'pcm_s16', 3: 'pcm_s24', 4: 'pcm_s32' };
const floatByBits: Readonly<Record<number, Codec>> = { 32: 'pcm_f32', 64: 'pcm_f64' };

/** GSM in WAV packs two frames of 160 samples into 65 bytes, and there is only one channel of it. */
const GSM_BLOCK = { blockBytes: 65, blockSamples: 320 } as const;
const isGsm = (channels: number, blockAlign: number): boolean =>
  channels === 1 && blockAlign === GSM_BLOCK.blockBytes;

/** ADPCM says in its extension how many a block holds. */
const blockSamplesOf = (codec: Codec, fmt: Buffer): number | null => {
  if (codec === 'mp3' || fmt.length < 20) return null;
  return fmt.readUInt16LE(18) || null;
};
