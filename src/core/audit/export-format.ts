import {
  count,
  type Field,
  FieldFault,
  label,
  list,
  nullable,
  oneOf,
  record,
  sha256Hex,
  uuid,
} from './field.ts';
import { HASH_BYTES } from './merkle.ts';
import { MAX_NOTE_BYTES } from './note.ts';

/**
 * An export of the log (docs/audit-log.md, Exports): NDJSON of one header, entries, and one end. Every line has one spelling, so
 * that a changed byte is a changed line; a body comes last on its line and as it was committed to, byte for byte.
 */
export const EXPORT_FORMAT = 'callvault-log-export';
const EXPORT_VERSION = 1;

/** No line of ours is longer: a note, or a body with its proof, and what stands around them. */
export const MAX_LINE_BYTES = 192 * 1024;
const MAX_PROOF = 64;
const MAX_SUBJECTS = 64;

/** By what the entries were chosen. Ids and pseudonyms, never a number. */
export type ExportFilter = {
  readonly recording: string | null;
  readonly actor: string | null;
  /** The pseudonyms of one patient. */
  readonly subjects: readonly string[] | null;
  /** Milliseconds since 1970: from, and before. */
  readonly since: number | null;
  readonly until: number | null;
};

type Common = {
  /** Name of the log, as its checkpoints say it; null before the first checkpoint. */
  readonly origin: string | null;
  readonly filter: ExportFilter;
  /** Place of the log's own entry about this export. */
  readonly entry: number;
  /** The tree that everything here is proven to be in. */
  readonly size: number;
  readonly root: string;
  /** Signed note of a tree that is the beginning of that one, as `consistency` shows; null before the first. */
  readonly checkpoint: string | null;
  readonly consistency: readonly string[];
};

/** `range`: every entry of [from, to), others' as commitments. `before` is the tree's edge at `from`, `after` its consistency from `to`. */
export type RangeHeader = Common & {
  readonly kind: 'range';
  readonly from: number;
  readonly to: number;
  readonly before: readonly string[];
  readonly after: readonly string[];
};
/** `selection`: entries that match the filter, newest first by time and then by place, each with a proof of its own. */
export type SelectionHeader = Common & { readonly kind: 'selection' };
export type ExportHeader = RangeHeader | SelectionHeader;

/** 32 bytes in the one spelling of base64: the last letter carries two bits that are nought. */
const HASH = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
const HASH_LETTERS = 44;

const hash: Field<string> = (value, where) => {
  if (typeof value !== 'string' || !HASH.test(value)) throw new FieldFault(where, '32 bytes in base64');
  return value;
};
const hashes = list(hash, MAX_PROOF);
const note: Field<string> = (value, where) => {
  if (typeof value !== 'string' || value.length > MAX_NOTE_BYTES || !value.isWellFormed())
    throw new FieldFault(where, 'a signed note');
  return value;
};
const origin: Field<string> = (value, where) => {
  if (typeof value !== 'string' || !/^[^\s+\p{Cc}]{1,255}$/u.test(value) || !value.isWellFormed())
    throw new FieldFault(where, 'the name of a log');
  return value;
};

const common = {
  origin: nullable(origin),
  filter: record<ExportFilter>({
    recording: nullable(uuid),
    actor: nullable(label),
    subjects: nullable(list(label, MAX_SUBJECTS)),
    since: nullable(count),
    until: nullable(count),
  }),
  entry: count,
  size: count,
  root: hash,
  checkpoint: nullable(note),
  consistency: hashes,
};
const kinds = {
  range: record<RangeHeader>({
    kind: oneOf('range'),
    ...common,
    from: count,
    to: count,
    before: hashes,
    after: hashes,
  }),
  selection: record<SelectionHeader>({ kind: oneOf('selection'), ...common }),
};
const kindOf = record<{ kind: ExportHeader['kind'] }>({ kind: oneOf('range', 'selection') });

const written = (header: ExportHeader): string =>
  JSON.stringify({ format: EXPORT_FORMAT, version: EXPORT_VERSION, ...header });

const checked = (value: unknown): ExportHeader => {
  const { kind } = kindOf(value, 'header');
  return kinds[kind](value, 'header');
};

/** The first line, without its line feed. Throws FieldFault for a header that could not be read back. */
export const formatHeader = (header: ExportHeader): string => written(checked(header));

/** Null for anything but a header of ours, spelt as we spell it. Attacker-controlled. */
export const parseHeader = (line: string): ExportHeader | null => {
  try {
    const header = checked(JSON.parse(line));
    return written(header) === line ? header : null;
  } catch (error) {
    if (error instanceof FieldFault || error instanceof SyntaxError) return null;
    throw error;
  }
};

/** Hashes as the verifier takes them. */
export const bytesOf = (encoded: readonly string[]): readonly Buffer[] =>
  encoded.map((one) => Buffer.from(one, 'base64'));

export type ExportLine = {
  readonly seq: number;
  readonly commitment: Buffer;
  /** Names of the columns by which the database finds this entry otherwise than its body says. */
  readonly columns: readonly string[];
  /** Of a selection only. */
  readonly proof: readonly Buffer[] | null;
  /** `withheld`: not for this reader. `missing`: the log holds none. */
  readonly content: { readonly salt: Buffer; readonly body: string } | 'withheld' | 'missing';
};

const base64 = (bytes: Buffer): string => bytes.toString('base64');
const quoted = (texts: readonly string[]): string => texts.map((text) => `"${text}"`).join(',');

/** A body that would break out of its line is none of ours; the line says that there is none to show. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that a body may not hold.
const PRINTABLE = /^\{[^\x00-\x1f\u2028\u2029]*\}$/;

const fitsIntoLine = ({ salt, body }: { readonly salt: Buffer; readonly body: string }): boolean =>
  salt.length === HASH_BYTES && body.isWellFormed() && PRINTABLE.test(body);

/** The line of an entry, without its line feed. */
export const formatLine = ({ seq, commitment, columns, proof, content }: ExportLine): string => {
  const found = columns.length === 0 ? '' : `,"columns":[${quoted(columns)}]`;
  const path = proof === null ? '' : `,"proof":[${quoted(proof.map(base64))}]`;
  const start = `{"seq":${seq},"commitment":"${base64(commitment)}"${found}${path}`;
  if (content === 'withheld') return `${start}}`;
  if (content === 'missing' || !fitsIntoLine(content)) return `${start},"body":null}`;
  return `${start},"salt":"${base64(content.salt)}","body":${content.body}}`;
};

const START = /^\{"seq":(0|[1-9]\d{0,15}),"commitment":"/;
const COLUMNS = /"([A-Za-z]{1,20})"(,|\])/y;

/** Walks along one line; every step is null when the line is not ours. */
type Rest = { readonly line: string; at: number };

const takes = (rest: Rest, text: string): boolean => {
  if (!rest.line.startsWith(text, rest.at)) return false;
  rest.at += text.length;
  return true;
};

const takeHash = (rest: Rest): Buffer | null => {
  const text = rest.line.slice(rest.at, rest.at + HASH_LETTERS);
  if (!HASH.test(text) || rest.line[rest.at + HASH_LETTERS] !== '"') return null;
  rest.at += HASH_LETTERS + 1;
  return Buffer.from(text, 'base64');
};

const takeColumns = (rest: Rest): readonly string[] | null => {
  if (!takes(rest, ',"columns":[')) return [];
  const names: string[] = [];
  for (;;) {
    COLUMNS.lastIndex = rest.at;
    const [all = '', name = '', behind] = COLUMNS.exec(rest.line) ?? [];
    if (all === '' || names.length === 16) return null;
    names.push(name);
    rest.at += all.length;
    if (behind === ']') return names;
  }
};

const takeProof = (rest: Rest): readonly Buffer[] | null | undefined => {
  if (!takes(rest, ',"proof":[')) return null;
  if (takes(rest, ']')) return [];
  const proof: Buffer[] = [];
  for (;;) {
    const one = takes(rest, '"') ? takeHash(rest) : null;
    if (one === null || proof.length === MAX_PROOF) return undefined;
    proof.push(one);
    if (takes(rest, ']')) return proof;
    if (!takes(rest, ',')) return undefined;
  }
};

const takeContent = (rest: Rest): ExportLine['content'] | null => {
  const { line } = rest;
  if (takes(rest, ',"salt":"')) {
    const salt = takeHash(rest);
    if (salt === null || !takes(rest, ',"body":{') || !line.endsWith('}}')) return null;
    return { salt, body: line.slice(rest.at - 1, -1) };
  }
  const missing = takes(rest, ',"body":null');
  if (!takes(rest, '}') || rest.at !== line.length) return null;
  return missing ? 'missing' : 'withheld';
};

/** Null for anything but the line of an entry, spelt as we spell it; what its body holds is not looked at. Attacker-controlled. */
export const parseLine = (line: string): ExportLine | null => {
  const [start = '', digits = ''] = START.exec(line) ?? [];
  const seq = Number(digits);
  if (start === '' || !Number.isSafeInteger(seq)) return null;
  const rest: Rest = { line, at: start.length };
  const commitment = takeHash(rest);
  if (commitment === null) return null;
  const columns = takeColumns(rest);
  const proof = columns === null ? undefined : takeProof(rest);
  if (columns === null || proof === undefined) return null;
  const content = takeContent(rest);
  return content === null ? null : { seq, commitment, columns, proof, content };
};

export type ExportEnd = {
  /** SHA-256, hex, of every byte before this line. It shows that a file was cut or damaged on its way, and no more. */
  readonly end: string;
  /** Lines of entries. */
  readonly entries: number;
};
export const END_START = '{"end":';
const end = record<ExportEnd>({ end: sha256Hex, entries: count });

/** The last line, without its line feed. */
export const formatEnd = ({ end: digest, entries }: ExportEnd): string =>
  JSON.stringify({ end: digest, entries });

export const parseEnd = (line: string): ExportEnd | null => {
  try {
    const parsed = end(JSON.parse(line), 'end');
    return formatEnd(parsed) === line ? parsed : null;
  } catch (error) {
    if (error instanceof FieldFault || error instanceof SyntaxError) return null;
    throw error;
  }
};

export const encodeHashes = (all: readonly Buffer[]): readonly string[] => {
  if (all.some(({ length }) => length !== HASH_BYTES)) throw new RangeError('hashes have 32 bytes each');
  return all.map(base64);
};
