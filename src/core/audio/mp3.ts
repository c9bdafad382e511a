import { type AudioScan, bareScan, millisecondsOf } from './facts.ts';
import { flac } from './flac.ts';
import {
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  type Mp3Header,
  type Mp3Info,
  parseMp3Header,
  parseMp3Info,
} from './mp3-header.ts';
import { createMp3Loudness, SIDE_END } from './mp3-loudness.ts';
import { createLevelMeter, type LevelMeter, type Levels } from './peaks.ts';
import { type Parser, peek, skip } from './pull.ts';
import { levelFlags } from './sound.ts';
import { seekSyncByte } from './sync-byte.ts';

/**
 * MP3 has no magic, so it is proved: three frames in a row that agree (two, where they end the stream). In random bytes
 * three such headers meet by chance once in 10^15; the two that satisfy many readers are found in most large binaries.
 */
const CONFIRMING_FRAMES = 3;
/** After a damaged spot two frames suffice, for they must also agree with those before it. */
const RESUMING_FRAMES = 2;
/** How far into a stream the first frame is sought, and how much is looked at in one go. */
const MAX_LEADING_JUNK = 65_536;
const WINDOW_BYTES = 8192;
/** Room for the frames that confirm one another. */
const LOOKAHEAD_BYTES = (CONFIRMING_FRAMES - 1) * MAX_FRAME_BYTES + HEADER_BYTES;
const ID3V1_BYTES = 128;

/** Frame by frame, skipping tags; counts the samples that are there and finds its way back after damage. */
export function* mp3(): Parser<AudioScan> {
  yield* skipId3();
  // Some taggers put MP3's tags before FLAC.
  if ((yield* peek(4)).toString('latin1') === 'fLaC') return yield* flac();
  const lead = yield* seekFrame(null, MAX_LEADING_JUNK);
  if (lead.header === null) {
    yield* skip(Number.POSITIVE_INFINITY);
    return bareScan(null, ['unknown_format']);
  }
  const first = lead.header;
  const info = parseMp3Info(yield* peek(first.frameBytes), first);
  // The frame that holds the note holds no audio.
  if (info !== null) yield* skip(first.frameBytes);
  const body = yield* countFrames(first, info);
  return scanOf(first, info, { ...body, gaps: body.gaps || lead.junk > 0 });
}

type Body = {
  readonly frames: number;
  readonly cut: boolean;
  readonly gaps: boolean;
  readonly levels: Levels;
};

/** Goes from frame to frame: many to a window, for there is one every few dozen bytes. */
function* countFrames(first: Mp3Header, info: Mp3Info | null): Parser<Body> {
  let frames = 0;
  let gaps = false;
  const loudness = loudnessOf(first, info);
  for (;;) {
    const window = yield* peek(WINDOW_BYTES);
    if (window.length < HEADER_BYTES)
      return { frames, cut: window.length > 0, gaps, levels: loudness.finish() };
    const run = runOf(window, first.key, loudness.frame);
    if (run.frames > 0) {
      frames += run.frames;
      if ((yield* skip(run.bytes)) < run.bytes)
        return { frames: frames - 1, cut: true, gaps, levels: loudness.finish() };
    } else if (window.toString('latin1', 0, 3) === 'TAG') {
      yield* skip(ID3V1_BYTES);
    } else if (!(yield* skipId3())) {
      yield* seekFrame(first.key, Number.POSITIVE_INFINITY);
      gaps = true;
    }
  }
}

/** Samples by which what a granule holds is heard after its place: it sounds in the next one as well, and the filters are long. */
const HEARD_AFTER = 540;
/** Delay of every decoder, which players leave out together with the one that the encoder noted. */
const DECODER_DELAY = 529;

/** The loudness of frame after frame in buckets, where a player is heard to play it. */
const loudnessOf = (first: Mp3Header, info: Mp3Info | null) => {
  const meter: LevelMeter = createLevelMeter(first.channels, first.sampleRate);
  const loudness = createMp3Loudness(first);
  const delay = info?.delay ? HEARD_AFTER - DECODER_DELAY - info.delay : HEARD_AFTER;
  if (delay > 0) meter.add(delay, new Float64Array(first.channels));
  let early = Math.max(0, -delay);
  return {
    frame(bytes: Buffer, at: number): void {
      for (const levels of loudness.frame(bytes, at)) {
        const frames = Math.max(0, loudness.granuleSamples - early);
        early -= loudness.granuleSamples - frames;
        if (frames > 0) meter.add(frames, levels);
      }
    },
    finish: meter.finish,
  };
};

type Run = { readonly frames: number; readonly bytes: number };

/** The frames that begin in a window, one behind the other from its start; the last may end behind it, but says how loud it is. */
const runOf = (window: Buffer, key: number, note: (bytes: Buffer, at: number) => void): Run => {
  const ended = window.length < WINDOW_BYTES;
  let frames = 0;
  let bytes = 0;
  for (let header = parseMp3Header(window, 0); header?.key === key; header = parseMp3Header(window, bytes)) {
    const isWhole = bytes + SIDE_END <= window.length;
    if (!isWhole && !ended) break;
    if (isWhole) note(window, bytes);
    frames += 1;
    bytes += header.frameBytes;
  }
  return { frames, bytes };
};

/** Leaves out ID3v2 tags at this place; answers whether there was one. Their length is attacker-controlled: only skipped. */
function* skipId3(): Parser<boolean> {
  for (let found = false; ; found = true) {
    const head = yield* peek(10);
    if (head.length < 10 || head.toString('latin1', 0, 3) !== 'ID3') return found;
    const size = [6, 7, 8, 9].reduce((sum, at) => sum * 128 + (head[at]! & 127), 0);
    const footer = head[5]! & 0x10 ? 10 : 0;
    yield* skip(10 + size + footer);
  }
}

type Seek = { readonly header: Mp3Header | null; readonly junk: number };

/** Goes to the next confirmed frame (of that key), at most `limit` bytes ahead, or to the end of the stream. */
function* seekFrame(key: number | null, limit: number): Parser<Seek> {
  let junk = 0;
  while (junk <= limit) {
    const window = yield* peek(WINDOW_BYTES);
    const ended = window.length < WINDOW_BYTES;
    const reach = ended ? window.length : WINDOW_BYTES - LOOKAHEAD_BYTES;
    const at = firstFrameIn(window, reach, { key, ended });
    const step = at ?? reach;
    const header = at === null ? null : parseMp3Header(window, at);
    yield* skip(step);
    junk += step;
    if (header !== null || ended) return { header, junk };
  }
  return { header: null, junk };
}

type Sought = { readonly key: number | null; readonly ended: boolean };

const firstFrameIn = (window: Buffer, reach: number, sought: Sought): number | null =>
  seekSyncByte(window, reach, (at) => isConfirmed(window, at, sought));

/** Whether enough agreeing frames follow one another from here; the end of the stream stands for the last of them. */
const isConfirmed = (window: Buffer, at: number, { key, ended }: Sought): boolean => {
  const wanted = key === null ? CONFIRMING_FRAMES : RESUMING_FRAMES;
  let agreed = key;
  let next = at;
  for (let frames = 0; frames < wanted; frames += 1) {
    if (ended && next >= window.length) return frames >= wanted - 1;
    const header = parseMp3Header(window, next);
    if (header === null || (agreed !== null && header.key !== agreed)) return false;
    agreed = header.key;
    next += header.frameBytes;
  }
  return true;
};

const scanOf = (first: Mp3Header, info: Mp3Info | null, { frames, cut, gaps, levels }: Body): AudioScan => {
  const { delay, padding } = info ?? { delay: 0, padding: 0 };
  const declaredFrames = info?.frames ?? null;
  // Some encoders count the frame that holds their note.
  const truncated = cut || (declaredFrames !== null && frames + 1 < declaredFrames);
  const audible = (count: number, trimmed: number): number => Math.max(0, count * first.samples - trimmed);
  return {
    ...bareScan('mp3'),
    codec: 'mp3',
    sampleRate: first.sampleRate,
    channels: first.channels,
    declaredDurationMs:
      declaredFrames === null
        ? null
        : millisecondsOf(audible(declaredFrames, delay + padding), first.sampleRate),
    durationMs: millisecondsOf(audible(frames, truncated ? delay : delay + padding), first.sampleRate),
    flags: [
      ...(frames === 0 ? ['empty' as const] : []),
      ...(truncated ? ['truncated' as const] : []),
      ...(gaps ? ['gaps' as const] : []),
      ...(frames === 0 ? [] : levelFlags(levels)),
    ],
    peaks: levels.encoded,
  };
};
