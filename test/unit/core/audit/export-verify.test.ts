import { describe, expect, test } from 'vitest';
import type { ExportLine } from '../../../../src/core/audit/export-format.ts';
import { fileOf, lineAt, ORIGIN, rangeFile, selectionLines, treeOf } from '../../../support/export-file.ts';
import {
  anchorAt,
  found,
  lines,
  log,
  own,
  SIZE,
  signed,
  trust,
  verdictOf,
} from '../../../support/export-verdict.ts';
import { createMemoryLog, eventAt } from '../../../support/memory-log.ts';

describe('a sound export', () => {
  test.each([
    [0, SIZE],
    [0, 1],
    [1, 2],
    [255, 257],
    [256, SIZE],
    [17, 17],
    [0, 0],
    [SIZE, SIZE],
  ])('the run [%i, %i) verifies', (from, to) => {
    expect(verdictOf(rangeFile(log, { from, to, ...signed }), { trust })).toEqual({
      ok: true,
      kind: 'range',
      origin: ORIGIN,
      from,
      to,
      entry: SIZE,
      entries: to - from,
      bodies: to - from,
      pruned: 0,
      epochs: [],
      size: SIZE,
      root: treeOf(log).root(SIZE).toString('hex'),
      checkpointSize: SIZE,
      signed: true,
      witnesses: 1,
      uncompared: 0,
      faultCount: 0,
      faults: [],
    });
  });

  test.each([1, 2, 7, 100, 4096])('in pieces of %i bytes', (piece) => {
    expect(verdictOf(rangeFile(log, { to: 40, ...signed }), { trust }, piece)).toMatchObject({
      ok: true,
      entries: 40,
    });
  });

  test.each([1, 100, 256, SIZE - 1])('whose checkpoint is of %i, the beginning of its tree', (size) => {
    for (const [from, to] of [
      [0, SIZE],
      [0, 50],
      [120, 200],
      [290, 295],
    ] as const) {
      const file = rangeFile(log, { from, to, checkpoint: { size, signers: [own] } });
      expect(verdictOf(file, { trust })).toMatchObject({ ok: true, checkpointSize: size });
    }
  });

  test('of a log of nothing', () => {
    expect(verdictOf(rangeFile(createMemoryLog(0)))).toMatchObject({ ok: true, size: 0, entries: 0 });
  });

  test('others’ entries are commitments: they count in the tree, not as bodies', () => {
    const file = rangeFile(log, { withheld: (seq) => seq % 3 !== 0, ...signed });
    expect(verdictOf(file, { trust })).toMatchObject({ ok: true, entries: SIZE, bodies: 100 });
  });

  test('a selection: each entry by its own proof', () => {
    const file = fileOf(selectionLines(log, [299, 250, 4, 3], signed));
    expect(verdictOf(file, { trust })).toMatchObject({ ok: true, kind: 'selection', entries: 4, from: null });
    expect(verdictOf(fileOf(selectionLines(log, [], signed)), { trust })).toMatchObject({
      ok: true,
      entries: 0,
    });
  });
});

describe('H-5 the entry that tells of an export lies behind the tree it is of', () => {
  const blank70 = (line: ExportLine): ExportLine =>
    line.seq === 70 ? { ...line, content: 'withheld' } : line;

  test.each([0, 46, 70, 199, 200, SIZE - 1])('a header that names %i is forged', (entry) => {
    for (const file of [
      rangeFile(log, { to: 200, ...signed, entry, change: blank70 }),
      rangeFile(log, { from: 200, ...signed, entry }),
      fileOf(selectionLines(log, [7], { ...signed, entry })),
    ])
      expect(found(file, { trust })).toEqual({ ok: false, kind: 'export', index: entry });
  });

  test.each([SIZE, SIZE + 1, 999_999])('%i may be: others wrote at the same time', (entry) => {
    expect(verdictOf(rangeFile(log, { to: 200, ...signed, entry }), { trust })).toMatchObject({
      ok: true,
      entry,
    });
  });

  test.each(['', '"entry":null,', '"entry":-1,', '"entry":"300",', '"entry":300.5,', '"entry":1e3,'])(
    'a header with %j instead is none',
    (instead) => {
      const [first = '', ...rest] = lines;
      const file = fileOf([first.replace(`"entry":${SIZE},`, instead), ...rest]);
      expect(found(file, { trust })).toEqual({ ok: false, kind: 'export', index: null });
    },
  );
});

describe('heads that are known', () => {
  test('are contained in a sound export; those beside its run are counted', () => {
    const anchors = [1, 100, 150, 200, SIZE, SIZE + 9].map((size) =>
      size > SIZE ? { size, root: '00' } : anchorAt(size),
    );
    expect(verdictOf(rangeFile(log, { from: 100, to: 200 }), { anchors })).toMatchObject({
      ok: true,
      uncompared: 2,
    });
    expect(verdictOf(rangeFile(log, { from: 100, to: 200 }), { atLeast: SIZE }).ok).toBe(true);
  });
});

describe('H-5 a selection', () => {
  const filter = { recording: eventAt(3).recording };
  const selection = (seqs: number[], change?: (line: ExportLine) => ExportLine) =>
    fileOf(selectionLines(log, seqs, { ...signed, filter, ...(change && { change }) }));

  test.each<[string, Buffer, { kind: string; index: number | null }]>([
    ['out of order', selection([4, 5]), { kind: 'export', index: 5 }],
    ['one twice', selection([4, 4]), { kind: 'export', index: 4 }],
    ['without proof', selection([4], (line) => ({ ...line, proof: null })), { kind: 'tree', index: 4 }],
    [
      'with another’s proof',
      selection([4], (line) => ({ ...line, proof: treeOf(log).inclusion(5, SIZE) })),
      { kind: 'tree', index: 4 },
    ],
    ['at another place', selection([4], (line) => ({ ...line, seq: 5 })), { kind: 'tree', index: 5 }],
    [
      'with another body',
      selection([4], (line) => ({ ...line, content: lineAt(log, 5).content })),
      { kind: 'body', index: 4 },
    ],
    [
      'without body',
      selection([4], (line) => ({ ...line, content: 'withheld' })),
      { kind: 'export', index: 4 },
    ],
    [
      'a line that is none',
      fileOf([...selectionLines(log, [4], signed), '{}']),
      { kind: 'export', index: null },
    ],
  ])('%s', (_what, file, expected) => {
    expect(found(file, { trust })).toEqual({ ok: false, ...expected });
  });

  test.each([
    { recording: '00000000-0000-4000-8000-999999999999' },
    { actor: 'somebody' },
    { subjects: ['v1.other'] },
    { subjects: [] },
    { since: eventAt(4).at + 1 },
    { until: eventAt(4).at },
  ])('an entry that the filter does not ask for: %j', (wrong) => {
    expect(found(fileOf(selectionLines(log, [4], { ...signed, filter: wrong })), { trust })).toEqual({
      ok: false,
      kind: 'export',
      index: 4,
    });
  });
});
