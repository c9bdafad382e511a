import { type AudioFlag, type AudioScan, bareScan, millisecondsOf, type SoundPlace } from './facts.ts';
import { mp3 } from './mp3.ts';
import { createPeakMeter, type Levels } from './peaks.ts';
import { createPullParser, type Parser, pass, type Sink, skip, take } from './pull.ts';
import { sampleFormatOf } from './samples.ts';
import { levelFlags } from './sound.ts';
import { FMT_BYTES, parseWavFormat, type WavFormat } from './wav-format.ts';

/**
 * RIFF, RF64 and BW64 WAVE, chunk by chunk, as a stream. Every size in it is attacker-controlled: nothing is allocated
 * by one, and the length of the call is what is really there.
 */
export function* wav(): Parser<AudioScan> {
  const riff = yield* take(12);
  const found: Found = {
    magic: riff.toString('latin1', 0, 4),
    riffEnd: riff.readUInt32LE(4) + 8,
    format: null,
    factSamples: null,
    longData: null,
    data: null,
  };
  let at = 12;
  let chunks = 0;
  for (;;) {
    const head = yield* take(8);
    if (head.length < 8 || isEndless(chunks, at)) break;
    chunks += 1;
    const chunk: Chunk = { id: head.toString('latin1', 0, 4), size: head.readUInt32LE(4), bodyAt: at + 8 };
    const bytes =
      chunk.id === 'data' && found.data === null
        ? yield* readData(chunk, found)
        : yield* readChunk(chunk, found);
    // Chunks are padded to even length.
    at = chunk.bodyAt + bytes + (yield* skip(bytes % 2));
  }
  return found.data === null ? noData(found) : scanOf(found, found.data);
}

/** Many chunks of hardly any bytes are no recording; they would only cost time. What was found before them stands. */
const MANY_CHUNKS = 4096;
const MIN_BYTES_PER_CHUNK = 64;
const isEndless = (chunks: number, at: number): boolean =>
  chunks > MANY_CHUNKS && at < chunks * MIN_BYTES_PER_CHUNK;

type Chunk = { readonly id: string; readonly size: number; readonly bodyAt: number };

type Found = {
  /** RIFF, RF64 or BW64. */
  readonly magic: string;
  /** Where the file ends, by its first line. */
  readonly riffEnd: number;
  format: WavFormat | null;
  /** Samples per channel by the `fact` chunk; the only honest length of block codecs. */
  factSamples: number | null;
  /** Length of the data by the `ds64` chunk of files beyond 4 GiB. */
  longData: number | null;
  data: Data | null;
};

type Data = {
  /** Where the chunk's body begins. */
  readonly start: number;
  readonly present: number;
  /** Null when the writer never filled it in. */
  readonly declared: number | null;
  readonly inside: Inside;
};

/** What a reader of the samples learnt while they passed by. */
type Inside = { readonly levels: Levels | null; readonly mp3: AudioScan | null };

/** Reads the small chunks that matter and leaves the others out; answers how many bytes there were. */
function* readChunk({ id, size }: Chunk, found: Found): Parser<number> {
  const wanted = wantedBytes[id] ?? 0;
  const body = yield* take(Math.min(size, wanted));
  if (id === 'fmt ') found.format ??= parseWavFormat(body);
  if (id === 'fact' && body.length === 4) found.factSamples = body.readUInt32LE(0);
  // Beyond 2^53 the number is inexact, and far beyond any stream.
  if (id === 'ds64' && body.length === 16) found.longData = Number(body.readBigUInt64LE(8));
  return body.length + (yield* skip(size - body.length));
}

const wantedBytes: Readonly<Record<string, number>> = { 'fmt ': FMT_BYTES, fact: 4, ds64: 16 };

function* readData(chunk: Chunk, found: Found): Parser<number> {
  const declared = declaredBytes(chunk, found);
  const reader = readerOf(found.format);
  const present = yield* pass(declared ?? Number.POSITIVE_INFINITY, reader.push);
  const neverFilledIn =
    declared !== null && present < declared && declared >= PLACEHOLDER && found.longData === null;
  found.data = {
    start: chunk.bodyAt,
    present,
    declared: neverFilledIn ? null : declared,
    inside: reader.finish(),
  };
  return present;
}

/** What writers to a pipe put where they cannot know the length: about 2 GiB (sox), 4 GiB − 1 (ffmpeg). */
const PLACEHOLDER = 0x7fff_0000;
const UNKNOWN = 0xffff_ffff;

/** The announced length of the data, or null for "until the end of the stream". */
const declaredBytes = ({ size, bodyAt }: Chunk, { longData, riffEnd }: Found): number | null => {
  if (size === UNKNOWN) return longData || null;
  // A crashed writer leaves 0 here. Only a file whose first line counts further chunks is truly without audio.
  if (size === 0 && (riffEnd <= bodyAt || riffEnd > PLACEHOLDER)) return null;
  return size;
};

const readerOf = (format: WavFormat | null): { readonly push: Sink; finish(): Inside } => {
  const samples = format?.codec ? sampleFormatOf(format.codec) : null;
  if (format !== null && samples !== null) {
    const meter = createPeakMeter(samples, format.channels, format.sampleRate);
    return { push: meter.push, finish: () => ({ levels: meter.finish(), mp3: null }) };
  }
  if (format?.codec === 'mp3') {
    const parser = createPullParser(mp3());
    return { push: parser.push, finish: () => ({ levels: null, mp3: parser.finish() }) };
  }
  return { push: () => {}, finish: () => ({ levels: null, mp3: null }) };
};

const noData = ({ format }: Found): AudioScan => ({
  ...bareScan('wav', format === null ? ['header_invalid', 'empty'] : ['empty']),
  codec: format?.codec ?? null,
  sampleRate: format?.sampleRate ?? null,
  channels: format?.channels ?? null,
});

const scanOf = ({ magic, format, factSamples }: Found, data: Data): AudioScan => {
  if (format === null) return bareScan('wav', ['header_invalid', ...lengthFlags(data)]);
  const { levels, mp3: inner } = data.inside;
  const declaredSamples = inner === null ? declaredSamplesOf(format, factSamples, data.declared) : null;
  const samples = presentSamplesOf(format, factSamples, data.present);
  return {
    container: 'wav',
    codec: format.codec,
    sampleRate: format.sampleRate,
    channels: format.channels,
    declaredDurationMs:
      inner?.declaredDurationMs ??
      (declaredSamples === null ? null : millisecondsOf(declaredSamples, format.sampleRate)),
    durationMs: inner?.durationMs ?? (samples === null ? null : millisecondsOf(samples, format.sampleRate)),
    flags: [
      ...(format.consistent ? [] : ['header_invalid' as const]),
      ...(format.codec === null ? ['unknown_codec' as const] : []),
      ...new Set([...lengthFlags(data), ...(samples === 0 ? ['empty' as const] : []), ...innerFlags(inner)]),
      ...(samples === 0 ? [] : levelFlags(levels)),
    ],
    peaks: levels?.encoded ?? null,
    place: placeOf(format, data, samples, magic === 'RIFF' && format.consistent && data.declared !== null),
  };
};

const placeOf = (
  { blockBytes, blockSamples }: WavFormat,
  { start, present }: Data,
  samples: number | null,
  described: boolean,
): SoundPlace | null =>
  samples === null || blockBytes === null || blockSamples === null
    ? null
    : { start, bytes: present - (present % blockBytes), blockBytes, blockSamples, samples, described };

/** Whole units only: what a player would play. */
const samplesIn = ({ blockBytes, blockSamples }: WavFormat, bytes: number): number | null =>
  blockBytes === null || blockSamples === null ? null : Math.floor(bytes / blockBytes) * blockSamples;

/** The last block of a block codec is filled up with nothing, which `fact` tells from audio. */
const presentSamplesOf = (format: WavFormat, factSamples: number | null, present: number): number | null => {
  const samples = samplesIn(format, present);
  if (samples === null || !factSamples || format.blockSamples === null) return samples;
  return samples > factSamples && samples - factSamples < format.blockSamples ? factSamples : samples;
};

const declaredSamplesOf = (
  format: WavFormat,
  factSamples: number | null,
  declared: number | null,
): number | null => {
  // For plain samples the data chunk is the better witness; `fact` is often left over from before an edit.
  if (format.blockSamples !== 1 && factSamples) return factSamples;
  return declared === null ? null : samplesIn(format, declared);
};

const lengthFlags = ({ present, declared }: Data): AudioFlag[] => [
  ...(present === 0 ? ['empty' as const] : []),
  ...(declared === null ? ['length_unknown' as const] : []),
  ...(declared !== null && present < declared ? ['truncated' as const] : []),
];

const innerFlags = (inner: AudioScan | null): readonly AudioFlag[] =>
  inner === null ? [] : inner.codec === null ? ['unknown_codec'] : inner.flags;
