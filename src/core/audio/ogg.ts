import { type AudioScan, bareScan, type Codec, isPlausible, millisecondsOf } from './facts.ts';
import { type Parser, peek, skip, take } from './pull.ts';

/** Page header before the segment table (RFC 3533 §6). */
const PAGE_BYTES = 27;
const CAPTURE = 'OggS';
const FIRST_PAGE = 0x02;
const LAST_PAGE = 0x04;
/** As much of a stream's first packet as says what it is. */
const IDENT_BYTES = 64;
const WINDOW_BYTES = 4096;

/**
 * Ogg, page by page. The length is where the last page says the stream has come to; of streams of one kind one behind another
 * (a recorder that went on with a call) that of all. Streams side by side, or of several kinds, are kept without a duration: no
 * telephony system writes them.
 */
export function* ogg(): Parser<AudioScan> {
  const state: State = {
    ...{ stream: null, mixed: false, begun: false, position: 0, before: 0 },
    ...{ closed: false, cut: false, gaps: false },
  };
  for (;;) {
    const head = yield* peek(PAGE_BYTES);
    if (head.length < PAGE_BYTES) {
      state.cut ||= head.length > 0;
      return scanOf(state);
    }
    if (head.toString('latin1', 0, 4) === CAPTURE) yield* readPage(pageOf(head), state);
    else {
      state.gaps = true;
      yield* seekPage();
    }
  }
}

type Ident = {
  readonly codec: Codec | null;
  readonly sampleRate: number;
  readonly channels: number;
  readonly preSkip: number;
};
type Stream = Ident & { readonly serial: number };

type State = {
  stream: Stream | null;
  /** Streams of several kinds, or side by side. */
  mixed: boolean;
  /** The stream has come to pages other than its first. */
  begun: boolean;
  /** Granule position of the last page that states one. */
  position: number;
  /** Samples of the streams before this one. */
  before: number;
  closed: boolean;
  cut: boolean;
  gaps: boolean;
};

type Page = {
  readonly flags: number;
  readonly granule: bigint;
  readonly serial: number;
  readonly segments: number;
};

const pageOf = (head: Buffer): Page => ({
  flags: head.readUInt8(5),
  granule: head.readBigInt64LE(6),
  serial: head.readUInt32LE(14),
  segments: head.readUInt8(26),
});

function* readPage({ flags, granule, serial, segments }: Page, state: State): Parser<void> {
  yield* skip(PAGE_BYTES);
  const table = yield* take(segments);
  const bodyBytes = table.reduce((sum, bytes) => sum + bytes, 0);
  const isListed = table.length === segments;
  let read = 0;
  if (flags & FIRST_PAGE) {
    const packet = yield* take(Math.min(bodyBytes, IDENT_BYTES));
    read = packet.length;
    beginStream({ serial, ...identify(packet) }, state);
  } else state.begun ||= serial === state.stream?.serial;
  const complete = read + (yield* skip(bodyBytes - read)) === bodyBytes && isListed;
  state.cut ||= !complete;
  if (serial !== state.stream?.serial || !complete) return;
  // −1: no packet ends on this page. Other negative positions are as little a length.
  if (granule > 0n) state.position = Number(granule);
  state.closed ||= (flags & LAST_PAGE) !== 0;
}

/** What follows a stream that has come further than its first page follows behind it; else it lies beside it. */
const beginStream = (stream: Stream, state: State): void => {
  const { stream: last, begun } = state;
  if (last === null) state.stream = stream;
  else if (!begun) state.mixed = true;
  else {
    state.mixed ||=
      stream.codec !== last.codec ||
      stream.sampleRate !== last.sampleRate ||
      stream.channels !== last.channels;
    state.cut ||= !state.closed;
    state.before += samplesOf(state);
    Object.assign(state, { stream, begun: false, position: 0, closed: false });
  }
};

const samplesOf = ({ stream, position }: Pick<State, 'stream' | 'position'>): number =>
  stream === null ? 0 : Math.max(0, position - stream.preSkip);

const UNKNOWN: Ident = { codec: null, sampleRate: 0, channels: 0, preSkip: 0 };

/** The codec by its first packet, which is attacker-controlled; `take` may have cut it short. */
const identify = (packet: Buffer): Ident => {
  const starts = (magic: string, bytes: number): boolean =>
    packet.length >= bytes && packet.toString('latin1', 0, magic.length) === magic;
  // Opus always plays at 48 kHz, and its positions count so, whatever rate was put in (RFC 7845 §5.1).
  if (starts('OpusHead', 19))
    return { codec: 'opus', sampleRate: 48_000, channels: packet[9]!, preSkip: packet.readUInt16LE(10) };
  if (starts('\x01vorbis', 16))
    return { codec: 'vorbis', sampleRate: packet.readUInt32LE(12), channels: packet[11]!, preSkip: 0 };
  if (starts('Speex   ', 52)) {
    return {
      codec: 'speex',
      sampleRate: packet.readUInt32LE(36),
      channels: packet.readUInt32LE(48),
      preSkip: 0,
    };
  }
  return UNKNOWN;
};

function* seekPage(): Parser<void> {
  for (;;) {
    const window = yield* peek(WINDOW_BYTES);
    // From the second byte: the first is known to be none.
    const at = window.indexOf(CAPTURE, 1, 'latin1');
    const ended = window.length < WINDOW_BYTES;
    // Three bytes stay, lest the mark be cut in two.
    yield* skip(at !== -1 ? at : ended ? window.length : window.length - 3);
    if (at !== -1 || ended) return;
  }
}

const scanOf = (state: State): AudioScan => {
  const { stream, mixed, before, closed, cut, gaps } = state;
  const plausible = stream !== null && isPlausible(stream.sampleRate, stream.channels);
  const samples = before + samplesOf(state);
  return {
    ...bareScan('ogg'),
    codec: stream?.codec ?? null,
    sampleRate: plausible ? stream.sampleRate : null,
    channels: plausible ? stream.channels : null,
    durationMs: plausible && !mixed ? millisecondsOf(samples, stream.sampleRate) : null,
    flags: [
      ...(samples === 0 ? ['empty' as const] : []),
      ...(stream !== null && stream.codec !== null && !plausible ? ['header_invalid' as const] : []),
      ...((stream?.codec ?? null) === null ? ['unknown_codec' as const] : []),
      ...(cut || !closed ? ['truncated' as const] : []),
      ...(gaps ? ['gaps' as const] : []),
    ],
  };
};
