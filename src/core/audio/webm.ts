import { type AudioFlag, type AudioScan, bareScan, isPlausible, wholeMilliseconds } from './facts.ts';
import { type Parser, peek, skip } from './pull.ts';
import {
  chosenSound,
  createWebmFacts,
  heardMs,
  leafBytes,
  MAX_LEAF_BYTES,
  SIMPLE_BLOCK,
  type WebmFacts,
} from './webm-elements.ts';

/** Elements that hold elements on the way to what is asked: head, segment, info, tracks, entry, audio, cluster, block group. */
const entered = new Set([0x1a45_dfa3, 0x1853_8067, 0x1549_a966, 0x1654_ae6b, 0xae, 0xe1, 0x1f43_b675, 0xa0]);
const SEGMENT = 0x1853_8067;
/** Number and length: at most 4 and 8 bytes. */
const HEAD_BYTES = 12;
const MANY_ELEMENTS = 4096;
const MIN_BYTES_PER_ELEMENT = 8;
const WINDOW_BYTES = 16_384;
/** An element that begins so late in a window is left to the next one: its head and what is looked at of it must lie in one. */
const ROOM_BYTES = HEAD_BYTES + MAX_LEAF_BYTES;

/**
 * WebM and Matroska (RFC 8794, RFC 9559), element by element as it flows; segment and clusters may have no length, as
 * browsers write them. The length is where the last block of sound ends. Everything is attacker-controlled: only the
 * beginnings of small elements are looked at. A call has a block every 20 ms, so they are walked through in a loop.
 */
export function* webm(): Parser<AudioScan> {
  const facts = createWebmFacts();
  const flow: Flow = { elements: 0, bytes: 0, end: null, cut: false, broken: false };
  for (;;) {
    const window = yield* peek(WINDOW_BYTES);
    const ended = window.length < WINDOW_BYTES;
    const { advance, late } = walk(window, facts, flow);
    const skipped = yield* skip(advance);
    flow.bytes += skipped;
    if (skipped < advance) flow.cut ||= advance !== Number.POSITIVE_INFINITY;
    else if (late !== null) facts.leaf(late.id, late.body);
    if (skipped < advance || ended) return scanOf(facts, flow);
  }
}

type Flow = {
  elements: number;
  bytes: number;
  /** Where the segment ends, by its own account. */
  end: number | null;
  cut: boolean;
  broken: boolean;
};

type Walked = {
  /** How far to go on from the beginning of the window; Infinity where nothing more can be read. */
  readonly advance: number;
  /** An element that ends behind the window: it counts when it is there. A copy. */
  readonly late: { readonly id: number; readonly body: Buffer } | null;
};

const BROKEN: Walked = { advance: Number.POSITIVE_INFINITY, late: null };

const walk = (window: Buffer, facts: WebmFacts, flow: Flow): Walked => {
  const ended = window.length < WINDOW_BYTES;
  const reach = ended ? window.length : WINDOW_BYTES - ROOM_BYTES;
  let at = 0;
  while (at < reach) {
    const element = parseHead(window, at);
    if (element === 'cut') {
      flow.cut = true;
      return { advance: window.length, late: null };
    }
    flow.elements += 1;
    if (element === null || isEndless(flow, at) || (element.size === null && !entered.has(element.id))) {
      flow.broken = true;
      return BROKEN;
    }
    const { id, size, headBytes } = element;
    const bodyAt = at + headBytes;
    if (entered.has(id)) {
      if (id === SEGMENT && size !== null) flow.end ??= flow.bytes + bodyAt + size;
      facts.enter(id);
      at = bodyAt;
      continue;
    }
    at = bodyAt + size!;
    const wanted = Math.min(size!, leafBytes(id));
    if (at > window.length) {
      const body = Buffer.from(window.subarray(bodyAt, bodyAt + wanted));
      return { advance: at, late: { id, body } };
    }
    if (id === SIMPLE_BLOCK) facts.block(window, bodyAt, at);
    else if (wanted > 0) facts.leaf(id, window.subarray(bodyAt, bodyAt + wanted));
  }
  return { advance: at, late: null };
};

/** Many elements of hardly any bytes are no recording; they would only cost time. */
const isEndless = ({ elements, bytes }: Flow, at: number): boolean =>
  elements > MANY_ELEMENTS && bytes + at < elements * MIN_BYTES_PER_ELEMENT;

type Head = { readonly id: number; readonly size: number | null; readonly headBytes: number };

/** Null: no element can begin like this. */
const parseHead = (bytes: Buffer, at: number): Head | 'cut' | null => {
  const idBytes = Math.clz32(bytes[at]! << 24) + 1;
  if (idBytes > 4) return null;
  const sizeAt = at + idBytes;
  if (sizeAt >= bytes.length) return 'cut';
  let id = 0;
  for (let i = at; i < sizeAt; i += 1) id = id * 256 + bytes[i]!;
  const first = bytes[sizeAt]!;
  const sizeBytes = Math.clz32(first << 24) + 1;
  if (sizeBytes > 8) return null;
  if (sizeAt + sizeBytes > bytes.length) return 'cut';
  let size = first & (0xff >> sizeBytes);
  let ones = size === 0xff >> sizeBytes;
  for (let i = 1; i < sizeBytes; i += 1) {
    const next = bytes[sizeAt + i]!;
    ones &&= next === 0xff;
    size = size * 256 + next;
  }
  // All ones: until something comes that cannot be inside.
  return { id, size: ones ? null : size, headBytes: idBytes + sizeBytes };
};

const scanOf = (facts: WebmFacts, { bytes, end, cut, broken }: Flow): AudioScan => {
  const sound = chosenSound(facts.tracks());
  const { codec, channels } = sound ?? { codec: null, channels: 0 };
  // As in Ogg: Opus plays at one rate, whatever was put in.
  const sampleRate = codec === 'opus' ? 48_000 : (sound?.sampleRate ?? 0);
  const plausible = isPlausible(sampleRate, channels);
  const declared = facts.declaredMs();
  const blocks = sound?.blocks ?? 0;
  const short = cut || (end !== null && bytes < end);
  const flags: readonly (readonly [AudioFlag, boolean])[] = [
    ['empty', blocks === 0],
    ['header_invalid', broken || (codec !== null && !plausible)],
    ['unknown_codec', codec === null],
    ['length_unknown', sound !== null && declared === null],
    ['truncated', short],
  ];
  return {
    ...bareScan(
      facts.isWebm() ? 'webm' : 'matroska',
      flags.filter(([, holds]) => holds).map(([flag]) => flag),
    ),
    codec,
    sampleRate: plausible ? sampleRate : null,
    channels: plausible ? channels : null,
    declaredDurationMs: declared === null ? null : wholeMilliseconds(declared),
    durationMs: sound === null ? null : wholeMilliseconds(heardMs(sound)),
  };
};
