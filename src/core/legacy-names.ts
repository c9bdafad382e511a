import { createWallClock, isWallTime, type WallClock, type WallTime } from './local-time.ts';
import type { Direction } from './metadata-schema.ts';
import { mayHoldNumber } from './number-like.ts';
import { canonicalPersonalNumber } from './personal-number.ts';

/** Whose habit of naming files it is. `number`: a number stands in the name, and perhaps a time; `dated`: a time alone. */
export const legacyPatterns = [
  'custom',
  'telesis',
  'freepbx',
  'asterisk',
  'fusionpbx',
  'oreka',
  'rtpengine',
  'number',
  'dated',
  'none',
] as const;
export type LegacyPattern = (typeof legacyPatterns)[number];

/** What the name of a file in an old share says of its call. */
export type LegacyName = {
  readonly pattern: LegacyPattern;
  readonly callId: string | null;
  /** Milliseconds since 1970, UTC. */
  readonly startedAt: number | null;
  /** `day`: the name tells the day alone, and `startedAt` is its first moment. */
  readonly precision: 'second' | 'day' | null;
  readonly callerNumber: string | null;
  readonly calledNumber: string | null;
  /** Twelve digits. */
  readonly personalNumber: string | null;
  readonly agentId: string | null;
  readonly queue: string | null;
  readonly careUnit: string | null;
  readonly direction: Direction | null;
};

/** What a pattern of the operator's found: the texts of its named groups ({@link customGroups}). */
export type CustomMatch = Readonly<Record<string, string | undefined>>;
export type LegacyNameOptions = {
  /** In which the names tell times. */
  readonly timeZone: string;
  /** Milliseconds since 1970: nobody is born later. */
  readonly now?: () => number;
  /** Asked first; null: no match. Bounds its own time (agent/name-pattern.ts). */
  readonly custom?: (relativePath: string) => CustomMatch | null;
};

export const customGroups = [
  'callId',
  'caller',
  'called',
  'personal',
  'agent',
  'queue',
  'unit',
  'direction',
  'epoch',
  'date',
  'time',
] as const;

/** Longest path that is looked at; of a longer one nothing is said. */
export const MAX_LEGACY_PATH_CHARS = 4096;
const MAX_STEM_CHARS = 255;
const MAX_TEXT_CHARS = 128;

type Found = Omit<LegacyName, 'pattern'>;
type Reading = Partial<Found>;
type Place = {
  readonly stem: string;
  readonly folder: string;
  readonly clock: WallClock;
  readonly now: number;
};
type Reader = (place: Place) => Reading | null;

const text = (value: string | undefined): string | null => {
  const trimmed = (value ?? '').trim();
  return trimmed === '' || trimmed.length > MAX_TEXT_CHARS || /\p{Cc}/u.test(trimmed) ? null : trimmed;
};

/** An extension or a queue: what no patient has. */
const isShort = (value: string | null): value is string => value !== null && /^[*#\d]{1,6}$/.test(value);

const wallTime = (date: string, time: string): WallTime | null => {
  const day = /^(\d{4}|\d{2})(\d{2})(\d{2})$/.exec(date.replace(/[-_.]/g, ''));
  const clock = /^(\d{2})(\d{2})(\d{2})?$/.exec(time.replace(/[-_.:]/g, ''));
  if (day === null || clock === null) return null;
  const year = Number(day[1]);
  const wall = {
    // Two figures are of this century: telephone systems that recorded to files are.
    year: year < 100 ? 2000 + year : year,
    month: Number(day[2]),
    day: Number(day[3]),
    hour: Number(clock[1]),
    minute: Number(clock[2]),
    second: Number(clock[3] ?? 0),
  };
  return isWallTime(wall) ? wall : null;
};

const timed = (clock: WallClock, date: string, time: string, near: number | null = null): Reading => {
  const wall = wallTime(date, time);
  return wall === null ? {} : { startedAt: clock(wall, near), precision: 'second' };
};
const dated = (clock: WallClock, date: string): Reading => {
  const wall = wallTime(date, '000000');
  return wall === null ? {} : { startedAt: clock(wall), precision: 'day' };
};

const END_OF_2199 = Date.UTC(2200, 0);
const epochMs = (value: string | undefined): number | null => {
  if (value === undefined || !/^\d{9,10}(?:\.\d{1,10})?$/.test(value)) return null;
  const ms = Math.floor(Number(value.split('.', 1)[0])) * 1000;
  return ms < END_OF_2199 ? ms : null;
};

/** `trunk_YYMMDD_HHMMSS_AI_user_dialled_callerid_ref_ip`; AI came in, AO went out. */
const TELESIS =
  /^[^_]{1,32}_(\d{6})_(\d{6})_A([IO])_([^_]{0,64})_([^_]{0,64})_([^_]{0,64})_([^_]{0,64})_[^_]{1,64}$/;
const telesis: Reader = ({ stem, clock }) => {
  const found = TELESIS.exec(stem);
  if (found === null) return null;
  const [, date = '', time = '', way, user, dialled, caller, reference] = found;
  return {
    ...timed(clock, date, time),
    direction: way === 'I' ? 'inbound' : 'outbound',
    agentId: text(user),
    calledNumber: text(dialled),
    callerNumber: text(caller),
    callId: text(reference),
  };
};

const DIRECTIONS: Readonly<Record<string, Direction>> = {
  in: 'inbound',
  external: 'inbound',
  q: 'inbound',
  rg: 'inbound',
  out: 'outbound',
  internal: 'internal',
};

/** What stands before date and time: `type-dest-from`, as FreePBX 2.11 and later write it. */
const freepbxHead = ([type = '', destination, ...from]: readonly string[]): Reading => {
  const [called, caller] = [text(destination), text(from.join('-'))];
  const bothShort = isShort(called) && isShort(caller);
  const isQueue = type === 'q' || type === 'rg';
  const agent = type === 'out' ? caller : called;
  return {
    direction: DIRECTIONS[type] ?? (type === 'exten' && bothShort ? 'internal' : null),
    callerNumber: caller,
    calledNumber: called,
    queue: isQueue ? called : null,
    agentId: !isQueue && isShort(agent) ? agent : null,
  };
};

/** Before FreePBX 2.11: `OUT102`, `q600`, `g600`, `102`. */
const oldHead = (head: string): Reading => {
  const found = /^(OUT|IN|q|g|exten)?(\+?\d{1,15})$/.exec(head);
  if (found === null) return {};
  const [, type = '', number = ''] = found;
  if (type === 'q' || type === 'g') return { queue: number, direction: 'inbound' };
  const direction = type === 'OUT' ? 'outbound' : type === 'IN' ? 'inbound' : null;
  return isShort(number) ? { agentId: number, direction } : { callerNumber: number, direction };
};

/** Seconds since 1970, from 2001 to 2065, and a count: Asterisk's id of a channel, by which the legs of a call are one. */
const UNIQUE_ID = String.raw`[12]\d{9}\.\d{1,10}`;
/** What stands before it where asterisk.conf names the system. */
const SYSTEM = String.raw`(?:[A-Za-z0-9][\w.-]{0,63}-)?`;
/** Of a recording whose two legs lie in files of their own; says nothing of who called whom. */
const LEG = '(?:-(?:in|out))?';

const uniqueIdMs = (id: string): number | null => epochMs(id.slice(id.lastIndexOf('-') + 1));
const HEADS: ReadonlySet<string> = new Set(['exten', 'force', 'g', ...Object.keys(DIRECTIONS)]);
/** A name of a system, and not somebody's number or what else a dialplan puts there. */
const isSystem = (id: string): boolean => {
  const name = id.slice(0, Math.max(0, id.lastIndexOf('-')));
  if (name === '') return true;
  const [first = ''] = name.toLowerCase().split('-', 1);
  return /[A-Za-z]/.test(name) && !HEADS.has(first) && !mayHoldNumber(name);
};

const ASTERISK = new RegExp(String.raw`^(?:(.{0,200})-)?(\d{8})-(\d{6})-(${SYSTEM}${UNIQUE_ID})${LEG}$`);
const asteriskParts = ({ stem, clock }: Place): { head: readonly string[]; found: Reading } | null => {
  const match = ASTERISK.exec(stem);
  if (match === null) return null;
  const [, head = '', date = '', time = '', uniqueId = ''] = match;
  if (!isSystem(uniqueId)) return null;
  // Asterisk makes the id of a channel from UTC, which tells the two hours of an autumn night apart.
  const found = { ...timed(clock, date, time, uniqueIdMs(uniqueId)), callId: uniqueId };
  return { head: head === '' ? [] : head.split('-'), found };
};

/** `type-dest-from-YYYYMMDD-HHMMSS-uniqueid`, with `-in` or `-out` behind it where the legs lie apart. */
const freepbx: Reader = (place) => {
  const parts = asteriskParts(place);
  if (parts === null || parts.head.length < 3 || !/^[a-z]{1,12}$/.test(parts.head[0] ?? '')) return null;
  return { ...freepbxHead(parts.head), ...parts.found };
};

const byUniqueId = (callId: string): Reading => ({
  callId,
  startedAt: uniqueIdMs(callId),
  precision: 'second',
});

const UNIQUE_ID_ALONE = new RegExp(`^(${SYSTEM}${UNIQUE_ID})${LEG}$`);
/** The same behind another head: `caller-called`, one of the old ones, none; or the unique id alone. */
const asterisk: Reader = (place) => {
  const parts = asteriskParts(place);
  if (parts === null) {
    const uniqueId = UNIQUE_ID_ALONE.exec(place.stem)?.[1];
    return uniqueId === undefined || !isSystem(uniqueId) ? null : byUniqueId(uniqueId);
  }
  const [first = '', second, ...more] = parts.head;
  if (second === undefined) return { ...oldHead(first), ...parts.found };
  if (more.length > 0) return parts.found;
  return { callerNumber: text(first), calledNumber: text(second), ...parts.found };
};

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `archive/2015/Jan/01/<uuid of the call>`; the id is FreeSWITCH's, whoever chose the folders. */
const fusionpbx: Reader = ({ stem, folder, clock }) => {
  if (!UUID.test(stem)) return null;
  const [, year = '', month = '', day = ''] = /(?:^|\/)(\d{4})\/([A-Z][a-z]{2})\/(\d{2})$/.exec(folder) ?? [];
  const number = String(MONTHS.indexOf(month) + 1).padStart(2, '0');
  return { callId: stem.toLowerCase(), ...dated(clock, `${year}${number}${day}`) };
};

const NUMBER_ALONE = /^\+?\d{5,15}$/;
/** `2015/01/01/10/20150101_101500_<port or tracking id>` */
const oreka: Reader = ({ stem, clock }) => {
  const found = /^(\d{8})_(\d{6})_([A-Za-z0-9.,:@-]{1,64})$/.exec(stem);
  if (found === null || NUMBER_ALONE.test(found[3] ?? '')) return null;
  return { ...timed(clock, found[1] ?? '', found[2] ?? ''), callId: stem };
};

/** `<call id as in an address>-<16 random digits>-mix`, or the stream's number instead of `mix`; the digits in it are nobody's. */
const RTPENGINE = /^([\w.~%-]{1,255})-[0-9a-f]{16}-(?:mix|[0-9a-f]{8})$/;
const rtpengine: Reader = ({ stem }) => {
  const found = RTPENGINE.exec(stem);
  if (found === null) return null;
  try {
    return { callId: text(decodeURIComponent(found[1] ?? '')) };
  } catch {
    return {};
  }
};

/** Nothing was recorded to files before 1990. */
const DATE = '((?:199\\d|20\\d\\d)[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\\d|3[01]))';
const TIME = '(?:[-_ .T]{0,2}((?:[01]\\d|2[0-3])[-_.:]?[0-5]\\d(?:[-_.:]?[0-5]\\d)?))?';
const WHEN = new RegExp(`(?<!\\d)${DATE}${TIME}(?!\\d)`);
/** As dialled, with single spaces or dashes; one figure alone behind a dash is the count of a copy or a channel. */
const DIALLED = /(?<!\d)\+?\d(?:[ -]?\d){5,13}\d(?!\d)/g;
/** Between two numbers, or behind an extension: what is whole by itself stays so. */
const BEFORE_WHOLE = /(?<=\d)[ -](?=0\d{7,14}(?!\d))/g;
/** A day that is none, with a time behind it: no number either. */
const NO_DAY =
  /(?<!\d)(?:1\d|2\d|99)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-_ .T]\d{4}(?:\d\d)?(?!\d)/g;
const PERSONAL = /(?<!\d)(?:(?:19|20)\d{6}[-+]?|\d{6}[-+])\d{4}(?!\d)/g;
/** Which could be a day and a minute of it as well. */
const DAY_AND_MINUTE = /^(?:(?:199\d|20\d\d)|\d\d)\d{4}-?(?:[01]\d|2[0-3])[0-5]\d$/;
const UUIDS = /(?<![A-Za-z0-9])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![A-Za-z0-9])/gi;
/** Figures between letters from a to f; not the A and B by which the parties of a call are told. */
const HEXADECIMAL =
  /(?<![A-Za-z0-9])(?!\d+(?![A-Za-z0-9])|[ab]0\d{7,13}(?![A-Za-z0-9]))[0-9a-f]{8,}(?![A-Za-z0-9])/gi;
const UNIQUE_ID_WITHIN = new RegExp(String.raw`(?<![\d.])(${UNIQUE_ID})(?![\d.])${LEG}`);
const OUTBOUND = /(?:^|[-_ .])(?:out|outbound|ut|utg|utgående|utgaende)(?:$|[-_ .])/iu;
const INBOUND = /(?:^|[-_ .])(?:in|inbound|ink|inkommande)(?:$|[-_ .])/iu;

/** The first identity number in a name, and the name without it. What could be a time counts where another time is told. */
const personIn = (stem: string, now: number): { readonly person: string | null; readonly rest: string } => {
  for (const found of stem.matchAll(PERSONAL)) {
    const rest = `${stem.slice(0, found.index)}|${stem.slice(found.index + found[0].length)}`;
    const number = canonicalPersonalNumber(found[0], now);
    if ('fault' in number || (DAY_AND_MINUTE.test(found[0]) && !WHEN.test(rest))) continue;
    return { person: number.canonical, rest };
  }
  return { person: null, rest: stem };
};

/**
 * A number somewhere in the name, as in the share that made this vault necessary, and perhaps a time before or behind it.
 * The first is who called, the second who was called; the other way round where the name says that the call went out.
 */
const number: Reader = ({ stem, clock, now }) => {
  const uniqueId = UNIQUE_ID_WITHIN.exec(stem);
  const { person, rest: of } = personIn(uniqueId === null ? stem : stem.replace(uniqueId[0], '|'), now);
  const when = WHEN.exec(of);
  const rest = when === null ? of : `${of.slice(0, when.index)}|${of.slice(when.index + when[0].length)}`;
  const told = rest
    .replace(NO_DAY, '|')
    .replace(UUIDS, '|')
    .replace(HEXADECIMAL, '|')
    .replace(BEFORE_WHOLE, '|');
  const [first = null, second = null] = told.match(DIALLED) ?? [];
  if (first === null && person === null) return null;
  const time = when?.[2];
  const at = when === null ? {} : time === undefined ? dated(clock, when[1]!) : timed(clock, when[1]!, time);
  const call = uniqueId === null ? {} : byUniqueId(uniqueId[1]!);
  const known = { personalNumber: person, ...call, ...at };
  if (OUTBOUND.test(told))
    return { ...known, direction: 'outbound', calledNumber: first, callerNumber: second };
  const direction = INBOUND.test(told) ? 'inbound' : null;
  return { ...known, direction, callerNumber: first, calledNumber: second };
};

const date: Reader = ({ stem, clock }) => {
  const when = WHEN.exec(stem);
  if (when === null) return null;
  return when[2] === undefined ? dated(clock, when[1]!) : timed(clock, when[1]!, when[2]);
};

/** In this order: the first that knows the name has it. */
const readers: readonly (readonly [LegacyPattern, Reader])[] = [
  ['telesis', telesis],
  ['freepbx', freepbx],
  ['asterisk', asterisk],
  ['fusionpbx', fusionpbx],
  ['oreka', oreka],
  ['rtpengine', rtpengine],
  ['number', number],
  ['dated', date],
];

const WORDS: readonly (readonly [RegExp, Direction])[] = [
  [/^(?:o|ao|out|outbound|outgoing|ut|utgående)$/iu, 'outbound'],
  [/^(?:i|ai|in|inbound|incoming|inkommande)$/iu, 'inbound'],
  [/^(?:internal|intern)$/iu, 'internal'],
];
const directionOf = (word: string | undefined): Direction | null =>
  WORDS.find(([pattern]) => pattern.test(word ?? ''))?.[1] ?? null;

const ofGroups = (groups: CustomMatch, clock: WallClock, now: number): Reading => {
  const epoch = epochMs(groups.epoch);
  const { date: day, time } = groups;
  const at =
    epoch !== null
      ? { startedAt: epoch, precision: 'second' as const }
      : day === undefined
        ? {}
        : time === undefined
          ? dated(clock, day)
          : timed(clock, day, time);
  const person = canonicalPersonalNumber(groups.personal ?? '', now);
  return {
    ...at,
    callId: text(groups.callId),
    callerNumber: text(groups.caller),
    calledNumber: text(groups.called),
    // What is none would be refused, and the recording with it.
    personalNumber: 'fault' in person ? null : person.canonical,
    agentId: text(groups.agent),
    queue: text(groups.queue),
    careUnit: text(groups.unit),
    direction: directionOf(groups.direction),
  };
};

const nothing: Found = {
  callId: null,
  startedAt: null,
  precision: null,
  callerNumber: null,
  calledNumber: null,
  personalNumber: null,
  agentId: null,
  queue: null,
  careUnit: null,
  direction: null,
};

/** Without the ending: `.wav` goes, the `.123` of a unique id stays. */
const split = (relativePath: string): { stem: string; folder: string } => {
  const at = relativePath.lastIndexOf('/');
  return {
    stem: relativePath.slice(at + 1).replace(/\.[A-Za-z][A-Za-z0-9]{0,5}$/, ''),
    folder: relativePath.slice(0, Math.max(at, 0)),
  };
};

/**
 * Reads names of files as old telephone systems and recorders wrote them. The path, relative to the share, is
 * attacker-controlled: whatever it is, nothing is thrown and the time is linear in its length. What is not understood is
 * null; a name that says nothing is of pattern `none`.
 */
export const createLegacyNames = ({ timeZone, custom, now = Date.now }: LegacyNameOptions) => {
  const clock = createWallClock(timeZone);
  return (relativePath: string): LegacyName => {
    if (relativePath.length > MAX_LEGACY_PATH_CHARS) return { ...nothing, pattern: 'none' };
    const groups = custom?.(relativePath) ?? null;
    if (groups !== null) return { ...nothing, ...ofGroups(groups, clock, now()), pattern: 'custom' };
    const place = { ...split(relativePath), clock, now: now() };
    if (place.stem.length > MAX_STEM_CHARS) return { ...nothing, pattern: 'none' };
    for (const [pattern, read] of readers) {
      const found = read(place);
      if (found !== null) return { ...nothing, ...found, pattern };
    }
    return { ...nothing, pattern: 'none' };
  };
};

export type ParseLegacyName = ReturnType<typeof createLegacyNames>;

/** Says nothing, whatever the name. */
export const nameless: ParseLegacyName = () => ({ pattern: 'none', ...nothing });
