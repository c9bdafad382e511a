import { createHash } from 'node:crypto';
import type { LegacyName } from '../../core/legacy-names.ts';
import { canonicalPersonalNumber } from '../../core/personal-number.ts';
import { canonicalPhone } from '../../core/phone.ts';
import type { CallFields } from '../call-fields.ts';
import { createSeenTable } from './seen-table.ts';

/** By which calls are told apart, in the order of a row. */
const TELLING = ['callId', 'caller', 'called', 'personal'] as const;
export type Difference = 'time' | (typeof TELLING)[number];

/** What a name, or the side file that counts instead of it, tells of which call it is; null: nothing. */
export type CallTold = Readonly<Record<(typeof TELLING)[number], string | null>> & {
  /** Milliseconds since 1970. */
  readonly startedAt: number | null;
  /** The day alone is told, and `startedAt` is its first moment. */
  readonly isDay: boolean;
  /** The same bytes as another segment are another recording. */
  readonly segment: string;
};

const phone = (text: string | null): string | null => {
  const { kind, canonical, raw } = canonicalPhone(text ?? '');
  return kind === 'withheld' ? null : (canonical ?? raw);
};
const person = (text: string | null, now: number): string | null => {
  const number = canonicalPersonalNumber(text ?? '', now);
  return 'fault' in number ? text : number.canonical;
};
const instant = (text: string | undefined): number | null => {
  const at = Date.parse(text ?? '');
  return Number.isNaN(at) ? null : at;
};

/** Numbers are compared as the vault knows them, however they are written. */
export const callTold = (name: LegacyName, side: CallFields | null, now: number): CallTold => {
  const said: CallFields | LegacyName = side ?? name;
  return {
    startedAt: side === null ? name.startedAt : instant(side.startedAt),
    isDay: side === null && name.precision === 'day',
    callId: said.callId ?? null,
    caller: phone(said.callerNumber ?? null),
    called: phone(said.calledNumber ?? null),
    personal: person(said.personalNumber ?? null, now),
    segment: side?.segment ?? '1',
  };
};

/** The longest day, and what a clock may be off. */
const DAY_MS = 1.1 * 86_400_000;
/** Milliseconds are whole, so that half of one can tell that a day is meant. */
const asDay = 0.5;
const isDay = (time: number): boolean => time % 1 !== 0;
const differ = (a: number, b: number): boolean => {
  if (Number.isNaN(a) || Number.isNaN(b)) return false;
  const [dayA, dayB] = [isDay(a), isDay(b)];
  if (dayA === dayB) return a !== b;
  const [day, at] = dayA ? [a, b] : [b, a];
  return at < day - asDay || at >= day + DAY_MS;
};

/** Of a text as little as tells it from another; 0: there is none. */
const shortOf = (text: string | null): number =>
  text === null ? 0 : createHash('sha256').update(text).digest().readUInt32LE() || 1;

/** Rows of one length in memory that grows by doubling: 24 bytes for a recording. */
const createRows = () => {
  let size = 0;
  let times = new Float64Array(1024);
  let words = new Uint32Array(1024 * TELLING.length);
  const grow = (): void => {
    const [oldTimes, oldWords] = [times, words];
    times = new Float64Array(oldTimes.length * 2);
    words = new Uint32Array(oldWords.length * 2);
    times.set(oldTimes);
    words.set(oldWords);
  };
  return {
    add(time: number, told: readonly number[]): number {
      if (size === times.length) grow();
      times[size] = time;
      words.set(told, size * TELLING.length);
      size += 1;
      return size - 1;
    },
    /** In what it differs; what was not told until now is from now on. */
    compare(row: number, time: number, told: readonly number[]): readonly Difference[] {
      const known = times[row] as number;
      const found: Difference[] = differ(known, time) ? ['time'] : [];
      if (Number.isNaN(known)) times[row] = time;
      for (const [n, name] of TELLING.entries()) {
        const place = row * TELLING.length + n;
        const [before, now] = [words[place] as number, told[n] as number];
        if (before === 0) words[place] = now;
        else if (now !== 0 && now !== before) found.push(name);
      }
      return found;
    },
    /** What of this the row does not tell, or otherwise; changes nothing. */
    untold(row: number, time: number, told: readonly number[]): readonly Difference[] {
      const known = times[row] as number;
      const isOther =
        !Number.isNaN(time) && (Number.isNaN(known) || differ(known, time) || (isDay(known) && !isDay(time)));
      const others = TELLING.filter((_, n) => {
        const now = told[n] as number;
        return now !== 0 && now !== words[row * TELLING.length + n];
      });
      return isOther ? ['time', ...others] : others;
    },
  };
};

/** As rows have it. */
const rowOf = (told: CallTold): { readonly time: number; readonly words: readonly number[] } => ({
  time: told.startedAt === null ? Number.NaN : told.startedAt + (told.isDay ? asDay : 0),
  words: TELLING.map((name) => shortOf(told[name])),
});

export const tellsNothing = (told: CallTold): boolean =>
  told.startedAt === null && TELLING.every((name) => told[name] === null);

/**
 * What is told of the calls that the vault made recordings of, by the id of the recording, and what another file that is the same
 * recording tells besides. Memory as of {@link createCopies}.
 */
export const createKeptCalls = () => {
  const table = createSeenTable();
  const rows = createRows();
  const keyOf = (recording: string): string => createHash('sha256').update(recording).digest('hex');
  return {
    /** The first word counts. */
    keep(recording: string, told: CallTold): void {
      const key = keyOf(recording);
      const { time, words } = rowOf(told);
      if (table.get(key) === null) table.set(key, rows.add(time, words));
    },
    /** What of this is not told of the recording, or otherwise; null: nobody knows what is told of it. */
    untold(recording: string, told: CallTold): readonly Difference[] | null {
      const row = table.get(keyOf(recording));
      const { time, words } = rowOf(told);
      return row === null ? null : rows.untold(row, time, words);
    },
  };
};

/**
 * Which recordings are, byte for byte, another one, and whether what is told of them is of another call: an import makes one
 * recording of both, with the facts of the one that comes first. Memory: some 90 bytes per recording.
 */
export const createCopies = () => {
  const table = createSeenTable();
  const rows = createRows();
  return {
    /** `null`: the first with this content. Otherwise in what it differs from what was told of the others. */
    meet(sha256: string, told: CallTold): readonly Difference[] | null {
      const key =
        told.segment === '1'
          ? sha256
          : createHash('sha256').update(`${sha256} ${told.segment}`).digest('hex');
      const { time, words } = rowOf(told);
      const row = table.get(key);
      if (row !== null) return rows.compare(row, time, words);
      table.set(key, rows.add(time, words));
      return null;
    },
  };
};
