import { type AudioFlag, type AudioScan, bareScan, millisecondsOf, type SoundPlace } from './facts.ts';
import { mp3 } from './mp3.ts';
import type { Levels } from './peaks.ts';
import { createPullParser, type Parser, pass, peek, type Sink, skip, take } from './pull.ts';
import { levelFlags, meterOf } from './sound.ts';
import { FEWEST_BEYOND, readBeyond } from './wav-beyond.ts';
import {
  type Chunk,
  chunkOf,
  HEAD_BYTES,
  isChunk,
  PLACEHOLDER,
  pad,
  searchChunk,
  statedEnd,
  UNKNOWN,
} from './wav-chunks.ts';
import { FMT_BYTES, parseWavFormat, type WavFormat } from './wav-format.ts';

/**
 * RIFF, RF64 and BW64 WAVE, chunk by chunk, as a stream. Every size in it is attacker-controlled: nothing is allocated
 * by one, and the length of the call is what is really there. Where the chunks contradict one another the sound is looked for,
 * and only where there is no place for it is a file said to be empty.
 */
export function* wav(): Parser<AudioScan> {
  const riff = yield* take(12);
  const found: Found = {
    magic: riff.toString('latin1', 0, 4),
    riffEnd: riff.readUInt32LE(4) + HEAD_BYTES,
    end: statedEnd(riff.readUInt32LE(4)),
    format: null,
    factSamples: null,
    longData: null,
    data: null,
    odd: false,
    lost: false,
    believed: null,
  };
  let at = 12;
  for (let chunks = 0; ; chunks += 1) {
    const head = yield* peek(HEAD_BYTES);
    if (head.length < HEAD_BYTES) break;
    const bytes: number | null = yield* readNext(chunkOf(head, at), isEndless(chunks, at), found);
    if (bytes === null) break;
    at += bytes;
  }
  return found.data === null ? noData(found) : scanOf(found, found.data);
}

/** Many chunks of hardly any bytes are no recording; they would only cost time. What was found before them stands. */
const MANY_CHUNKS = 4096;
const MIN_BYTES_PER_CHUNK = 64;
const isEndless = (chunks: number, at: number): boolean =>
  chunks > MANY_CHUNKS && at < chunks * MIN_BYTES_PER_CHUNK;

type Found = {
  /** RIFF, RF64 or BW64. */
  readonly magic: string;
  /** Where the file ends, by its first line. */
  readonly riffEnd: number;
  /** The same; null where it is not to be believed. */
  readonly end: number | null;
  format: WavFormat | null;
  /** Samples per channel by the `fact` chunk; the only honest length of block codecs. */
  factSamples: number | null;
  /** Length of the data by the `ds64` chunk of files beyond 4 GiB. */
  longData: number | null;
  data: Data | null;
  /** Chunks that contradict one another, or more behind the sound than chunks: a player may find less than there is. */
  odd: boolean;
  /** Bytes were passed over that may have been sound. */
  lost: boolean;
  /** Where a chunk begins that was looked for and found. */
  believed: number | null;
};

type Data = {
  /** Where the chunk's body begins. */
  readonly start: number;
  readonly present: number;
  /** Null when the writer never filled it in. */
  readonly declared: number | null;
  /** The sound goes on behind its stated end. */
  readonly goesOn: boolean;
  readonly inside: Inside;
};

/** What a reader of the samples learnt while they passed by. */
type Inside = { readonly levels: Levels | null; readonly mp3: AudioScan | null };

/** Reads the chunk that begins here, or what is there instead of one; answers how many bytes it took, null to end. */
function* readNext(chunk: Chunk, endless: boolean, found: Found): Parser<number | null> {
  const { data, end } = found;
  const at = chunk.bodyAt - HEAD_BYTES;
  if (data !== null && endless) return null;
  // No chunk: one before has lied about its length, or its pad byte is missing.
  if (data === null && at !== found.believed && (endless || !isChunk(chunk, end)))
    return yield* search(at, Number.POSITIVE_INFINITY, true, found);
  yield* skip(HEAD_BYTES);
  const isData = chunk.id === 'data' && data === null;
  const bytes = isData ? yield* readData(chunk, found) : yield* readChunk(chunk, found);
  // Within its body the next chunk has been found: it has no pad byte.
  const padded = chunk.bodyAt + bytes === found.believed ? 0 : yield* pad(bytes);
  found.odd ||= found.data === null && bytes % 2 !== padded;
  return HEAD_BYTES + bytes + padded;
}

/** Looks for what a lying chunk hides; answers how many bytes lie before it. */
function* search(at: number, bytes: number, lost: boolean, found: Found): Parser<number> {
  const passed = yield* searchChunk({ at, bytes, end: found.end, lost, hasFormat: found.format !== null });
  if (passed === bytes) return passed;
  if ((yield* peek(1)).length === 0) found.lost ||= (lost || found.end === null) && passed >= FEWEST_BEYOND;
  else {
    found.odd = true;
    found.believed = at + passed;
  }
  return passed;
}

/** Reads the small chunks that matter and leaves the others out; answers how many bytes there were. */
function* readChunk(chunk: Chunk, found: Found): Parser<number> {
  const { id, size } = chunk;
  const wanted = wantedBytes[id] ?? 0;
  const body = yield* take(Math.min(size, wanted));
  if (id === 'fmt ') found.format ??= parseWavFormat(body);
  if (id === 'fact' && body.length === 4) found.factSamples = body.readUInt32LE(0);
  // Beyond 2^53 the number is inexact, and far beyond any stream.
  if (id === 'ds64' && body.length === 16) found.longData = Number(body.readBigUInt64LE(8));
  return body.length + (yield* readRest(chunk, body.length, found));
}

const wantedBytes: Readonly<Record<string, number>> = { 'fmt ': FMT_BYTES, fact: 4, ds64: 16 };

/** The rest of a chunk of no interest, unless its length is a lie. */
function* readRest({ id, size, bodyAt }: Chunk, read: number, found: Found): Parser<number> {
  const { end, data } = found;
  const left = size - read;
  if (left === 0) return 0;
  const overruns = end !== null && bodyAt + size > end + 1;
  if (data === null) return yield* search(bodyAt + read, left, overruns, found);
  const passed = yield* skip(left);
  // More sound, or another file behind the first.
  found.odd ||= id === 'data' || id === 'RIFF' || (overruns && passed < left && passed >= FEWEST_BEYOND);
  return passed;
}

function* readData(chunk: Chunk, found: Found): Parser<number> {
  const declared = yield* declaredBytes(chunk, found);
  const reader = readerOf(found.format);
  found.odd ||= found.format === null;
  const stated = yield* pass(declared ?? Number.POSITIVE_INFINITY, reader.push);
  const goesOn = stated === declared ? yield* beyond(chunk, stated, reader.push, found) : 0;
  const present = stated + goesOn;
  const neverFilledIn =
    declared !== null && present < declared && declared >= PLACEHOLDER && found.longData === null;
  found.data = {
    start: chunk.bodyAt,
    present,
    declared: neverFilledIn ? null : declared,
    goesOn: goesOn > 0,
    inside: reader.finish(),
  };
  return present;
}

/** How many bytes of sound follow where it should end; what is neither sound nor a chunk is passed over. */
function* beyond({ bodyAt }: Chunk, bytes: number, to: Sink, found: Found): Parser<number> {
  const next = yield* peek(HEAD_BYTES + 1);
  if (next.length < HEAD_BYTES) return 0;
  const isMore = next.toString('latin1', 0, 4) === 'data';
  if (!isMore && hasChunk(next, bodyAt + bytes, bytes % 2, found.end)) return 0;
  const { sound, unknown } = yield* readBeyond(found.format, bytes, to);
  found.odd ||= unknown || isMore;
  if (sound === 0 && !isMore) yield* skip(Number.POSITIVE_INFINITY);
  return sound;
}

/** Chunks are padded to even length; some writers forget it. */
const hasChunk = (next: Buffer, at: number, padding: number, end: number | null): boolean =>
  isChunk(chunkOf(next, at), end) ||
  (padding === 1 && next.length > HEAD_BYTES && isChunk(chunkOf(next.subarray(padding), at + padding), end));

/** The announced length of the data, or null for "until the end of the stream". */
function* declaredBytes({ size, bodyAt }: Chunk, { longData, riffEnd, end }: Found): Parser<number | null> {
  if (size === UNKNOWN) return longData || null;
  if (size !== 0) return size;
  // A crashed writer leaves 0 here. Only a file whose first line counts further chunks, and that has them, is truly without audio.
  if (riffEnd <= bodyAt || riffEnd > PLACEHOLDER) return null;
  const next = yield* peek(HEAD_BYTES);
  return next.length === HEAD_BYTES && !isChunk(chunkOf(next, bodyAt), end) ? null : 0;
}

const readerOf = (format: WavFormat | null): { readonly push: Sink; finish(): Inside } => {
  const meter = format === null ? null : meterOf(format);
  if (meter !== null) return { push: meter.push, finish: () => ({ levels: meter.finish(), mp3: null }) };
  if (format?.codec === 'mp3') {
    const parser = createPullParser(mp3());
    return { push: parser.push, finish: () => ({ levels: null, mp3: parser.finish() }) };
  }
  return { push: () => {}, finish: () => ({ levels: null, mp3: null }) };
};

const noData = ({ format, lost }: Found): AudioScan =>
  lost
    ? bareScan('wav', ['header_invalid'])
    : {
        ...bareScan('wav', format === null ? ['header_invalid', 'empty'] : ['empty']),
        codec: format?.codec ?? null,
        sampleRate: format?.sampleRate ?? null,
        channels: format?.channels ?? null,
      };

const scanOf = ({ magic, format, factSamples, odd }: Found, data: Data): AudioScan => {
  if (format === null) return bareScan('wav', ['header_invalid', ...lengthFlags(data)]);
  const { levels, mp3: inner } = data.inside;
  const declaredSamples = inner === null ? declaredSamplesOf(format, factSamples, data.declared) : null;
  const samples = presentSamplesOf(format, factSamples, data.present);
  const isDescribed = magic === 'RIFF' && format.consistent && !odd && data.declared !== null && !data.goesOn;
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
      ...(format.consistent && !odd ? [] : ['header_invalid' as const]),
      ...(format.codec === null ? ['unknown_codec' as const] : []),
      ...new Set([...lengthFlags(data), ...(samples === 0 ? ['empty' as const] : []), ...innerFlags(inner)]),
      ...(samples === 0 ? [] : levelFlags(levels)),
    ],
    peaks: levels?.encoded ?? inner?.peaks ?? null,
    place: placeOf(format, data, samples, isDescribed),
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

const lengthFlags = ({ present, declared, goesOn }: Data): AudioFlag[] => [
  ...(present === 0 ? ['empty' as const] : []),
  ...(declared === null || goesOn ? ['length_unknown' as const] : []),
  ...(declared !== null && present < declared ? ['truncated' as const] : []),
];

const innerFlags = (inner: AudioScan | null): readonly AudioFlag[] =>
  inner === null ? [] : inner.codec === null ? ['unknown_codec'] : inner.flags;
