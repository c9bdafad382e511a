import { FULL_SCALE, type Loudest, type SampleFormat } from './samples.ts';

/**
 * Peaks: the loudest amplitude of each channel in at most 1,000 buckets of equal length, for the picture of a call.
 * docs/file-format.md §9 is the format.
 *
 * Encoded (integers big-endian): "CVPK" · u8 version 1 · u8 channels · u16 buckets · u32 frames per bucket ·
 * u32 samples per second · then, channel after channel, one byte per bucket, 0 silence to 255 full scale, linear.
 * Bucket i covers the frames [i × framesPerBucket, (i + 1) × framesPerBucket); the last may be shorter. They describe
 * who spoke when, so they are sealed, audited and erased like the audio.
 */
export type Peaks = {
  readonly channels: number;
  readonly sampleRate: number;
  readonly framesPerBucket: number;
  /** One array of bytes per channel. */
  readonly levels: readonly Uint8Array[];
};

export type Levels = {
  readonly encoded: Buffer;
  /** Per channel, whether there is anything to be heard on it. */
  readonly audible: readonly boolean[];
};

export type PeakMeter = {
  /** Interleaved samples in order, cut anywhere. */
  push(bytes: Buffer): void;
  finish(): Levels;
};

export type LevelMeter = {
  /** The next `frames` frames are as loud as `levels` says, one amplitude per channel, 0..{@link FULL_SCALE}; louder is cut. */
  add(frames: number, levels: ArrayLike<number>): void;
  finish(): Levels;
};

export const MAX_BUCKETS = 1000;
const HEADER_BYTES = 16;
const MAGIC = 'CVPK';
const VERSION = 1;

/** −40 dBFS: above the idle noise of a line, below a voice at its other end. */
const AUDIBLE = FULL_SCALE / 100;
/**
 * A channel is audible when at least this many tenths of a second of it are, or one in ten in shorter calls: a click at answer and
 * one at the end are no speech, and one sentence in an hour is.
 */
const AUDIBLE_WINDOWS = 5;
const WINDOWS_PER_SECOND = 10;

type Buckets = {
  /** Frames for which there is room in the bucket at hand; at least one. */
  room(): number;
  raise(channel: number, level: number): void;
  /** Goes `frames` frames on, which are no more than there is room for. */
  advance(frames: number): void;
  encode(): Buffer;
};

/** Counts on each channel the tenths of a second in which something is heard, until that is enough on all of them. */
const createWindows = (channels: number, sampleRate: number) => {
  const frames = Math.max(1, Math.round(sampleRate / WINDOWS_PER_SECOND));
  const heard = new Uint8Array(channels);
  const counts = new Float64Array(channels);
  let filled = 0;
  let windows = 0;
  let isDecided = false;

  const close = (): void => {
    for (let channel = 0; channel < channels; channel += 1) counts[channel]! += heard[channel]!;
    filled = 0;
    windows += 1;
    isDecided = counts.every((count) => count >= AUDIBLE_WINDOWS);
  };

  return {
    /** Frames that may be told of at once. */
    room: () => (isDecided ? Number.POSITIVE_INFINITY : frames - filled),
    /** Of the frames that {@link advance} will tell of next. */
    raise(channel: number, level: number): void {
      if (level > AUDIBLE) heard[channel] = 1;
    },
    advance(count: number): void {
      if (isDecided) return;
      filled += count;
      if (filled < frames) return;
      // A block may be longer than a window: it is as loud in all of them.
      for (let left = filled; left >= frames; left -= frames) {
        close();
        filled = left - frames;
      }
      heard.fill(0);
    },
    audible(): boolean[] {
      if (filled > 0) close();
      const wanted = Math.min(AUDIBLE_WINDOWS, Math.max(1, windows / WINDOWS_PER_SECOND));
      return Array.from(counts, (count) => count >= wanted);
    },
  };
};

/**
 * Buckets for a stream whose length nobody knows yet, in MAX_BUCKETS × channels cells: they begin one frame wide, and when all
 * are full they are merged by two and become twice as wide.
 */
const createBuckets = (channels: number, sampleRate: number): Buckets => {
  const cells = new Uint16Array(MAX_BUCKETS * channels);
  let framesPerBucket = 1;
  let bucket = 0;
  let filled = 0;

  const close = (): void => {
    filled = 0;
    bucket += 1;
    if (bucket < MAX_BUCKETS) return;
    for (let channel = 0; channel < channels; channel += 1) {
      mergePairs(cells.subarray(channel * MAX_BUCKETS, (channel + 1) * MAX_BUCKETS));
    }
    bucket = MAX_BUCKETS / 2;
    framesPerBucket *= 2;
  };

  return {
    room: () => framesPerBucket - filled,
    raise(channel, level) {
      const cell = channel * MAX_BUCKETS + bucket;
      if (level > cells[cell]!) cells[cell] = level;
    },
    advance(frames) {
      filled += frames;
      if (filled === framesPerBucket) close();
    },
    encode() {
      const buckets = bucket + (filled > 0 ? 1 : 0);
      const perChannel = Array.from({ length: channels }, (_, i) =>
        cells.subarray(i * MAX_BUCKETS, i * MAX_BUCKETS + buckets),
      );
      return encode(perChannel, { framesPerBucket, sampleRate, buckets });
    },
  };
};

/** Measures samples. The frame cut off at the end is left out. */
export const createPeakMeter = (format: SampleFormat, channels: number, sampleRate: number): PeakMeter => {
  const frameBytes = format.bytes * channels;
  const buckets = createBuckets(channels, sampleRate);
  const windows = createWindows(channels, sampleRate);
  const cut = Buffer.alloc(frameBytes);
  let cutBytes = 0;

  const measure = (loudest: Loudest, from: number, frames: number): void => {
    for (let at = from, left = frames; left > 0; ) {
      const count = Math.min(left, buckets.room(), windows.room());
      for (let channel = 0; channel < channels; channel += 1) {
        const level = loudest(at + channel * format.bytes, frameBytes, count);
        buckets.raise(channel, level);
        windows.raise(channel, level);
      }
      at += count * frameBytes;
      left -= count;
      buckets.advance(count);
      windows.advance(count);
    }
  };

  return {
    push(bytes) {
      let from = 0;
      if (cutBytes > 0) {
        from = bytes.copy(cut, cutBytes, 0, frameBytes - cutBytes);
        cutBytes += from;
        if (cutBytes < frameBytes) return;
        measure(format.loudestIn(cut), 0, 1);
      }
      const frames = Math.floor((bytes.length - from) / frameBytes);
      measure(format.loudestIn(bytes), from, frames);
      cutBytes = bytes.copy(cut, 0, from + frames * frameBytes);
    },
    finish: () => ({ encoded: buckets.encode(), audible: windows.audible() }),
  };
};

/** Takes what something else has found out of how loud the sound is, stretch by stretch. */
export const createLevelMeter = (channels: number, sampleRate: number): LevelMeter => {
  const buckets = createBuckets(channels, sampleRate);
  const windows = createWindows(channels, sampleRate);
  return {
    add(frames, levels) {
      for (let channel = 0; channel < channels; channel += 1) windows.raise(channel, levels[channel]!);
      windows.advance(frames);
      for (let left = frames; left > 0; ) {
        const count = Math.min(left, buckets.room());
        for (let channel = 0; channel < channels; channel += 1)
          buckets.raise(channel, Math.min(FULL_SCALE, levels[channel]!));
        left -= count;
        buckets.advance(count);
      }
    },
    finish: () => ({ encoded: buckets.encode(), audible: windows.audible() }),
  };
};

const mergePairs = (cells: Uint16Array): void => {
  for (let i = 0; i < cells.length / 2; i += 1) cells[i] = Math.max(cells[2 * i]!, cells[2 * i + 1]!);
  cells.fill(0, cells.length / 2);
};

type Scale = { readonly framesPerBucket: number; readonly sampleRate: number; readonly buckets: number };

const encode = (
  perChannel: readonly Uint16Array[],
  { framesPerBucket, sampleRate, buckets }: Scale,
): Buffer => {
  const bytes = Buffer.alloc(HEADER_BYTES + perChannel.length * buckets);
  bytes.write(MAGIC, 'latin1');
  bytes.writeUInt8(VERSION, 4);
  bytes.writeUInt8(perChannel.length, 5);
  bytes.writeUInt16BE(buckets, 6);
  bytes.writeUInt32BE(framesPerBucket, 8);
  bytes.writeUInt32BE(sampleRate, 12);
  perChannel.forEach((levels, channel) => {
    // 32,768 steps into 256; only full scale itself would become 256.
    bytes.set(
      levels.map((level) => Math.min(255, level >> 7)),
      HEADER_BYTES + channel * buckets,
    );
  });
  return bytes;
};

/** Reads what a meter encoded, or null for anything else. */
export const decodePeaks = (bytes: Buffer): Peaks | null => {
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 4) !== MAGIC || bytes[4] !== VERSION)
    return null;
  const channels = bytes.readUInt8(5);
  const buckets = bytes.readUInt16BE(6);
  if (bytes.length !== HEADER_BYTES + channels * buckets) return null;
  return {
    channels,
    framesPerBucket: bytes.readUInt32BE(8),
    sampleRate: bytes.readUInt32BE(12),
    levels: Array.from({ length: channels }, (_, i) =>
      bytes.subarray(HEADER_BYTES + i * buckets, HEADER_BYTES + (i + 1) * buckets),
    ),
  };
};
