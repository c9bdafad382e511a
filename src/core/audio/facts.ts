/** What can be known of a recording from its bytes alone. Everything here is closed words and bounded integers. */
export type Container =
  | 'wav'
  | 'mp3'
  | 'ogg'
  | 'flac'
  | 'mp4'
  | 'webm'
  | 'matroska'
  | 'adts'
  | 'amr'
  | 'au'
  /** No container at all: samples or frames of a declared kind, from the first byte. */
  | 'raw';

export type Codec =
  | 'pcm_u8'
  | 'pcm_s16'
  /** Most significant byte first. */
  | 'pcm_s16be'
  | 'pcm_s24'
  | 'pcm_s32'
  | 'pcm_f32'
  | 'pcm_f64'
  | 'alaw'
  | 'ulaw'
  | 'gsm610'
  | 'g722'
  | 'adpcm_ms'
  | 'adpcm_ima'
  | 'mp3'
  | 'aac'
  | 'alac'
  | 'opus'
  | 'vorbis'
  | 'speex'
  | 'flac'
  | 'amr_nb'
  | 'amr_wb';

/**
 * What is odd about a recording. Flags are evidence about the line and the telephony system, never a reason to refuse.
 * They go into the access log, so a word here is stable for ever.
 */
export type AudioFlag =
  /** No audio at all. */
  | 'empty'
  /** Less audio than the header announces, or the last frame or page is cut, or the line while it was sent live. */
  | 'truncated'
  /** The writer never came back to fill in the length (a crash, or a pipe), or the sound goes on behind it: the length is what was found. */
  | 'length_unknown'
  /** The header contradicts itself or the file, or holds impossible values. */
  | 'header_invalid'
  /** No known kind of audio. */
  | 'unknown_format'
  /** A known container around something that is not known. */
  | 'unknown_codec'
  /** Bytes that are no audio lie before or between the frames. */
  | 'gaps'
  /** Nothing to be heard on any channel. Known where peaks are. */
  | 'silent'
  /** Something to be heard on some channels and nothing on others. Known where peaks are. */
  | 'one_sided'
  /** The upload called it a different kind of audio. */
  | 'type_mismatch';

export type AudioFacts = {
  /** From the bytes, never from the upload; `application/octet-stream` when they are not recognised. */
  readonly mediaType: string;
  readonly container: Container | null;
  readonly codec: Codec | null;
  /** Samples per second per channel. */
  readonly sampleRate: number | null;
  readonly channels: number | null;
  /** What the header announces; null where it announces nothing. */
  readonly declaredDurationMs: number | null;
  /** What is there; null where it cannot be told without decoding. */
  readonly durationMs: number | null;
  readonly flags: readonly AudioFlag[];
};

/**
 * Where the sound lies in the original, for codecs that fill it at a constant rate: any moment of the call can be found
 * without reading what comes before. All numbers are whole and not negative.
 */
export type SoundPlace = {
  /** First byte of it. */
  readonly start: number;
  /** Whole blocks only. */
  readonly bytes: number;
  readonly blockBytes: number;
  /** Samples per channel in one block. */
  readonly blockSamples: number;
  /** Samples per channel in all; the last block may hold fewer than the others. */
  readonly samples: number;
  /** Whether a player finds the sound in the original: its header names place, length and format, and is true. */
  readonly described: boolean;
};

/** What one container's parser found; the probe adds media type and the flags that need no parser. */
export type AudioScan = Omit<AudioFacts, 'mediaType'> & {
  /** Encoded peaks (see peaks.ts), or null where nothing short of decoding tells them. */
  readonly peaks: Buffer | null;
  /** Null where the sound is not at a constant rate, or not known well enough. */
  readonly place: SoundPlace | null;
};

/** A scan that knows nothing but its container. */
export const bareScan = (container: Container | null, flags: readonly AudioFlag[] = []): AudioScan => ({
  container,
  codec: null,
  sampleRate: null,
  channels: null,
  declaredDurationMs: null,
  durationMs: null,
  flags,
  peaks: null,
  place: null,
});

const MAX_MS = 2 ** 31 - 1;
const MIN_SAMPLE_RATE = 1000;
const MAX_SAMPLE_RATE = 768_000;
const MAX_CHANNELS = 32;

/** Rates and channel counts are attacker-controlled: outside these bounds they are treated as not stated. */
export const isPlausible = (sampleRate: number, channels: number): boolean =>
  sampleRate >= MIN_SAMPLE_RATE && sampleRate <= MAX_SAMPLE_RATE && channels >= 1 && channels <= MAX_CHANNELS;

/** Milliseconds of `samples` per channel, or null beyond 24 days: no call lasts longer, and the database keeps 32 bits. */
export const millisecondsOf = (samples: number, sampleRate: number): number | null =>
  wholeMilliseconds((samples / sampleRate) * 1000);

/** A time that was computed from attacker-controlled numbers, as a database can keep it; null when it is none. */
export const wholeMilliseconds = (milliseconds: number): number | null =>
  milliseconds >= 0 && milliseconds <= MAX_MS ? Math.round(milliseconds) : null;
