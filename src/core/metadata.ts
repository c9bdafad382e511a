import type { Static } from 'typebox';
import { Value } from 'typebox/value';
import { AppError } from './errors.ts';
import { CallMetadataSchema, type Direction, type LegalBasis, type Party } from './metadata-schema.ts';
import { mayHoldNumber, showableName } from './number-like.ts';
import { canonicalPersonalNumber } from './personal-number.ts';
import { canonicalPhone, type PhoneNumber } from './phone.ts';
import { repeatedName } from './repeated-name.ts';
import type { RetentionClass } from './retention.ts';

export {
  type Direction,
  directions,
  type LegalBasis,
  legalBases,
  type Party,
  parties,
} from './metadata-schema.ts';

/** Longest metadata, in bytes of JSON. */
export const MAX_METADATA_BYTES = 65_536;
const MAX_FAULTS = 20;

type Given = Static<typeof CallMetadataSchema>;
type Field = keyof Given;

/** The same, read: numbers canonical, times in milliseconds since 1970 UTC, absent fields null. */
export type CallMetadata = {
  readonly callId: string;
  /** What the source knows this delivery by, when that is not the call and segment. */
  readonly deliveryId: string | null;
  readonly segment: number;
  /** Id or name of a care unit, as the source put it. */
  readonly careUnit: string | null;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly direction: Direction | null;
  readonly callerNumber: PhoneNumber | null;
  readonly calledNumber: PhoneNumber | null;
  readonly agentId: string | null;
  readonly queue: string | null;
  /** Twelve digits. */
  readonly personalNumber: string | null;
  /** Party by channel number. */
  readonly channels: Readonly<Record<string, Party>> | null;
  /** Spans in milliseconds from the start of the recording, in order. */
  readonly pauses: readonly (readonly [number, number])[];
  /** False when they came in another order, or overlap. */
  readonly pausesInOrder: boolean;
  readonly originalName: string | null;
  readonly announcement: string | null;
  readonly retentionClass: RetentionClass | null;
  readonly legalBasis: LegalBasis | null;
  /** Whether what cannot be used is left out and flagged, as in {@link parseTolerantly}; elsewhere it is refused. */
  readonly tolerant: boolean;
  /** Whether something was left out. */
  readonly unread: boolean;
};

type Fault = { readonly where: string; readonly fault: string };
/** `field`: as it is called here; null for a name that is none. */
type FieldFault = Fault & { readonly field: Field | null };

/**
 * Reads metadata, which is attacker-controlled: every known field is looked up by its own name, nothing is merged or
 * copied by a name from outside. Throws `not_acceptable_metadata` with all faults at once (20 at most); no fault repeats
 * a value, and the name of an unknown field only where {@link showableName} permits. `nameOf` says what the sender calls
 * a field; `now` is milliseconds since 1970.
 */
export const parseMetadata = (
  input: unknown,
  now: number,
  nameOf?: (field: string) => string,
): CallMetadata => {
  const { metadata, faults } = judge(input, now, nameOf);
  if (faults.length > 0) throw refused(faults);
  return metadata;
};

/**
 * The same, from a sender who cannot put right what is wrong and send the recording again: of the `wishes`, fields without
 * which it is as well a recording of its call, what cannot be read is left out. Throws for every other fault.
 */
export const parseTolerantly = (
  input: Readonly<Record<string, unknown>>,
  wishes: readonly Field[],
  now: number,
  nameOf?: (field: string) => string,
): CallMetadata => {
  const faulty = judge(input, now).faults.flatMap(({ field }) => field ?? []);
  const out = new Set<string>(wishes.filter((wish) => faulty.includes(wish)));
  const rest = Object.fromEntries(Object.entries(input).filter(([name]) => !out.has(name)));
  return { ...parseMetadata(rest, now, nameOf), tolerant: true, unread: out.size > 0 };
};

const judge = (
  input: unknown,
  now: number,
  nameOf: (field: string) => string = (field) => field,
): { readonly metadata: CallMetadata; readonly faults: readonly FieldFault[] } => {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) throw refused([notAnObject]);
  const faults: FieldFault[] = [];
  const refuse = (field: Field, fault: string): null => {
    faults.push({ where: nameOf(field), fault, field });
    return null;
  };
  const given = knownFields(input as Record<string, unknown>, faults, refuse);
  return { metadata: read(given, now, refuse), faults };
};

/**
 * Metadata as bytes of JSON, not looked at any further. What `JSON.parse` says repeats the input, so it is not even kept as a
 * cause. Throws `not_acceptable_metadata`.
 */
export const readMetadataJson = (bytes: Uint8Array): Record<string, unknown> => {
  if (bytes.length > MAX_METADATA_BYTES)
    throw refused([{ where: 'metadata', fault: `is longer than ${MAX_METADATA_BYTES} bytes` }]);
  let text: string;
  let input: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    input = JSON.parse(text);
  } catch {
    throw refused([{ where: 'metadata', fault: 'is not JSON in UTF-8' }]);
  }
  const repeated = repeatedName(text);
  if (repeated !== null)
    throw refused([{ where: showableName(repeated) ?? 'a field', fault: 'is named twice' }]);
  if (typeof input !== 'object' || input === null || Array.isArray(input)) throw refused([notAnObject]);
  return input as Record<string, unknown>;
};

export const parseMetadataJson = (bytes: Uint8Array, now: number): CallMetadata =>
  parseMetadata(readMetadataJson(bytes), now);

const notAnObject: Fault = { where: 'metadata', fault: 'must be a JSON object' };

const refused = (faults: readonly Fault[]): AppError =>
  new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', {
    faults: faults.slice(0, MAX_FAULTS).map(({ where, fault }) => ({ where, fault })),
  });

type Refuse = (field: Field, fault: string) => null;

const schemas = CallMetadataSchema.properties;

/** Every field is described, which the types of the library do not carry through. */
const sentenceOf = (field: Field): string =>
  (schemas[field] as unknown as { readonly description: string }).description;

const isField = (name: string): name is Field => Object.hasOwn(schemas, name);

/** The fields that are well-formed each by itself; the others become faults. */
const knownFields = (
  input: Record<string, unknown>,
  faults: FieldFault[],
  refuse: Refuse,
): Partial<Given> => {
  const given: Partial<Record<Field, unknown>> = {};
  for (const name of Object.keys(input)) {
    if (!isField(name)) {
      const shown = showableName(name);
      faults.push({ where: shown ?? 'an unknown field', fault: 'is not a known field', field: null });
    } else if (Value.Check(schemas[name], input[name]) && isReadable(input[name])) given[name] = input[name];
    else refuse(name, sentenceOf(name));
  }
  if (!Object.hasOwn(input, 'callId')) refuse('callId', 'is required');
  return given as Partial<Given>;
};

/** Half a surrogate pair has no bytes of its own: two such texts would be sealed and indexed alike. */
const isReadable = (value: unknown): boolean => typeof value !== 'string' || value.isWellFormed();

const read = (given: Partial<Given>, now: number, refuse: Refuse): CallMetadata => {
  const {
    callId = '',
    deliveryId = null,
    segment = 0,
    careUnit = null,
    direction = null,
    agentId = null,
    queue = null,
  } = given;
  const { channels = null, originalName = null, retentionClass = null, legalBasis = null } = given;
  const [startedAt, endedAt] = readTimes(given, now, refuse);
  const pauses = readPauses(given.pauses ?? [], refuse);
  return {
    callId,
    deliveryId,
    segment,
    careUnit,
    startedAt,
    endedAt,
    direction,
    callerNumber: given.callerNumber === undefined ? null : canonicalPhone(given.callerNumber),
    calledNumber: given.calledNumber === undefined ? null : canonicalPhone(given.calledNumber),
    agentId,
    queue,
    personalNumber: readPersonalNumber(given.personalNumber, now, refuse),
    channels,
    pauses,
    pausesInOrder: areInOrder(given.pauses ?? []),
    originalName,
    announcement: readAnnouncement(given.announcement, refuse),
    retentionClass,
    legalBasis,
    tolerant: false,
    unread: false,
  };
};

const DAY_MS = 86_400_000;

const readTimes = (given: Partial<Given>, now: number, refuse: Refuse): [number | null, number | null] => {
  const startedAt = readInstant('startedAt', given.startedAt, refuse);
  const endedAt = readInstant('endedAt', given.endedAt, refuse);
  if (startedAt !== null && endedAt !== null && endedAt < startedAt)
    refuse('endedAt', 'lies before the start of the call');
  // A wrong zone is kept; a wrong year would keep the recording years too long.
  if (startedAt !== null && startedAt > now + DAY_MS)
    refuse('startedAt', 'lies more than a day ahead: the clock of the sender or of the vault is wrong');
  return [startedAt, endedAt];
};

const END_OF_2199 = Date.UTC(2200, 0);

/** The schema has checked the calendar; leap seconds and the suffixes of RFC 9557 are no times here. */
const readInstant = (
  field: 'startedAt' | 'endedAt',
  value: string | undefined,
  refuse: Refuse,
): number | null => {
  if (value === undefined) return null;
  const time = Date.parse(value);
  return time >= 0 && time < END_OF_2199 ? time : refuse(field, sentenceOf(field));
};

const readPersonalNumber = (value: string | undefined, now: number, refuse: Refuse): string | null => {
  if (value === undefined) return null;
  const result = canonicalPersonalNumber(value, now);
  return 'fault' in result ? refuse('personalNumber', result.fault) : result.canonical;
};

const readPauses = (pairs: readonly (readonly number[])[], refuse: Refuse): [number, number][] => {
  const spans = pairs as readonly [number, number][];
  if (spans.some(([from, to]) => from >= to)) refuse('pauses', 'must each end after they begin');
  return spans.map(([from, to]): [number, number] => [from, to]).sort((a, b) => a[0] - b[0]);
};

const areInOrder = (pairs: readonly (readonly number[])[]): boolean =>
  pairs.every(([from = 0], i) => i === 0 || from >= (pairs[i - 1]?.[1] ?? 0));

/** Kept unsealed, so it must not be able to hold a number. */
const readAnnouncement = (value: string | undefined, refuse: Refuse): string | null => {
  if (value === undefined) return null;
  return mayHoldNumber(value) ? refuse('announcement', sentenceOf('announcement')) : value;
};
