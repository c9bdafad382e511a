import { CsvFault, readCsvTable } from '../core/csv-table.ts';
import { instantOfText } from '../core/instant-text.ts';
import { createWallClock, type WallClock } from '../core/local-time.ts';
import { showableName } from '../core/number-like.ts';
import { isSiprec, siprecCall } from '../core/siprec.ts';
import { MAX_XML_BYTES, readXml, type XmlElement, XmlFault } from '../core/xml-document.ts';
import {
  type CallFields,
  isField,
  MAX_FIELDS_BYTES,
  readFields,
  readJsonObject,
  refused,
} from './call-fields.ts';

export const sideKinds = ['json', 'xml', 'csv'] as const;
export type SideKind = (typeof sideKinds)[number];

/** Of a side file, whatever its kind. */
export const MAX_SIDE_BYTES = MAX_XML_BYTES;

export type SideOptions = {
  /** What a field is called there → what it is called here. With any, other fields that are not known are passed over. */
  readonly renames: ReadonlyMap<string, string>;
  /** Of times that name no zone. */
  readonly timeZone: string;
  /** What is known of every call, and tells with SIPREC who the agent is. */
  readonly direction?: string | undefined;
};

type Given = readonly (readonly [name: string, value: unknown])[];

/** More columns and cells than fields, for a telephony system writes what it has. */
const CSV_LIMITS = { maxRows: 1, maxColumns: 200, maxCell: 12_000 };

const csvFields = (bytes: Uint8Array): Given => {
  if (bytes.length > MAX_FIELDS_BYTES) throw refused('it', `is longer than ${MAX_FIELDS_BYTES} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const { columns, rows } = readCsvTable(text, CSV_LIMITS);
    const [row] = rows;
    if (row === undefined) throw refused('it', 'has names of columns and no row');
    if (row.cells.length !== columns.length)
      throw refused(`line ${row.line}`, 'has not as many cells as there are columns');
    return columns.map((name, n) => [name, row.cells[n]?.trim() ?? '']);
  } catch (error) {
    if (error instanceof CsvFault) throw refused(`line ${error.line}`, error.message);
    if (error instanceof TypeError) throw refused('it', 'is not in UTF-8');
    throw error;
  }
};

const siprecFields = (root: XmlElement, clock: WallClock, { direction }: SideOptions): Given => {
  const { fields, faults } = siprecCall(root, { clock, direction });
  const [fault] = faults;
  if (fault !== undefined) throw refused(fault.where, fault.fault);
  // An empty field would count as absent; this one says that there is no number.
  return Object.entries(fields).map(([name, value]) => [name, value === '' ? 'anonymous' : value]);
};

const xmlFields = (bytes: Uint8Array, clock: WallClock, options: SideOptions): Given => {
  let root: XmlElement;
  try {
    root = readXml(bytes);
  } catch (error) {
    if (error instanceof XmlFault) throw refused(error.where === 'xml' ? 'it' : error.where, error.message);
    throw error;
  }
  if (isSiprec(root)) return siprecFields(root, clock, options);
  const { renames } = options;
  return root.children
    .filter(({ name }) => renames.size === 0 || isField(renames.get(name) ?? name))
    .map(({ name, path, text, children }) => {
      if (children.length > 0) throw refused(path, 'holds elements, and no text');
      return [name, text];
    });
};

/** Under our names; a field that two of theirs stand for is refused, for only one of them can be right. */
const renamed = (given: Given, renames: SideOptions['renames']): [string, unknown][] => {
  const fields = new Map<string, unknown>();
  for (const [theirs, value] of given) {
    const ours = renames.get(theirs) ?? theirs;
    if (value === null || value === '' || (renames.size > 0 && !isField(ours))) continue;
    if (fields.has(ours)) throw refused(showableName(ours) ?? 'a field', 'is named twice');
    fields.set(ours, value);
  }
  return [...fields];
};

const TIMES: ReadonlySet<string> = new Set(['startedAt', 'endedAt']);
const WITH_OFFSET = /T.*(?:Z|[+-]\d\d:\d\d)$/i;
/** Longer than any time; the pattern above goes over a text once for each of its letters T. */
const MAX_TIME_CHARS = 64;
/** What is no time is passed on, for the vault to refuse. */
const placed = (given: unknown, clock: WallClock): unknown => {
  // JSON has numbers: seconds since 1970, with or without parts of them.
  const value = typeof given === 'number' ? String(Math.trunc(given)) : given;
  return typeof value === 'string' && value.length <= MAX_TIME_CHARS && !WITH_OFFSET.test(value)
    ? (instantOfText(value, clock) ?? value)
    : value;
};

/**
 * What a side file says of its call: attacker-controlled, and bounded. JSON with our fields; XML with one element for a field,
 * or recording metadata of SIPREC; CSV with a line of names and one of values. Throws `not_acceptable_metadata`, which never
 * repeats a value.
 */
export const readSideFields = (kind: SideKind, bytes: Uint8Array, options: SideOptions): CallFields => {
  const clock = createWallClock(options.timeZone);
  const given =
    kind === 'json'
      ? Object.entries(readJsonObject(bytes))
      : kind === 'csv'
        ? csvFields(bytes)
        : xmlFields(bytes, clock, options);
  const fields = renamed(given, options.renames).map(([name, value]) => [
    name,
    TIMES.has(name) ? placed(value, clock) : value,
  ]);
  return readFields(Object.fromEntries(fields));
};
