import { type AudioFlag, type AudioScan, bareScan, isPlausible, wholeMilliseconds } from './facts.ts';
import { type Parser, peek, skip, take } from './pull.ts';
import { chosenSound, createWebmFacts, heardMs, leafBytes, type WebmFacts } from './webm-elements.ts';

/** Elements that hold elements on the way to what is asked: head, segment, info, tracks, entry, audio, cluster, block group. */
const entered = new Set([0x1a45_dfa3, 0x1853_8067, 0x1549_a966, 0x1654_ae6b, 0xae, 0xe1, 0x1f43_b675, 0xa0]);
const SEGMENT = 0x1853_8067;
/** Number and length: at most 4 and 8 bytes. */
const HEAD_BYTES = 12;
const MANY_ELEMENTS = 4096;
const MIN_BYTES_PER_ELEMENT = 8;

/**
 * WebM and Matroska (RFC 8794, RFC 9559), element by element as it flows; segment and clusters may have no length, as
 * browsers write them. The length is where the last block of sound ends. Everything is attacker-controlled: only the
 * beginnings of small elements are held.
 */
export function* webm(): Parser<AudioScan> {
  const facts = createWebmFacts();
  const flow: Flow = { elements: 0, bytes: 0, end: null, cut: false, broken: false };
  while (yield* readElement(facts, flow));
  return scanOf(facts, flow);
}

type Flow = {
  elements: number;
  bytes: number;
  /** Where the segment ends, by its own account. */
  end: number | null;
  cut: boolean;
  broken: boolean;
};

function* readElement(facts: WebmFacts, flow: Flow): Parser<boolean> {
  const head = yield* peek(HEAD_BYTES);
  if (head.length === 0) return false;
  const element = parseHead(head);
  if (element === 'cut') {
    flow.cut = true;
    return false;
  }
  flow.elements += 1;
  const endless = flow.elements > MANY_ELEMENTS && flow.bytes < flow.elements * MIN_BYTES_PER_ELEMENT;
  if (element === null || endless) {
    flow.broken = true;
    yield* skip(Number.POSITIVE_INFINITY);
    return false;
  }
  const { id, size, headBytes } = element;
  yield* skip(headBytes);
  flow.bytes += headBytes;
  if (entered.has(id)) {
    if (id === SEGMENT && size !== null) flow.end ??= flow.bytes + size;
    facts.enter(id);
    return true;
  }
  if (size === null) {
    flow.broken = true;
    yield* skip(Number.POSITIVE_INFINITY);
    return false;
  }
  const body = yield* take(Math.min(size, leafBytes(id)));
  const held = Buffer.from(body);
  const read = held.length + (yield* skip(size - held.length));
  flow.bytes += read;
  if (read === size) facts.leaf(id, held);
  else flow.cut = true;
  return read === size;
}

type Head = { readonly id: number; readonly size: number | null; readonly headBytes: number };

/** Null: no element can begin like this. */
const parseHead = (head: Buffer): Head | 'cut' | null => {
  const idBytes = Math.clz32(head[0]! << 24) + 1;
  if (idBytes > 4) return null;
  if (head.length <= idBytes) return 'cut';
  const id = head.readUIntBE(0, idBytes);
  const first = head[idBytes]!;
  const sizeBytes = Math.clz32(first << 24) + 1;
  if (sizeBytes > 8) return null;
  if (head.length < idBytes + sizeBytes) return 'cut';
  let size = first & (0xff >> sizeBytes);
  let ones = size === 0xff >> sizeBytes;
  for (let i = 1; i < sizeBytes; i += 1) {
    const next = head[idBytes + i]!;
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
