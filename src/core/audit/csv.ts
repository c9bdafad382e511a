import type { AuditEvent } from '../events.ts';

/** A file that a spreadsheet opens; `header=present` is of RFC 4180 §3. */
export const CSV_TYPE = 'text/csv; charset=utf-8; header=present';

/** A Swedish or German Excel splits at semicolons, for the comma is its decimal sign, and takes UTF-8 only behind this mark. */
const BYTE_ORDER_MARK = '\ufeff';
const SEPARATOR = ';';
const LINE_END = '\r\n';

// What makes a spreadsheet take a cell for a formula, also behind white space and in full width (as a Japanese Excel does).
const FORMULA = /^[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]/;
/** Dropped or split at by one program or the other, so that what comes behind them would begin a cell. */
const STARTS_WITH_CONTROL = /^[\t\r\n]/;
const NEEDS_QUOTES = /[;,"\r\n\t]|^\s|\s$/;

/**
 * One cell (RFC 4180 §2), attacker-controlled. What a spreadsheet would compute is made text by an apostrophe before it,
 * which is the one change that is made to any value.
 */
export const csvCell = (value: string | number | null): string => {
  const text = value === null ? '' : String(value).replaceAll('\u0000', '\ufffd');
  const harmless = FORMULA.test(text) || STARTS_WITH_CONTROL.test(text) ? `'${text}` : text;
  return NEEDS_QUOTES.test(harmless) || harmless.startsWith("'")
    ? `"${harmless.replaceAll('"', '""')}"`
    : harmless;
};

/** One line with its end. */
export const csvLine = (cells: readonly (string | number | null)[]): string =>
  cells.map(csvCell).join(SEPARATOR) + LINE_END;

/** What a file begins with. */
export const csvHead = (columns: readonly string[]): string => BYTE_ORDER_MARK + csvLine(columns);

export const entryColumns = [
  'seq',
  'at',
  'action',
  'outcome',
  'actorType',
  'actor',
  'role',
  'organisation',
  'unit',
  'recording',
  'subject',
  'purpose',
  'session',
  'request',
  'id',
  'detail',
] as const;

const JSON_STRING = /"(?:[^"\\]|\\.)*"/g;
// Where a cell would begin for a program that splits at something else than we do: our quotes do not begin one for it.
const WOULD_BEGIN = /((?:^"|[,;|])[\s\ufeff"']*)([=+\-@\uff1d\uff0b\uff0d\uff20|%])/g;

const escaped = (letter: string): string => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** JSON of what people may have typed, spelt so that no piece of it is a formula, wherever it is split; the same value. */
const harmlessJson = (value: object): string =>
  JSON.stringify(value).replace(JSON_STRING, (text) =>
    text.replace(WOULD_BEGIN, (_, before: string, letter: string) => before + escaped(letter)),
  );

/** Cells of one entry, in the order of {@link entryColumns}; what only its action has is JSON in the last one. */
export const entryCells = (seq: number, event: AuditEvent): readonly (string | number | null)[] => [
  seq,
  new Date(event.at).toISOString(),
  event.action,
  event.outcome,
  event.actor.type,
  event.actor.id,
  event.actor.role,
  event.organisation,
  event.unit,
  event.recording,
  event.subject,
  event.purpose,
  event.session,
  event.request,
  event.id,
  harmlessJson(event.detail),
];
