/** A table as text: what a spreadsheet or a telephone system writes (RFC 4180, and with semicolons). */
export type CsvTable = {
  readonly columns: readonly string[];
  /** Cells in the order of the columns, with the line on which the row begins, counted from 1. */
  readonly rows: readonly { readonly line: number; readonly cells: readonly string[] }[];
};

export type CsvLimits = {
  readonly maxRows: number;
  readonly maxColumns: number;
  /** UTF-16 units of one cell. */
  readonly maxCell: number;
};

/** What makes the text no table, as the end of a sentence; it never repeats a value. */
export class CsvFault extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.name = 'CsvFault';
    this.line = line;
  }
}

/** Excel's own way to say it, and otherwise whichever stands in the first line more often, outside quotation marks. */
const separatorOf = (text: string): { readonly separator: string; readonly from: number } => {
  const said = /^sep=([;,])(?:\r\n|\r|\n)/.exec(text.slice(0, 8));
  if (said !== null) return { separator: said[1] as string, from: said[0].length };
  const head = /^(?:"(?:[^"]|"")*"|[^"\r\n])*/.exec(text.slice(0, 8192))?.[0].replace(/"(?:[^"]|"")*"/g, '');
  const count = (one: string): number => (head ?? '').split(one).length;
  return { separator: count(';') > count(',') ? ';' : ',', from: 0 };
};

type Cell = { readonly text: string; readonly next: number; readonly lines: number };

/** The cell that begins here. `next` is the place of the separator or line end behind it. */
const cellAt = (text: string, from: number, separator: string, line: number, maxCell: number): Cell => {
  if (text[from] !== '"') {
    let next = from;
    while (next < text.length && text[next] !== separator && text[next] !== '\r' && text[next] !== '\n')
      next += 1;
    if (next - from > maxCell) throw new CsvFault(line, `has a cell of more than ${maxCell} characters`);
    return { text: text.slice(from, next), next, lines: 0 };
  }
  const parts: string[] = [];
  for (let at = from + 1; ; ) {
    const end = text.indexOf('"', at);
    // Whatever stood behind an open quotation mark would be taken for one cell, the whole rest of the file included.
    if (end === -1 || end - from > maxCell + 1)
      throw new CsvFault(line, `has a quotation mark that is not closed within ${maxCell} characters`);
    parts.push(text.slice(at, end));
    if (text[end + 1] !== '"') {
      const whole = parts.join('"');
      return { text: whole, next: end + 1, lines: whole.split('\n').length - 1 };
    }
    at = end + 2;
  }
};

type Row = { readonly cells: string[]; readonly next: number; readonly lines: number };

const rowAt = (text: string, from: number, separator: string, line: number, limits: CsvLimits): Row => {
  const cells: string[] = [];
  let [at, lines] = [from, 0];
  for (;;) {
    const cell = cellAt(text, at, separator, line + lines, limits.maxCell);
    cells.push(cell.text);
    lines += cell.lines;
    at = cell.next;
    if (cells.length > limits.maxColumns)
      throw new CsvFault(line, `has more than ${limits.maxColumns} columns`);
    if (text[at] === separator) {
      at += 1;
      continue;
    }
    if (at >= text.length) return { cells, next: at, lines };
    const ends = text[at] === '\r' ? (text[at + 1] === '\n' ? 2 : 1) : text[at] === '\n' ? 1 : 0;
    if (ends === 0) throw new CsvFault(line, 'has text behind a closing quotation mark');
    return { cells, next: at + ends, lines: lines + 1 };
  }
};

/**
 * The table, whose first line names the columns. The text is attacker-controlled; time and memory are linear in its length.
 * Empty lines are passed over. Throws {@link CsvFault}.
 */
export const readCsvTable = (input: string, limits: CsvLimits): CsvTable => {
  const text = input.startsWith('\ufeff') ? input.slice(1) : input;
  if (text.includes('\u0000')) throw new CsvFault(1, 'holds NUL bytes: this is no text');
  const { separator, from } = separatorOf(text);
  let [at, line] = [from, from === 0 ? 1 : 2];
  let columns: string[] | null = null;
  const rows: { line: number; cells: string[] }[] = [];
  while (at < text.length) {
    const row = rowAt(text, at, separator, line, limits);
    const isEmpty = row.cells.length === 1 && row.cells[0]?.trim() === '';
    if (!isEmpty && columns === null) columns = row.cells.map((name) => name.trim());
    else if (!isEmpty) rows.push({ line, cells: row.cells });
    if (rows.length > limits.maxRows) throw new CsvFault(line, `is beyond the first ${limits.maxRows} rows`);
    at = row.next;
    line += row.lines;
  }
  if (columns === null) throw new CsvFault(1, 'names no columns');
  return { columns, rows };
};
