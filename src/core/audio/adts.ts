import { type AudioScan, bareScan, millisecondsOf } from './facts.ts';
import { type Parser, peek, skip } from './pull.ts';

/** Bytes of a frame header without its optional CRC (ISO/IEC 14496-3 §1.A.2.2). */
const HEADER_BYTES = 7;
/** A frame's length has 13 bits. */
const MAX_FRAME_BYTES = 8191;
/** How many agreeing frames in a row make a stream: as for MP3, two of them meet by chance in most large binaries. */
const CONFIRMING_FRAMES = 3;
const WINDOW_BYTES = 16_384;
const SAMPLES_PER_BLOCK = 1024;

export const aacRates = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350,
] as const;

type AdtsHeader = {
  readonly frameBytes: number;
  readonly samples: number;
  readonly sampleRate: number;
  readonly channels: number;
  /** Equal for all frames of one recording: version, profile, rate and channels. */
  readonly key: number;
};

const parseHeader = (bytes: Buffer, at: number): AdtsHeader | null => {
  // Sync and layer 0.
  if (at + HEADER_BYTES > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0) return null;
  const word = bytes.readUInt32BE(at + 1);
  const sampleRate = aacRates[(word >>> 18) & 15];
  const frameBytes = (bytes.readUInt32BE(at + 3) >>> 13) & MAX_FRAME_BYTES;
  const channels = (word >>> 14) & 7;
  if (sampleRate === undefined || frameBytes < HEADER_BYTES || channels === 0) return null;
  return {
    frameBytes,
    samples: ((bytes[at + 6]! & 3) + 1) * SAMPLES_PER_BLOCK,
    sampleRate,
    channels: channels === 7 ? 8 : channels,
    key: (word & 0xfefd_c000) >>> 0,
  };
};

/** AAC frame after frame; null when the stream does not begin with them. Consumes nothing then. */
export function* adts(): Parser<AudioScan | null> {
  const first = parseHeader(yield* peek(HEADER_BYTES), 0);
  if (first === null || !(yield* isConfirmed(first.key))) return null;
  return yield* countFrames(first);
}

/** Goes from frame to frame: many to a window, for there is one every few dozen bytes. */
function* countFrames(first: AdtsHeader): Parser<AudioScan> {
  let samples = 0;
  for (;;) {
    const window = yield* peek(WINDOW_BYTES);
    let at = 0;
    let last = 0;
    for (let header = parseHeader(window, 0); header?.key === first.key; header = parseHeader(window, at)) {
      at += header.frameBytes;
      last = header.samples;
      samples += last;
    }
    const skipped = yield* skip(at);
    if (skipped < at) return scanOf(first, samples - last, { cut: true, gaps: false });
    if (at === 0) {
      const rest = yield* skip(Number.POSITIVE_INFINITY);
      return scanOf(first, samples, { cut: rest > 0 && rest < HEADER_BYTES, gaps: rest >= HEADER_BYTES });
    }
  }
}

function* isConfirmed(key: number): Parser<boolean> {
  const window = yield* peek(CONFIRMING_FRAMES * MAX_FRAME_BYTES);
  let at = 0;
  for (let frames = 0; frames < CONFIRMING_FRAMES; frames += 1) {
    if (frames > 0 && at >= window.length) return frames >= CONFIRMING_FRAMES - 1;
    const header = parseHeader(window, at);
    if (header?.key !== key) return false;
    at += header.frameBytes;
  }
  return true;
}

const scanOf = (
  { sampleRate, channels }: AdtsHeader,
  samples: number,
  { cut, gaps }: { readonly cut: boolean; readonly gaps: boolean },
): AudioScan => ({
  ...bareScan('adts', [
    ...(samples === 0 ? ['empty' as const] : []),
    ...(cut ? ['truncated' as const] : []),
    ...(gaps ? ['gaps' as const] : []),
  ]),
  codec: 'aac',
  sampleRate,
  channels,
  durationMs: millisecondsOf(samples, sampleRate),
});
