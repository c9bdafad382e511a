import { aacRates } from './adts.ts';
import type { Codec } from './facts.ts';
import { type Parser, take } from './pull.ts';

export type Track = {
  id: number;
  /** Ticks per second; 0 while it is not known. */
  timescale: number;
  /** `soun` for sound. */
  handler: string;
  codec: Codec | null;
  sampleRate: number;
  channels: number;
};

/** What the boxes said so far. */
export type Movie = {
  /** Ticks per second of the two durations; of fragments each track counts its own. */
  timescale: number;
  /** 0 where the writer did not know. */
  duration: number;
  fragmented: boolean;
  fragmentsDuration: number;
  tracks: readonly Track[];
  /** Ticks of a sample, by track, where its fragment does not say. */
  readonly defaultDurations: Map<number, number>;
  /** The track of the fragment that is being read, and ticks of a sample there. */
  fragmentTrack: number | null;
  fragmentDefault: number;
  /** Ticks that the description itself tells of, before any fragment; null where its table is too long to be added up. */
  described: number | null;
  /** Ticks announced whose sound has not come yet, of which it has come, and of which it was cut. */
  pending: number;
  present: number;
  lost: number;
};

export const newTrack = (): Track => ({
  id: 0,
  timescale: 0,
  handler: '',
  codec: null,
  sampleRate: 0,
  channels: 0,
});

/** The first track of sound. */
export const chosenTrack = ({ tracks }: Movie): Track | null =>
  tracks.find(({ handler }) => handler === 'soun') ?? null;

/** Largest part of a table held at once. */
const TABLE_BYTES = 65_536;
const MAX_DEFAULTS = 16;
const TIMES_HEAD = 8;
const TIMES_ENTRY = 8;
/** Frames of sound are alike: a call has one pair of times or two. */
const TIMES_BYTES = 4096;

type Read = (body: Buffer, movie: Movie, track: Track) => void;
type Leaf = { readonly bytes: number; readonly read: Read };

/** Version 1 of a box has times of 64 bits; beyond 2^53 they are inexact, and no call. */
const time = (body: Buffer, at: number, wide: boolean): number => {
  if (body.length < at + (wide ? 8 : 4)) return 0;
  const value = wide ? Number(body.readBigUInt64BE(at)) : body.readUInt32BE(at);
  return value === (wide ? 2 ** 64 : UNKNOWN) ? 0 : value;
};
const UNKNOWN = 0xffff_ffff;
const word = (body: Buffer, at: number): number => (body.length < at + 4 ? 0 : body.readUInt32BE(at));

const leaves: Readonly<Record<string, Leaf>> = {
  mvhd: {
    bytes: 32,
    read: (body, movie) => {
      const wide = body[0] === 1;
      movie.timescale = word(body, wide ? 20 : 12);
      movie.duration = movie.timescale === 0 ? 0 : time(body, wide ? 24 : 16, wide);
    },
  },
  mehd: {
    bytes: 12,
    read: (body, movie) => {
      movie.fragmentsDuration = movie.timescale === 0 ? 0 : time(body, 4, body[0] === 1);
    },
  },
  trex: {
    bytes: 16,
    read: (body, movie) => {
      movie.fragmented = true;
      if (movie.defaultDurations.size < MAX_DEFAULTS)
        movie.defaultDurations.set(word(body, 4), word(body, 12));
    },
  },
  tkhd: {
    bytes: 24,
    read: (body, _, track) => {
      track.id = word(body, body[0] === 1 ? 20 : 12);
    },
  },
  mdhd: {
    bytes: 24,
    read: (body, _, track) => {
      track.timescale = word(body, body[0] === 1 ? 20 : 12);
    },
  },
  hdlr: {
    bytes: 12,
    read: (body, _, track) => {
      // Some writers put a second one, about the data, behind the first.
      if (track.handler === '') track.handler = body.toString('latin1', 8, 12);
    },
  },
  stts: { bytes: TIMES_BYTES, read: (body, movie, track) => readTimes(body, movie, track) },
  stsd: { bytes: 512, read: (body, _, track) => readSampleEntry(body, track) },
  tfhd: { bytes: 24, read: (body, movie) => readFragmentHeader(body, movie) },
};

/** Reads a box that says something, at most its beginning; answers how many bytes of it. */
export function* readLeaf(type: string, size: number, movie: Movie): Parser<number> {
  if (type === 'trun') return yield* readRun(size, movie);
  const leaf = leaves[type];
  if (leaf === undefined) return 0;
  const body = yield* take(Math.min(size, leaf.bytes));
  leaf.read(body, movie, movie.tracks.at(-1) ?? newTrack());
  return body.length;
}

/** Adds up the samples of a description: pairs of how many there are and how long each is. */
const readTimes = (body: Buffer, movie: Movie, track: Track): void => {
  if (track !== chosenTrack(movie)) return;
  const entries = word(body, 4);
  const isWhole = TIMES_HEAD + entries * TIMES_ENTRY <= body.length;
  movie.described = isWhole ? 0 : null;
  for (let at = TIMES_HEAD; isWhole && at < TIMES_HEAD + entries * TIMES_ENTRY; at += TIMES_ENTRY)
    movie.described! += word(body, at) * word(body, at + 4);
  movie.pending += movie.described ?? 0;
};

const HAS_BASE_OFFSET = 0x01;
const HAS_DESCRIPTION = 0x02;
const HAS_DURATION = 0x08;

const readFragmentHeader = (body: Buffer, movie: Movie): void => {
  movie.fragmented = true;
  const flags = word(body, 0);
  const id = word(body, 4);
  const at = 8 + (flags & HAS_BASE_OFFSET ? 8 : 0) + (flags & HAS_DESCRIPTION ? 4 : 0);
  movie.fragmentTrack = id;
  movie.fragmentDefault = flags & HAS_DURATION ? word(body, at) : (movie.defaultDurations.get(id) ?? 0);
};

const RUN_OFFSET = 0x001;
const RUN_FIRST_FLAGS = 0x004;
const RUN_DURATIONS = 0x100;
/** Fields of a sample in the table, four bytes each: duration, size, flags, offset. */
const RUN_FIELDS = [RUN_DURATIONS, 0x200, 0x400, 0x800];

/** Flags and count. */
const RUN_HEAD_BYTES = 8;

/** Adds up how long the samples of a run last. Their count is believed only as far as their durations are there. */
function* readRun(size: number, movie: Movie): Parser<number> {
  const head = yield* take(Math.min(size, RUN_HEAD_BYTES));
  if (head.length < RUN_HEAD_BYTES || movie.fragmentTrack !== chosenTrack(movie)?.id) return head.length;
  const flags = head.readUInt32BE(0);
  const count = head.readUInt32BE(4);
  if (!(flags & RUN_DURATIONS)) {
    movie.pending += count * movie.fragmentDefault;
    return head.length;
  }
  const extra = yield* take(
    Math.min(size - RUN_HEAD_BYTES, (flags & RUN_OFFSET ? 4 : 0) + (flags & RUN_FIRST_FLAGS ? 4 : 0)),
  );
  const entryBytes = 4 * RUN_FIELDS.filter((field) => flags & field).length;
  let read = RUN_HEAD_BYTES + extra.length;
  const end = Math.min(size, read + count * entryBytes);
  while (read < end) {
    const table = yield* take(Math.min(end - read, TABLE_BYTES - (TABLE_BYTES % entryBytes)));
    for (let at = 0; at + 4 <= table.length; at += entryBytes) movie.pending += table.readUInt32BE(at);
    read += table.length;
    if (table.length === 0) break;
  }
  return read;
}

const codecs: Readonly<Record<string, Codec>> = {
  Opus: 'opus',
  fLaC: 'flac',
  alac: 'alac',
  '.mp3': 'mp3',
  samr: 'amr_nb',
  sawb: 'amr_wb',
};

/** Where the boxes of the entry begin, behind the fields that every sound has (version 0, and 1 of QuickTime). */
const ENTRY_AT = 8;
const ENTRY_BOXES_AT = ENTRY_AT + 36;
const QUICKTIME_BYTES = 16;

const readSampleEntry = (body: Buffer, track: Track): void => {
  if (track.codec !== null || body.length < ENTRY_BOXES_AT) return;
  const format = body.toString('latin1', ENTRY_AT + 4, ENTRY_AT + 8);
  track.channels = body.readUInt16BE(ENTRY_AT + 24);
  track.sampleRate = body.readUInt16BE(ENTRY_AT + 32);
  track.codec = codecs[format] ?? null;
  if (format === 'mp4a') readElementaryStream(body, track);
  if (track.codec === 'opus') track.sampleRate = 48_000;
};

/** Tags of the descriptors around an AAC stream's own header (ISO/IEC 14496-1 §7.2.6), each with a length of 1 to 4 bytes. */
const CONFIG_TAG = 4;
const SPECIFIC_TAG = 5;
const AAC_TYPES = new Set([0x40, 0x66, 0x67, 0x68]);
const MP3_TYPES = new Set([0x69, 0x6b]);

/** The sound's own header knows rate and channels; the entry before it is often filled with what writers think usual. */
const readElementaryStream = (body: Buffer, track: Track): void => {
  const boxes = body.subarray(
    ENTRY_BOXES_AT + (body.readUInt16BE(ENTRY_AT + 16) === 1 ? QUICKTIME_BYTES : 0),
  );
  const at = boxes.indexOf('esds', 0, 'latin1');
  if (at === -1) return;
  // Version and flags, then the descriptor of the stream: its tag, length, id and flags.
  const config = descriptor(boxes, skipDescriptor(boxes, at + 8) + 3, CONFIG_TAG);
  if (config === null || config >= boxes.length) return;
  if (MP3_TYPES.has(boxes[config]!)) track.codec = 'mp3';
  if (!AAC_TYPES.has(boxes[config]!)) return;
  track.codec = 'aac';
  const specific = descriptor(boxes, config + 13, SPECIFIC_TAG);
  if (specific === null || specific + 2 > boxes.length) return;
  const bits = boxes.readUInt16BE(specific);
  const channels = (bits >> 3) & 15;
  track.sampleRate = aacRates[(bits >> 7) & 15] ?? track.sampleRate;
  if (channels >= 1 && channels <= 7) track.channels = channels === 7 ? 8 : channels;
};

/** Past a descriptor's tag and length. */
const skipDescriptor = (bytes: Buffer, at: number): number => {
  let next = at + 1;
  for (let more = 4; more > 0 && next < bytes.length; more -= 1) {
    next += 1;
    if (bytes[next - 1]! < 0x80) break;
  }
  return next;
};

const descriptor = (bytes: Buffer, at: number, tag: number): number | null =>
  bytes[at] === tag ? skipDescriptor(bytes, at) : null;
