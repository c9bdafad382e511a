import { type AudioFlag, type AudioScan, bareScan, isPlausible, wholeMilliseconds } from './facts.ts';
import { chosenTrack, type Movie, newTrack, readLeaf, type Track } from './mp4-tables.ts';
import { type Parser, skip, take } from './pull.ts';

/** Boxes that hold boxes on the way to what is asked; they are entered, and nothing is believed of their length. */
const entered = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl', 'mvex', 'moof', 'traf']);

/**
 * MP4 (ISO/IEC 14496-12), box by box as it flows, the description before the sound or after it, or in fragments. Every
 * number in it is attacker-controlled: nothing is allocated by one, and the samples themselves are passed over.
 */
export function* mp4(): Parser<AudioScan> {
  const movie: Movie = {
    timescale: 0,
    duration: 0,
    fragmented: false,
    fragmentsDuration: 0,
    tracks: [],
    defaultDurations: new Map(),
    fragmentTrack: null,
    fragmentDefault: 0,
    described: 0,
    pending: 0,
    present: 0,
    lost: 0,
  };
  const flow: Flow = { boxes: 0, bytes: 0, sound: 0, cut: false, broken: false };
  while (yield* readBox(movie, flow));
  return scanOf(movie, flow);
}

type Flow = {
  boxes: number;
  bytes: number;
  /** Bytes of sound that are there. */
  sound: number;
  cut: boolean;
  broken: boolean;
};

/** Many boxes of hardly any bytes are no recording; they would only cost time. */
const MANY_BOXES = 4096;
const MIN_BYTES_PER_BOX = 64;

/** Goes past one box, or into it; false at the end of what can be read. */
function* readBox(movie: Movie, flow: Flow): Parser<boolean> {
  const head = yield* take(8);
  if (head.length < 8) {
    flow.cut ||= head.length > 0;
    return false;
  }
  const short = head.readUInt32BE(0);
  const type = head.toString('latin1', 4, 8);
  const long = short === 1 ? yield* take(8) : null;
  const headBytes = long === null ? 8 : 16;
  const size = bodyBytes(short, long, headBytes);
  flow.boxes += 1;
  flow.bytes += headBytes;
  const endless = flow.boxes > MANY_BOXES && flow.bytes < flow.boxes * MIN_BYTES_PER_BOX;
  if (size === null || endless) {
    flow.broken = true;
    flow.bytes += yield* skip(Number.POSITIVE_INFINITY);
    return false;
  }
  if (entered.has(type)) {
    if (type === 'trak') movie.tracks = [...movie.tracks, newTrack()].slice(-MAX_TRACKS);
    return true;
  }
  const read = yield* readBody(type, size, movie, flow);
  flow.bytes += read;
  flow.cut ||= read < size && size !== Number.POSITIVE_INFINITY;
  return size !== Number.POSITIVE_INFINITY && read === size;
}

/** A call has one track, a film two. */
const MAX_TRACKS = 16;

/** Null where the box contradicts itself. 0: until the end of the stream. */
const bodyBytes = (short: number, long: Buffer | null, headBytes: number): number | null => {
  if (short === 0) return Number.POSITIVE_INFINITY;
  if (long !== null && long.length < 8) return null;
  const size = (long === null ? short : Number(long.readBigUInt64BE(0))) - headBytes;
  return size < 0 ? null : size;
};

function* readBody(type: string, size: number, movie: Movie, flow: Flow): Parser<number> {
  if (type !== 'mdat') {
    const read = yield* readLeaf(type, size, movie);
    return read + (yield* skip(size - read));
  }
  const read = yield* skip(size);
  flow.sound += read;
  // What a fragment announces counts once all of its sound is there.
  if (read === size || size === Number.POSITIVE_INFINITY) movie.present += movie.pending;
  else movie.lost += movie.pending;
  movie.pending = 0;
  return read;
}

const scanOf = (movie: Movie, { sound, cut, broken }: Flow): AudioScan => {
  const track = chosenTrack(movie);
  const { sampleRate, channels, codec } = track ?? { sampleRate: 0, channels: 0, codec: null };
  const plausible = isPlausible(sampleRate, channels);
  const declared = declaredMs(movie, track);
  const whole = cut || broken || sound === 0 ? null : declared;
  const present = movie.fragmented ? fragmentsMs(movie, track) : whole;
  const short =
    movie.fragmented && declared !== null && present !== null && present + TOLERANCE_MS < declared;
  const flags: readonly (readonly [AudioFlag, boolean])[] = [
    ['empty', sound === 0],
    ['header_invalid', broken || (codec !== null && !plausible)],
    ['unknown_codec', codec === null],
    ['length_unknown', track !== null && declared === null],
    ['truncated', cut || track === null || short],
  ];
  return {
    ...bareScan(
      'mp4',
      flags.filter(([, holds]) => holds).map(([flag]) => flag),
    ),
    codec,
    sampleRate: plausible ? sampleRate : null,
    channels: plausible ? channels : null,
    declaredDurationMs: declared,
    durationMs: sound === 0 && track !== null ? 0 : present,
  };
};

/** What a movie with fragments says of itself may be about its beginning alone: that is no length of the whole. */
const declaredMs = (movie: Movie, track: Track | null): number | null => {
  const { fragmentsDuration, duration, timescale, fragmented, described } = movie;
  const announced = fragmentsDuration || duration;
  const ms = announced === 0 ? null : wholeMilliseconds((announced / timescale) * 1000);
  if (!fragmented || fragmentsDuration > 0 || ms === null || !track?.timescale || !described) return ms;
  return ms > (described / track.timescale) * 1000 + TOLERANCE_MS ? ms : null;
};

/** What is there of fragments; null where more was cut off with the last one than came before it. */
const fragmentsMs = ({ present, lost }: Movie, track: Track | null): number | null =>
  !track?.timescale || lost > present ? null : wholeMilliseconds((present / track.timescale) * 1000);

/** Fragments hold the encoder's lead-in as well; the whole is rounded to frames. */
const TOLERANCE_MS = 100;
