import { type AuditAction, type AuditEvent, eventScope } from '../events.ts';
import type { ExportLine } from './export-format.ts';
import type { ExportVerdict } from './export-verify.ts';
import type { Fault } from './fault.ts';

/**
 * What several exports of one log say of each other. A run gives others' entries as their commitments, so whoever hands a
 * file on can take a body out and leave its commitment: the file alone does not tell. Another file does, that shows the body
 * to the same readers, or the entry in which the log says how many bodies were given.
 */

/** Without these nobody could tell why a body is missing or a head was lost: every reader is shown them. */
export const aboutTheLog: ReadonlySet<AuditAction> = new Set(['log.pruned', 'log.epoch_opened']);

const EVERYBODY = 'everybody';

/** Who reads an entry: an organisation's officers, the installation's auditor, or all of them. */
const readersOf = ({ action, organisation }: AuditEvent): string => {
  if (aboutTheLog.has(action)) return EVERYBODY;
  return eventScope[action] === 'installation' || organisation === null ? 'installation' : organisation;
};

/** A set of places, at about a bit each where they lie close together. */
const createPlaces = () => {
  const BITS = 512;
  const chunks = new Map<number, Uint8Array>();
  const has = (place: number): boolean => {
    const bit = place % BITS;
    return ((chunks.get((place - bit) / BITS)?.[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  };
  return {
    has,
    add: (place: number): void => {
      const bit = place % BITS;
      const at = (place - bit) / BITS;
      const chunk = chunks.get(at) ?? new Uint8Array(BITS / 8);
      chunk[bit >> 3] = (chunk[bit >> 3] ?? 0) | (1 << (bit & 7));
      chunks.set(at, chunk);
    },
    /** The lowest of those that are wanted; null for none. */
    lowest: (wanted: (place: number) => boolean): number | null => {
      for (const at of [...chunks.keys()].sort((a, b) => a - b))
        for (let place = at * BITS; place < (at + 1) * BITS; place += 1)
          if (has(place) && wanted(place)) return place;
      return null;
    },
  };
};

type Places = ReturnType<typeof createPlaces>;

/** What the log says was given: null for an entry that is about something else. */
type Given = { readonly count: number; readonly first: number | null; readonly last: number | null } | null;

/** What one file shows, for the comparison with others. */
export type Showing = {
  /** Told of every line whose content was looked at; `event` is null for one that was not, or is not the one committed to. */
  readonly meet: (line: ExportLine, event: AuditEvent | null) => void;
  /** Places that are not withheld. */
  readonly open: Places;
  /** Bodies, by who reads them. */
  readonly shown: ReadonlyMap<string, Places>;
  readonly given: (entry: number) => Given | undefined;
};

const givenIn = ({ action, outcome, detail }: AuditEvent): Given => {
  if (action !== 'log.exported' || outcome !== 'success' || detail.format !== 'evidence') return null;
  const { count, first, last } = detail;
  return { count, first, last };
};

export const createShowing = (): Showing => {
  const open = createPlaces();
  const shown = new Map<string, Places>();
  const exports = new Map<number, Given>();
  const everything = createPlaces();
  return {
    open,
    shown,
    given: (entry) => exports.get(entry) ?? (everything.has(entry) ? null : undefined),
    meet: ({ seq, content }, event) => {
      if (content !== 'withheld') open.add(seq);
      if (event === null) return;
      everything.add(seq);
      const given = givenIn(event);
      if (given !== null) exports.set(seq, given);
      const readers = readersOf(event);
      const places = shown.get(readers) ?? createPlaces();
      shown.set(readers, places);
      places.add(seq);
    },
  };
};

export type ShownFile = { readonly file: string; readonly verdict: ExportVerdict; readonly showing: Showing };

const fault = (index: number, message: string): Fault => ({ index, kind: 'export', message });

/** A body that another file shows to the readers of this one, and this one does not. */
const takenOut = ({ verdict, showing }: ShownFile, others: readonly ShownFile[]): readonly Fault[] => {
  const { kind, from, to } = verdict;
  if (kind !== 'range' || from === null || to === null) return [];
  const hidden = (place: number): boolean => place >= from && place < to && !showing.open.has(place);
  for (const other of others)
    for (const readers of new Set([...showing.shown.keys(), EVERYBODY])) {
      const place = other.showing.shown.get(readers)?.lowest(hidden) ?? null;
      if (place !== null)
        return [
          fault(place, `Entry ${place} has no body here, but ${other.file} shows it, to the same readers.`),
        ];
    }
  return [];
};

/** Whether as much was given as the file has. Bodies that were removed since it was counted are among those it lacks. */
const isAll = ({ kind, from, to, entries, bodies, pruned }: ExportVerdict, given: Given): boolean => {
  if (given === null) return false;
  if (kind !== 'range') return given.count === entries;
  const [first, last] = from === to ? [null, null] : [from, (to ?? 0) - 1];
  if (given.first !== first || given.last !== last) return false;
  return given.count >= bodies && given.count <= bodies + pruned;
};

/** What the log says of this file in an entry that another file shows. */
const otherThanGiven = ({ verdict }: ShownFile, others: readonly ShownFile[]): readonly Fault[] => {
  const { entry, kind, bodies } = verdict;
  if (entry === null || kind === null) return [];
  const told = others.find(({ showing }) => showing.given(entry) !== undefined);
  const given = told?.showing.given(entry);
  if (told === undefined || given === undefined || isAll(verdict, given)) return [];
  const said =
    given === null
      ? 'is not about an export'
      : `says that ${given.count} were given, of entries ${given.first ?? '-'} to ${given.last ?? '-'}`;
  return [
    fault(
      entry,
      `The file shows ${bodies} bodies; entry ${entry} in ${told.file}, which should tell of it, ${said}.`,
    ),
  ];
};

/** What is wrong with this file by what the others show. Those of another log say nothing about it. */
export const disagreement = (file: ShownFile, all: readonly ShownFile[]): readonly Fault[] => {
  const { origin } = file.verdict;
  const others = all.filter((one) => one !== file && origin !== null && one.verdict.origin === origin);
  return [...takenOut(file, others), ...otherThanGiven(file, others)];
};

/** Whether another file has the entry that tells how much of the log this one was given. */
export const isToldOf = ({ verdict: { entry } }: ShownFile, all: readonly ShownFile[]): boolean =>
  entry !== null && all.some(({ showing }) => showing.given(entry) !== undefined);
