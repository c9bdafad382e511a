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
type Extent = { readonly count: number; readonly first: number | null; readonly last: number | null };
type Given = Extent | null;

/** What one file shows, for the comparison with others. */
export type Showing = {
  /** Told of every line whose content was looked at; `event` is null for one that was not, or is not the one committed to. */
  readonly meet: (line: ExportLine, event: AuditEvent | null) => void;
  /** Places that are not withheld. */
  readonly open: Places;
  /** Bodies, by who reads them. */
  readonly shown: ReadonlyMap<string, Places>;
  readonly given: (entry: number) => Given | undefined;
  /** Every entry of an export, by its place, with who reads that entry. */
  readonly exports: ReadonlyMap<number, Extent & { readonly readers: string }>;
};

const givenIn = ({ action, outcome, detail }: AuditEvent): Given => {
  if (action !== 'log.exported' || outcome !== 'success' || detail.format !== 'evidence') return null;
  const { count, first, last } = detail;
  return { count, first, last };
};

export const createShowing = (): Showing => {
  const open = createPlaces();
  const shown = new Map<string, Places>();
  const exports = new Map<number, Extent & { readonly readers: string }>();
  const everything = createPlaces();
  return {
    open,
    shown,
    exports,
    given: (entry) => exports.get(entry) ?? (everything.has(entry) ? null : undefined),
    meet: ({ seq, content }, event) => {
      if (content !== 'withheld') open.add(seq);
      if (event === null) return;
      everything.add(seq);
      const given = givenIn(event);
      const readers = readersOf(event);
      if (given !== null) exports.set(seq, { ...given, readers });
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

const isOfRun = ({ from, to }: ExportVerdict, given: Extent): boolean => {
  const [first, last] = from === to ? [null, null] : [from, (to ?? 0) - 1];
  return given.first === first && given.last === last;
};

/** Whether as much was given as the file has. Bodies that were removed since it was counted are among those it lacks. */
const isAll = (verdict: ExportVerdict, given: Given): boolean => {
  const { kind, entries, bodies, pruned } = verdict;
  if (given === null) return false;
  if (kind !== 'range') return given.count === entries;
  if (!isOfRun(verdict, given)) return false;
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

/** Those of another log say nothing about this one. */
const othersOf = (file: ShownFile, all: readonly ShownFile[]): readonly ShownFile[] => {
  const { origin } = file.verdict;
  return all.filter((one) => one !== file && origin !== null && one.verdict.origin === origin);
};

/** What is wrong with this file by what the others show. */
export const disagreement = (file: ShownFile, all: readonly ShownFile[]): readonly Fault[] => {
  const others = othersOf(file, all);
  return [...takenOut(file, others), ...otherThanGiven(file, others)];
};

/** Whether another file of this log, a sound one, has the entry that tells how much of the log this one was given. */
export const isToldOf = (file: ShownFile, all: readonly ShownFile[]): boolean =>
  othersOf(file, all).some(
    ({ verdict, showing }) => verdict.ok && showing.given(file.verdict.entry ?? -1) !== undefined,
  );

/** An export of this file's run to its readers, told of in another file, that is not the one this file calls itself. */
export type Telling = { readonly file: string; readonly entry: number; readonly count: number };

/** Enough to look at. */
const TELLINGS = 3;

/**
 * Exports of the same run, to the same readers, by which more bodies were given than this file shows. No finding: which of
 * two exports a file once was cannot be told. Of one run as many are given every time, so none is named beside honest files.
 */
export const largerTellings = (file: ShownFile, all: readonly ShownFile[]): readonly Telling[] => {
  const { verdict, showing } = file;
  if (verdict.kind !== 'range') return [];
  const readers = new Set([...showing.shown.keys()].filter((one) => one !== EVERYBODY));
  const told = new Map<number, Telling>();
  for (const other of othersOf(file, all))
    for (const [entry, given] of other.showing.exports)
      if (
        entry !== verdict.entry &&
        given.count > verdict.bodies + verdict.pruned &&
        isOfRun(verdict, given) &&
        (readers.size === 0 || readers.has(given.readers))
      )
        told.set(entry, { file: other.file, entry, count: given.count });
  return [...told.values()].sort((a, b) => a.entry - b.entry).slice(0, TELLINGS);
};
