import type { Codec } from './facts.ts';

type Sound = {
  number: number;
  /** 2 is sound. */
  type: number;
  codec: Codec | null;
  sampleRate: number;
  channels: number;
  /** Nanoseconds of a block, where the writer says so; 0 otherwise. */
  blockNs: number;
  /** Nanoseconds that a decoder puts before the sound. */
  delayNs: number;
  /** How many blocks of it came whole, and when the last of them ends. */
  blocks: number;
  lastMs: number;
  endMs: number;
};

const SOUND = 2;
const MAX_TRACKS = 16;

const TRACK_ENTRY = 0xae;
const BLOCK_GROUP = 0xa0;
export const SIMPLE_BLOCK = 0xa3;
const ids = {
  docType: 0x4282,
  timestampScale: 0x2ad7b1,
  duration: 0x4489,
  trackNumber: 0xd7,
  trackType: 0x83,
  codecId: 0x86,
  samplingFrequency: 0xb5,
  channels: 0x9f,
  defaultDuration: 0x23e383,
  clusterTimestamp: 0xe7,
  block: 0xa1,
  blockDuration: 0x9b,
  discardPadding: 0x75a2,
  codecDelay: 0x56aa,
} as const;

/** How much of an element is looked at. */
export const MAX_LEAF_BYTES = 32;
const wanted: ReadonlyMap<number, number> = new Map([
  ...Object.values(ids).map((id) => [id, 8] as const),
  [ids.docType, 16],
  [ids.codecId, MAX_LEAF_BYTES],
  [SIMPLE_BLOCK, 16],
  [ids.block, 16],
]);
export const leafBytes = (id: number): number => wanted.get(id) ?? 0;

const codecs: Readonly<Record<string, Codec>> = {
  A_OPUS: 'opus',
  A_VORBIS: 'vorbis',
  A_AAC: 'aac',
  A_FLAC: 'flac',
  'A_MPEG/L3': 'mp3',
};

const unsigned = (body: Buffer): number => body.reduce((value, byte) => value * 256 + byte, 0);
const signed = (body: Buffer): number =>
  body[0]! < 0x80 ? unsigned(body) : unsigned(body) - 2 ** (8 * body.length);
const float = (body: Buffer): number =>
  body.length === 4 ? body.readFloatBE(0) : body.length === 8 ? body.readDoubleBE(0) : 0;
const text = (body: Buffer): string => body.toString('latin1').replace(/\0+$/, '');

/** When the last block of a track has been heard. */
export const heardMs = ({ endMs, delayNs }: Sound): number => Math.max(0, endMs - delayNs / 1e6);

/** The first track of sound. */
export const chosenSound = (tracks: readonly Sound[]): Sound | null =>
  tracks.find(({ type }) => type === SOUND) ?? null;

/** Collects what the elements say, in the order in which they come. */
export const createWebmFacts = () => {
  const tracks: Sound[] = [];
  let docType = '';
  /** Nanoseconds of a tick. */
  let scale = 1_000_000;
  let duration = 0;
  let cluster = 0;
  let blockTrack: Sound | null = null;

  const inTrack: Readonly<Record<number, (track: Sound, body: Buffer) => void>> = {
    [ids.trackNumber]: (track, body) => (track.number = unsigned(body)),
    [ids.trackType]: (track, body) => (track.type = unsigned(body)),
    [ids.codecId]: (track, body) => (track.codec = codecs[text(body)] ?? null),
    [ids.samplingFrequency]: (track, body) => (track.sampleRate = Math.round(float(body)) || 0),
    [ids.channels]: (track, body) => (track.channels = unsigned(body)),
    [ids.defaultDuration]: (track, body) => (track.blockNs = unsigned(body)),
    [ids.codecDelay]: (track, body) => (track.delayNs = unsigned(body)),
  };

  /** Number of the track, time since the cluster's, flags, then the first frame. */
  const block = (bytes: Buffer, from: number, to: number): void => {
    blockTrack = null;
    const numberBytes = Math.clz32(bytes[from]! << 24) + 1;
    const at = from + numberBytes;
    if (from >= to || numberBytes > 4 || at + 3 > to) return;
    let number = bytes[from]! & (0xff >> numberBytes);
    for (let i = from + 1; i < at; i += 1) number = number * 256 + bytes[i]!;
    for (const track of tracks) {
      if (track.number !== number) continue;
      blockTrack = track;
      const sinceCluster = ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;
      noteBlock(track, ((cluster + sinceCluster) * scale) / 1e6, opusMs(bytes, at + 3, to));
      return;
    }
  };

  const anywhere: Readonly<Record<number, (body: Buffer) => void>> = {
    [ids.docType]: (body) => (docType = text(body)),
    [ids.timestampScale]: (body) => (scale = unsigned(body)),
    [ids.duration]: (body) => (duration = float(body)),
    [ids.clusterTimestamp]: (body) => (cluster = unsigned(body)),
    [SIMPLE_BLOCK]: (body) => block(body, 0, body.length),
    [ids.block]: (body) => block(body, 0, body.length),
    [ids.blockDuration]: (body) => {
      if (blockTrack !== null)
        blockTrack.endMs = Math.max(blockTrack.endMs, blockTrack.lastMs + (unsigned(body) * scale) / 1e6);
    },
    [ids.discardPadding]: (body) => {
      if (blockTrack !== null && body.length > 0)
        blockTrack.endMs = Math.max(blockTrack.lastMs, blockTrack.endMs - Math.max(0, signed(body)) / 1e6);
    },
  };

  return {
    enter(id: number): void {
      if (id === BLOCK_GROUP) blockTrack = null;
      if (id !== TRACK_ENTRY || tracks.length === MAX_TRACKS) return;
      // Rate and channels are left out where they are what the format takes for usual.
      tracks.push({
        ...{ number: 0, type: 0, codec: null, sampleRate: 8000, channels: 1 },
        ...{ blockNs: 0, delayNs: 0, blocks: 0, lastMs: 0, endMs: 0 },
      });
    },
    leaf(id: number, body: Buffer): void {
      anywhere[id]?.(body);
      const track = tracks.at(-1);
      if (track !== undefined) inTrack[id]?.(track, body);
    },
    block,
    tracks: (): readonly Sound[] => tracks,
    isWebm: (): boolean => docType !== 'matroska',
    declaredMs: (): number | null => (duration > 0 ? (duration * scale) / 1e6 : null),
  };
};

export type WebmFacts = ReturnType<typeof createWebmFacts>;

/** Milliseconds of a frame by the upper bits of an Opus packet's first byte (RFC 6716 §3.1): SILK, hybrid, CELT. */
const opusFrameMs = (config: number): number => {
  if (config < 12) return [10, 20, 40, 60][config & 3]!;
  return config < 16 ? [10, 20][config & 1]! : [2.5, 5, 10, 20][config & 3]!;
};

/** Milliseconds of a packet: one frame, two, or as many as its second byte says; never more than 120. */
const opusMs = (bytes: Buffer, from: number, to: number): number => {
  if (from >= to) return 0;
  const code = bytes[from]! & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : from + 1 < to ? bytes[from + 1]! & 63 : 0;
  return Math.min(120, frames * opusFrameMs(bytes[from]! >> 3));
};

const noteBlock = (track: Sound, atMs: number, asOpusMs: number): void => {
  // Of a codec that does not say, a block is taken to last as long as the one before it.
  const asBefore = track.blocks === 0 ? 0 : Math.max(0, atMs - track.lastMs);
  const asStated = track.blockNs > 0 ? track.blockNs / 1e6 : asBefore;
  track.blocks += 1;
  track.lastMs = atMs;
  track.endMs = Math.max(track.endMs, atMs + (track.codec === 'opus' ? asOpusMs : asStated));
};
