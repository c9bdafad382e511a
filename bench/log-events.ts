import { randomUUID } from 'node:crypto';
import type { Actor, AuditAction, AuditEvent, Outcome, Purpose } from '../src/core/events.ts';
import { newEventId } from '../src/services/new-event-id.ts';

/**
 * What an access log of six years holds: 20 organisations of very different size, 2,000 people of whom some work far more than
 * others, as many recordings as a quarter of the entries, patients who call once or every week. Ids are scattered like the
 * vault's own random ones, and the same in every run; the ids of events are random.
 */
export const ORGANISATIONS = 20;
/** The last one is an archive: recordings come in, and nobody listens. */
export const ARCHIVE = ORGANISATIONS - 1;
const PEOPLE = 2_000;
export const UNITS_EACH = 15;
const YEARS_MS = 6 * 365.25 * 86_400_000;
const START = Date.UTC(2020, 10, 21);
/** About when the entry at this place was written, milliseconds since 1970. */
export const timeOf = (place: number, entries: number): number =>
  Math.floor(START + (place * YEARS_MS) / entries);

/** Playbacks that players may still be telling about. */
const OPEN = 2_000;

const kinds = {
  organisation: 1,
  person: 2,
  unit: 3,
  recording: 4,
  patient: 5,
  source: 6,
  session: 7,
} as const;

const mixed = (a: number, b: number): number => {
  let x = Math.imul(a ^ (b + 0x9e3779b9), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
};
const hex = (number: number): string => number.toString(16).padStart(8, '0');

/** The id of the `n`th thing of a kind. */
export const idOf = (kind: keyof typeof kinds, n: number): string => {
  const [a, b, c] = [hex(mixed(n, kinds[kind])), hex(mixed(n, 64 + kinds[kind])), hex(mixed(n, 128))];
  return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-8${c.slice(0, 3)}-${c.slice(3)}${hex(n).slice(1)}`;
};

export const patientOf = (n: number): string => `1:${idOf('patient', n).replaceAll('-', '')}`;

/** The largest has a quarter of everything, the smallest a hundredth. */
const shares = Array.from({ length: ORGANISATIONS }, (_, n) => 1 / (n + 1));
const total = shares.reduce((sum, one) => sum + one, 0);
const bounds = shares.map((_, n) => shares.slice(0, n + 1).reduce((sum, one) => sum + one, 0) / total);

export const PEOPLE_EACH = PEOPLE / ORGANISATIONS;
const share = (n: number, salt: number): number => mixed(n, salt) / 2 ** 32;

/** Where a recording belongs and whom it is of, by its number alone. */
export const recordingFacts = (n: number, entries: number) => {
  const organisation = n === 0 ? 0 : bounds.findIndex((bound) => share(n, 1) < bound);
  const patients = Math.max(100, Math.floor(entries / 25));
  const frequent = share(n, 2) < 0.1;
  return {
    organisation,
    unit: organisation * UNITS_EACH + Math.floor(share(n, 3) ** 1.5 * UNITS_EACH),
    patient: Math.floor(share(n, 4) * (frequent ? patients / 100 : patients)),
  };
};

type Weighted = readonly [AuditAction, number];
/** Of ten thousand entries. */
const weights: readonly Weighted[] = [
  ['recording.stored', 2_700],
  ['recording.viewed', 1_800],
  ['recordings.searched', 1_900],
  ['playback.opened', 1_600],
  ['playback.heard', 1_300],
  ['session.opened', 310],
  ['session.closed', 200],
  ['access.denied', 40],
  ['log.read', 40],
  ['recording.erased', 30],
  ['session.refused', 30],
  ['playback.denied', 20],
  ['user.changed', 10],
  ['recording.refused', 5],
  ['recording.abandoned', 5],
  ['hold.placed', 4],
  ['hold.released', 3],
  ['log.exported', 2],
  ['log.verified', 1],
];
const actions: readonly AuditAction[] = weights.flatMap(([action, weight]) =>
  Array.from({ length: weight }, () => action),
);

const outcomes: Partial<Record<AuditAction, Outcome>> = {
  'access.denied': 'denied',
  'playback.denied': 'denied',
  'session.refused': 'denied',
  'recording.refused': 'denied',
  'recording.abandoned': 'failed',
};

/** Who did it: the telephone system, the vault, nobody known, a nurse. */
const bySource: ReadonlySet<AuditAction> = new Set([
  'recording.stored',
  'recording.refused',
  'recording.abandoned',
]);
const unowned: ReadonlySet<AuditAction> = new Set(['session.refused', 'log.verified']);
const aboutRecording: ReadonlySet<AuditAction> = new Set([
  'recording.viewed',
  'playback.opened',
  'playback.heard',
  'playback.denied',
  'recording.erased',
  'hold.placed',
  'hold.released',
]);
const forPurpose: ReadonlySet<AuditAction> = new Set([
  'recording.viewed',
  'recordings.searched',
  'playback.opened',
  'playback.denied',
]);

const digest = 'a'.repeat(64);

/** The same numbers in every run. */
const createRandom = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
};

type Playback = { readonly id: string; readonly recording: number; readonly person: number };

/** What an event's detail is made of. */
type Circumstances = {
  readonly random: () => number;
  readonly at: number;
  readonly place: number;
  readonly playback: string;
  readonly someRecording: () => number;
};
type Detail = (circumstances: Circumstances) => object;

const details: Partial<Record<AuditAction, Detail>> = {
  'recording.stored': ({ random }) => ({
    bytes: 3_600_044,
    sealedSha256: digest,
    envelopeSha256: digest,
    durationMs: Math.round(random() * 900_000),
    flags: [],
  }),
  'recordings.searched': ({ random, someRecording }) => {
    const count = Math.floor(random() ** 3 * 12);
    const results = Array.from({ length: count }, () => idOf('recording', someRecording()));
    return { count, results, criteria: ['from', 'callerNumber'], indexVersion: 1, more: false };
  },
  'playback.opened': ({ at, playback }) => ({ playback, reason: null, expiresAt: at + 3_600_000 }),
  'playback.heard': ({ random, playback }) => {
    const from = Math.floor(random() * 200_000);
    return { playback, spans: [[from, from + Math.floor(random() * 60_000)]] };
  },
  'session.opened': () => ({ method: 'password' }),
  'session.closed': () => ({ reason: 'logout' }),
  'access.denied': () => ({ route: '/v1/recordings/:id', reason: 'unit' }),
  'log.read': ({ place }) => ({ count: 50, first: 0, last: place }),
  'recording.erased': () => ({ reason: 'retention', decision: null, tombstone: true }),
  'session.refused': () => ({ prefix: '192.0.2.0/24', account: null, count: 3, reason: 'credentials' }),
  'user.changed': () => ({ target: idOf('person', 1), change: 'disabled' }),
  'recording.refused': () => ({ reason: 'executable', bytes: 17 }),
  'recording.abandoned': () => ({ reason: 'client' }),
  'hold.placed': () => ({ hold: randomUUID(), reason: 'complaint' }),
  'hold.released': () => ({ hold: randomUUID() }),
  'log.exported': ({ place }) => ({ format: 'csv', criteria: ['actor'], count: 50, first: 0, last: place }),
  'log.verified': ({ place }) => ({ size: place, ok: true }),
};
const detailOf = (action: AuditAction, circumstances: Circumstances): object =>
  details[action]?.(circumstances) ?? { reason: 'blocked' };

const actorOf = (action: AuditAction, organisation: number, person: number): Actor => {
  if (action === 'log.verified') return { type: 'system', id: null, role: null };
  if (action === 'session.refused') return { type: 'anonymous', id: null, role: null };
  return bySource.has(action)
    ? { type: 'source', id: idOf('source', organisation), role: 'source' }
    : { type: 'user', id: idOf('person', person), role: 'nurse' };
};

/** Where it happened, whose call it was about and why, as far as the action has these. */
const contextOf = (action: AuditAction, number: number, entries: number, random: () => number) => {
  const { organisation, unit, patient } = recordingFacts(number, entries);
  const about = bySource.has(action) || aboutRecording.has(action);
  const named = about || (action === 'recordings.searched' && random() < 0.5);
  const unusual: Purpose = random() < 0.5 ? 'quality' : 'complaint';
  return {
    outcome: outcomes[action] ?? 'success',
    organisation: unowned.has(action) ? null : idOf('organisation', organisation),
    unit: named ? idOf('unit', unit) : null,
    recording: about ? idOf('recording', number) : null,
    subject: named ? patientOf(patient) : null,
    purpose: forPurpose.has(action) ? (random() < 0.02 ? unusual : 'care') : null,
  };
};

/** Which recording somebody turns to: mostly what came in lately, sometimes any, and one that everybody talks about. */
const createRecordings = (entries: number, random: () => number) => {
  let stored = 1;
  const drawn = (): number => {
    const draw = random();
    if (draw < 0.0001) return 0;
    if (draw < 0.2) return Math.floor(random() * stored);
    return Math.max(0, stored - 1 - Math.floor(-Math.log(1 - random()) * 5_000));
  };
  return {
    store: (): number => {
      stored += 1;
      return stored - 1;
    },
    some: (): number => {
      for (;;) {
        const number = drawn();
        if (recordingFacts(number, entries).organisation !== ARCHIVE) return number;
      }
    },
  };
};

/** Events in the order in which they happened; each call makes the next. */
export const createLogEvents = (entries: number) => {
  const random = createRandom(20_261_121);
  const recordings = createRecordings(entries, random);
  const open: Playback[] = [];
  let place = 0;

  return (): AuditEvent => {
    const at = timeOf(place, entries) + Math.floor(random() * 500);
    const id = newEventId(at);
    place += 1;
    const drawn = actions[Math.floor(random() * actions.length)] as AuditAction;
    const told = drawn === 'playback.heard' ? open[Math.floor(random() * open.length)] : undefined;
    const action = drawn === 'playback.heard' && told === undefined ? 'recording.viewed' : drawn;
    const number =
      action === 'recording.stored' ? recordings.store() : (told?.recording ?? recordings.some());
    const { organisation } = recordingFacts(number, entries);
    const person = told?.person ?? organisation * PEOPLE_EACH + Math.floor(random() ** 1.5 * PEOPLE_EACH);
    if (action === 'playback.opened') open[place % OPEN] = { id, recording: number, person };
    const { outcome, ...context } = contextOf(action, number, entries, random);
    const session = idOf('session', (person << 8) | (place & 0xff));
    return {
      id,
      at,
      action,
      outcome,
      actor: actorOf(action, organisation, person),
      ...context,
      session: bySource.has(action) || unowned.has(action) ? null : session,
      request: `req-${place.toString(36)}`,
      detail: detailOf(action, {
        random,
        at,
        place,
        playback: told?.id ?? id,
        someRecording: recordings.some,
      }),
    } as unknown as AuditEvent;
  };
};
