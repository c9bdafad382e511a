import { describe, expect, test } from 'vitest';
import { CsvFault, readCsvTable } from '../../../src/core/csv-table.ts';

const LIMITS = { maxRows: 100, maxColumns: 10, maxCell: 50 };
const cellsOf = (text: string) => readCsvTable(text, LIMITS).rows.map(({ cells }) => cells);

describe('a table', () => {
  test.each([
    ['commas', 'a,b\n1,2\n', [['1', '2']]],
    ['semicolons', 'a;b\r\n1;2,5\r\n', [['1', '2,5']]],
    ['semicolons within quotation marks of the first line', '"a;;;",b\n1,2', [['1', '2']]],
    ['what Excel says', 'sep=;\r\na;b\r\n1;2', [['1', '2']]],
    ['a byte order mark', '\ufeffa,b\n1,2', [['1', '2']]],
    ['lines of an old Macintosh', 'a,b\r1,2\r', [['1', '2']]],
    [
      'quotation marks, separators and line ends in a cell',
      'a,b\n"x ""y"", z","1\r\n2"\n3,4',
      [
        ['x "y", z', '1\r\n2'],
        ['3', '4'],
      ],
    ],
    ['empty lines', 'a,b\n\n1,2\n \n\n', [['1', '2']]],
    [
      'empty cells',
      'a,b,c\n,,\n"",x,',
      [
        ['', '', ''],
        ['', 'x', ''],
      ],
    ],
    ['fewer and more cells than columns', 'a,b\n1\n1,2,3', [['1'], ['1', '2', '3']]],
  ])('with %s', (_what, text, rows) => {
    expect(cellsOf(text)).toEqual(rows);
  });

  test('its rows know their lines, behind cells of several lines too', () => {
    const { rows, columns } = readCsvTable('sep=,\n a , b\n"x\ny",1\n\n2,3', LIMITS);
    expect(columns).toEqual(['a', 'b']);
    expect(rows.map(({ line }) => line)).toEqual([3, 6]);
  });
});

describe('what is no table is refused, and nothing of it repeated', () => {
  test.each([
    ['a quotation mark that never closes', `a,b\n"${'7'.repeat(1000)}`, 2],
    ['one that closes too late', `a,b\n1,2\n"${'7'.repeat(51)}",1`, 3],
    ['text behind a closing one', 'a,b\n"0701740605"x,1', 2],
    ['a cell without end', `a,b\n${'7'.repeat(51)},1`, 2],
    ['too many columns', `${'a,'.repeat(11)}b`, 1],
    ['too many rows', `a\n${'1\n'.repeat(101)}`, 102],
    ['NUL bytes', 'a,b\n1,\u0000', 1],
    ['nothing', '', 1],
    ['white space', ' \n\n', 1],
  ])('%s', (_what, text, line) => {
    const fault = (() => {
      try {
        readCsvTable(text, LIMITS);
      } catch (error) {
        return error;
      }
      return null;
    })();
    expect(fault).toBeInstanceOf(CsvFault);
    expect((fault as CsvFault).line).toBe(line);
    expect((fault as CsvFault).message).not.toMatch(/7777|07017/);
  });

  test('four megabytes of quotation marks, or of one line, are refused at once', () => {
    const began = performance.now();
    for (const text of [
      `a\n${'"'.repeat(4_000_000)}`,
      ','.repeat(4_000_000),
      `a\n"${'""'.repeat(2_000_000)}`,
    ])
      expect(() => readCsvTable(text, LIMITS)).toThrow(CsvFault);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
