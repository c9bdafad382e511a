import { type AudioScan, bareScan, isPlausible, millisecondsOf } from './facts.ts';
import { type FlacFrame, MAX_HEADER_BYTES, parseFlacFrame } from './flac-frame.ts';
import { type Parser, peek, skip, take } from './pull.ts';
import { seekSyncByte } from './sync-byte.ts';

const WINDOW_BYTES = 16_384;
const STREAMINFO_BYTES = 34;

/** FLAC: what STREAMINFO announces, and how far the frames really go (RFC 9639 §8.2, §9). */
export function* flac(): Parser<AudioScan> {
  yield* skip(4);
  const info = yield* readMetadata();
  const frames = yield* readFrames();
  return info === null ? bareScan('flac', ['header_invalid']) : scanOf(info, frames);
}

type StreamInfo = {
  readonly blockSamples: number;
  readonly sampleRate: number;
  readonly channels: number;
  /** Samples per channel; 0 when the writer did not know. */
  readonly samples: number;
};

/** Goes past all metadata blocks; answers STREAMINFO, which must come first, or null. */
function* readMetadata(): Parser<StreamInfo | null> {
  let info: StreamInfo | null = null;
  for (let last = false; !last; ) {
    const head = yield* take(4);
    if (head.length < 4) return info;
    last = head[0]! >> 7 === 1;
    const isInfo = (head[0]! & 127) === 0 && info === null;
    const bytes = head.readUIntBE(1, 3);
    const body = yield* take(isInfo ? Math.min(bytes, STREAMINFO_BYTES) : 0);
    if (isInfo && body.length === STREAMINFO_BYTES) info = parseStreamInfo(body);
    yield* skip(bytes - body.length);
  }
  return info;
}

const parseStreamInfo = (body: Buffer): StreamInfo => ({
  blockSamples: body.readUInt16BE(0),
  sampleRate: body.readUIntBE(10, 3) >> 4,
  channels: ((body[12]! >> 1) & 7) + 1,
  samples: (body[13]! & 15) * 2 ** 32 + body.readUInt32BE(14),
});

type Frames = { last: FlacFrame | null; gaps: boolean };

/**
 * Finds the frames. A header by chance inside the audio would need a right CRC, the codes of the frames before it and a
 * number a little above theirs: once in some ten gigabytes. Frames that are missing before a found one are a gap.
 */
function* readFrames(): Parser<Frames> {
  const found: Frames = { last: null, gaps: false };
  for (;;) {
    const window = yield* peek(WINDOW_BYTES);
    const ended = window.length < WINDOW_BYTES;
    const reach = ended ? window.length : WINDOW_BYTES - MAX_HEADER_BYTES;
    seekSyncByte(window, reach, (at) => {
      noteFrame(parseFlacFrame(window, at), found);
      return false;
    });
    yield* skip(reach);
    if (ended) return found;
  }
}

const noteFrame = (frame: FlacFrame | null, found: Frames): void => {
  if (frame === null || !follows(frame, found.last)) return;
  found.gaps ||= frame.number !== nextNumber(frame, found.last);
  found.last = frame;
};

/** How far ahead a frame may lie and still be believed: a wilder number is chance. */
const MAX_MISSING_FRAMES = 1000;

const nextNumber = (frame: FlacFrame, last: FlacFrame | null): number =>
  last === null ? 0 : last.number + (frame.variable ? last.samples : 1);

const follows = (frame: FlacFrame, last: FlacFrame | null): boolean => {
  const ahead = frame.number - nextNumber(frame, last);
  const unit = frame.variable ? frame.samples : 1;
  return ahead >= 0 && ahead <= MAX_MISSING_FRAMES * unit && (last === null || isAkin(frame, last));
};

/** In a stream of fixed blocks only the last is shorter. */
const isAkin = (frame: FlacFrame, last: FlacFrame): boolean =>
  frame.kind === last.kind &&
  frame.variable === last.variable &&
  (frame.variable || frame.samples <= last.samples);

const scanOf = (info: StreamInfo, { last, gaps }: Frames): AudioScan => {
  const plausible = isPlausible(info.sampleRate, info.channels);
  const declared = info.samples === 0 ? null : info.samples;
  const present =
    last === null ? 0 : (last.variable ? last.number : last.number * info.blockSamples) + last.samples;
  return {
    ...bareScan('flac'),
    codec: 'flac',
    sampleRate: plausible ? info.sampleRate : null,
    channels: plausible ? info.channels : null,
    declaredDurationMs: plausible && declared !== null ? millisecondsOf(declared, info.sampleRate) : null,
    durationMs: plausible ? millisecondsOf(present, info.sampleRate) : null,
    flags: [
      ...(present === 0 ? ['empty' as const] : []),
      ...(plausible ? [] : ['header_invalid' as const]),
      ...(declared === null ? ['length_unknown' as const] : []),
      ...(declared !== null && present < declared ? ['truncated' as const] : []),
      ...(gaps ? ['gaps' as const] : []),
    ],
  };
};
