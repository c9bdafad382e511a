import { type AnnouncedCall, readAnnouncedCall } from './announced-call.ts';
import { MAX_EXPECTED_MS } from './announced-call-schema.ts';
import { mergeLegs } from './call-legs.ts';
import { CsvFault, readCsvTable } from './csv-table.ts';
import { AppError } from './errors.ts';
import { instantOfText } from './instant-text.ts';
import { createWallClock, type WallClock } from './local-time.ts';

/** Rows of one request: a busy day of one telephony system; more is sent in parts. */
export const MAX_RECORDS = 5000;
/** Bytes of one request. */
export const MAX_RECORDS_BYTES = 4 * 1024 * 1024;
const LIMITS = { maxRows: MAX_RECORDS, maxColumns: 200, maxCell: 4096 };
const MAX_FAULTS = 20;

/** What a column says, whoever named it. */
type Meaning =
  | 'callId'
  | 'startedAt'
  | 'endedAt'
  | 'direction'
  | 'callerNumber'
  | 'calledNumber'
  | 'expectedDurationMs'
  | 'recorded'
  | 'reason'
  | 'billedSeconds'
  | 'disposition';

/**
 * Names of columns, in lower case: our own, those of Asterisk's CDR (cdr_csv, cdr_custom, FreePBX's table `cdr` and its export)
 * and those of FusionPBX's `v_xml_cdr`. Where a file has several of one meaning, the first of this list is read.
 */
const names: readonly (readonly [name: string, meaning: Meaning])[] = [
  ['callid', 'callId'],
  ['uniqueid', 'callId'],
  ['xml_cdr_uuid', 'callId'],
  ['uuid', 'callId'],
  ['call_uuid', 'callId'],
  ['startedat', 'startedAt'],
  ['start_epoch', 'startedAt'],
  ['start_stamp', 'startedAt'],
  ['start', 'startedAt'],
  ['calldate', 'startedAt'],
  ['endedat', 'endedAt'],
  ['end_epoch', 'endedAt'],
  ['end_stamp', 'endedAt'],
  ['end', 'endedAt'],
  ['direction', 'direction'],
  ['callernumber', 'callerNumber'],
  ['src', 'callerNumber'],
  ['caller_id_number', 'callerNumber'],
  ['callednumber', 'calledNumber'],
  ['dst', 'calledNumber'],
  ['destination_number', 'calledNumber'],
  ['expecteddurationms', 'expectedDurationMs'],
  ['billsec', 'billedSeconds'],
  ['recorded', 'recorded'],
  ['reason', 'reason'],
  ['disposition', 'disposition'],
];

const directionWords: ReadonlyMap<string, string> = new Map([
  ['inbound', 'inbound'],
  ['outbound', 'outbound'],
  ['internal', 'internal'],
  ['local', 'internal'],
]);

const refused = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The call records cannot be read; nothing of them was kept.', {
    faults: [{ where, fault }],
  });

const columnsOf = (columns: readonly string[]): ReadonlyMap<Meaning, number> => {
  const places = new Map<string, number>();
  for (const [n, column] of columns.entries()) {
    const name = column.toLowerCase();
    if (places.has(name) && names.some(([known]) => known === name))
      throw refused('line 1', `names the column ${name} twice`);
    places.set(name, n);
  }
  const found = new Map<Meaning, number>();
  for (const [name, meaning] of names) {
    const place = places.get(name);
    if (place !== undefined && !found.has(meaning)) found.set(meaning, place);
  }
  for (const [meaning, wanted] of [
    ['callId', 'callId, uniqueid or xml_cdr_uuid'],
    ['startedAt', 'startedAt, calldate, start or start_stamp'],
  ] as const)
    if (!found.has(meaning)) throw refused('line 1', `must name a column ${wanted}`);
  return found;
};

type RowFault = { readonly where: string; readonly fault: string };
type Cells = (meaning: Meaning) => string | undefined;

/** A call that nobody answered has no recording, and nobody need look for it. */
const answered = (cell: Cells): boolean => {
  const disposition = cell('disposition')?.toUpperCase();
  if (disposition !== undefined && disposition !== 'ANSWERED') return false;
  return cell('billedSeconds') !== '0';
};

/** What a row says in our own words of the recording is of the whole call, and corrects what was said before. */
const saysItself = (cell: Cells): boolean =>
  (['recorded', 'reason', 'expectedDurationMs'] as const).some((meaning) => cell(meaning) !== undefined);

const timesOf = (cell: Cells, clock: WallClock | null): Record<string, string> | RowFault => {
  const times: Record<string, string> = {};
  for (const name of ['startedAt', 'endedAt'] as const) {
    const text = cell(name);
    if (text === undefined) continue;
    const at = instantOfText(text, clock);
    if (at === null)
      return { where: name, fault: 'is no time such as 2026-03-01 08:15:30, nor seconds since 1970' };
    if (at === 'zone')
      return { where: name, fault: 'has no zone: name it in the address, ?timeZone=Europe/Stockholm' };
    times[name] = at;
  }
  return times;
};

const lengthOf = (cell: Cells): number | null | undefined => {
  const [own, billed] = [cell('expectedDurationMs'), cell('billedSeconds')];
  const text = own ?? billed;
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) * (own === undefined ? 1000 : 1) : Number.NaN;
  return value <= MAX_EXPECTED_MS ? value : null;
};

const announcementOf = (cell: Cells, clock: WallClock | null): Record<string, unknown> | RowFault => {
  const times = timesOf(cell, clock);
  if ('fault' in times) return times as RowFault;
  const expectedDurationMs = lengthOf(cell);
  if (expectedDurationMs === null) return { where: 'billsec', fault: 'is no length of a call' };
  const direction = directionWords.get(cell('direction')?.toLowerCase() ?? '');
  const own = { recorded: cell('recorded'), reason: cell('reason') };
  const judged = answered(cell) ? {} : { recorded: 'not_expected', reason: 'not_answered' };
  const given = {
    callId: cell('callId'),
    ...times,
    direction,
    callerNumber: cell('callerNumber'),
    calledNumber: cell('calledNumber'),
    expectedDurationMs,
    ...(own.recorded === undefined && own.reason === undefined ? judged : own),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
};

export type ReadRecords = {
  /** Each call once, whatever the number of its rows. */
  readonly calls: readonly AnnouncedCall[];
  /** Of each row in order, the place in `calls` of the call that it is of; null for one that was not taken. */
  readonly rows: readonly (number | null)[];
  /** Rows that were not taken; `faults` names the first 20 by their lines, and none of their values. */
  readonly refused: number;
  readonly faults: readonly RowFault[];
};

const clockOf = (timeZone: string | null): WallClock | null =>
  timeZone === null ? null : createWallClock(timeZone);

const readTable = (text: string) => {
  try {
    return readCsvTable(text, LIMITS);
  } catch (error) {
    if (error instanceof CsvFault) throw refused(`line ${error.line}`, error.message);
    throw error;
  }
};

/**
 * Call records as a table of a telephony system. What makes it no table is refused whole (`invalid_request`); a row that
 * cannot be read is left out and counted, for one odd row must not keep a night's calls away. `timeZone` is a valid one,
 * for times that name none.
 */
export const readCallRecords = (text: string, timeZone: string | null, now: number): ReadRecords => {
  const { columns, rows } = readTable(text);
  const places = columnsOf(columns);
  const clock = clockOf(timeZone);
  const read: (AnnouncedCall | null)[] = [];
  const faults: RowFault[] = [];
  for (const { line, cells } of rows) {
    const cell: Cells = (meaning) => cells[places.get(meaning) ?? -1]?.trim() || undefined;
    const given = announcementOf(cell, clock);
    const row = 'fault' in given ? { faults: [given as RowFault] } : readAnnouncedCall(given, now);
    read.push('call' in row ? { ...row.call, isLeg: !saysItself(cell) } : null);
    if ('faults' in row)
      faults.push(...row.faults.map(({ where, fault }) => ({ where: `line ${line}: ${where}`, fault })));
  }
  const calls = mergeLegs(read.filter((call) => call !== null));
  const placeOf = new Map(calls.map(({ callId }, place) => [callId, place]));
  return {
    calls,
    rows: read.map((call) => (call === null ? null : (placeOf.get(call.callId) ?? null))),
    refused: read.filter((call) => call === null).length,
    faults: faults.slice(0, MAX_FAULTS),
  };
};
