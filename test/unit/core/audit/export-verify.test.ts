import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commitmentOf } from '../../../../src/core/audit/commitment.ts';
import { type ExportLine, formatHeader } from '../../../../src/core/audit/export-format.ts';
import type { ExportExpectations } from '../../../../src/core/audit/export-verify.ts';
import {
  fileOf,
  lineAt,
  type newKey,
  noteOf,
  ORIGIN,
  rangeFile,
  rangeHeader,
  rangeLines,
  selectionLines,
  treeOf,
} from '../../../support/export-file.ts';
import {
  anchorAt,
  forgedAt,
  found,
  lines,
  log,
  other,
  own,
  SIZE,
  second,
  signed,
  trust,
  verdictOf,
  witness,
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

type Attack = [string, Buffer, { kind: string; index: number | null }, ExportExpectations?];
const at70 = (change: (line: ExportLine) => ExportLine): Buffer =>
  rangeFile(log, { change: (line) => (line.seq === 70 ? change(line) : line) });
const without = (lines: string[], ...places: number[]): string[] =>
  lines.filter((_, i) => !places.includes(i));
const attacks: Attack[] = [
  [
    'a body exchanged',
    at70((line) => ({ ...line, content: lineAt(log, 71).content })),
    { kind: 'body', index: 70 },
  ],
  [
    'a salt exchanged',
    at70((line) => ({ ...line, content: { ...(line.content as object), salt: Buffer.alloc(32) } as never })),
    { kind: 'body', index: 70 },
  ],
  [
    'a commitment exchanged',
    at70((line) => ({ ...line, commitment: Buffer.alloc(32) })),
    { kind: 'body', index: 70 },
  ],
  [
    'a body gone from the log',
    at70((line) => ({ ...line, content: 'missing' })),
    { kind: 'body', index: 70 },
  ],
  [
    'columns that say otherwise',
    at70((line) => ({ ...line, columns: ['actor'] })),
    { kind: 'columns', index: 70 },
  ],
  [
    'a committed body that is no entry',
    at70((line) => {
      const salt = Buffer.alloc(32);
      return { ...line, commitment: commitmentOf(salt, '{"v":1}'), content: { salt, body: '{"v":1}' } };
    }),
    { kind: 'form', index: 70 },
  ],
  ['a proof in a run', at70((line) => ({ ...line, proof: [] })), { kind: 'export', index: 70 }],
  [
    'a commitment of somebody else’s exchanged',
    rangeFile(log, {
      withheld: () => true,
      change: (line) => (line.seq === 70 ? { ...line, commitment: Buffer.alloc(32, 7) } : line),
    }),
    { kind: 'tree', index: 0 },
  ],
  ['an entry left out', fileOf(without(lines, 71)), { kind: 'leaf', index: 70 }],
  ['the last left out', fileOf(without(lines, SIZE)), { kind: 'leaf', index: SIZE - 1 }],
  ['an entry twice', fileOf(lines.toSpliced(71, 0, lines[71]!)), { kind: 'export', index: 70 }],
  ['two exchanged', fileOf(lines.with(71, lines[73]!).with(73, lines[71]!)), { kind: 'leaf', index: 70 }],
  ['one inserted', fileOf(lines.toSpliced(71, 0, lines[10]!)), { kind: 'export', index: 9 }],
  [
    'one beyond the run',
    fileOf([...rangeLines(log, { to: 80 }), lines[100]!]),
    { kind: 'export', index: 99 },
  ],
  ['a line that is none', fileOf(lines.with(71, '{"seq":70}')), { kind: 'export', index: 70 }],
  ['an empty line', fileOf(lines.toSpliced(71, 0, '')), { kind: 'export', index: 70 }],
  [
    'lines of another tree',
    fileOf([lines[0]!, ...rangeLines(forgedAt(70)).slice(1)]),
    { kind: 'anchor', index: 0 },
  ],
  [
    'rewritten consistently, against a key: the signature is gone',
    rangeFile(forgedAt(70)),
    { kind: 'signature', index: null },
    { trust },
  ],
  [
    'rewritten and signed by another key of the same name',
    rangeFile(forgedAt(70), { checkpoint: { size: SIZE, signers: [other] } }),
    { kind: 'signature', index: null },
    { trust },
  ],
  [
    'rewritten, with the honest checkpoint of its beginning',
    fileOf([
      formatHeader({
        ...rangeHeader(forgedAt(70)),
        origin: ORIGIN,
        checkpoint: noteOf(log, 200, [own]),
        consistency: treeOf(log)
          .consistency(200, SIZE)
          .map((one) => one.toString('base64')),
      }),
      ...rangeLines(forgedAt(70)).slice(1),
    ]),
    { kind: 'anchor', index: 0 },
    { trust },
  ],
  [
    'rewritten and signed by a stolen key, against a head kept elsewhere: between which two it was is named',
    rangeFile(forgedAt(120), { checkpoint: { size: SIZE, signers: [own] } }),
    { kind: 'anchor', index: 100 },
    { trust, anchors: [anchorAt(50), anchorAt(100), anchorAt(150), anchorAt(200)] },
  ],
  [
    'a tail cut and regrown, against a newer head',
    rangeFile(createMemoryLog(200), { checkpoint: { size: 200, signers: [own] } }),
    { kind: 'anchor', index: 200 },
    { trust, atLeast: SIZE },
  ],
  [
    'too few witnesses',
    rangeFile(log, signed),
    { kind: 'signature', index: null },
    { trust: { ...trust, quorum: 2 } },
  ],
];

describe('H-5 what was done to an export is found, at its first place', () => {
  test.each(attacks)('%s', (_what, file, expected, expectations) => {
    expect(found(file, expectations)).toEqual({ ok: false, ...expected });
  });

  test('two witnesses are two: one that signs twice is one', () => {
    const expected = { trust: { ...trust, quorum: 2 } };
    const by = (...signers: ReturnType<typeof newKey>[]) =>
      found(rangeFile(log, { checkpoint: { size: SIZE, signers } }), expected).ok;
    expect([by(own, witness, second), by(own, witness, witness), by(own, witness, other)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('a checkpoint of another log, though a trusted key signed it', () => {
    const header = { ...rangeHeader(log, signed), checkpoint: noteOf(log, SIZE, [own], 'callvault.other') };
    expect(found(fileOf([formatHeader(header), ...lines.slice(1)]), { trust }).kind).toBe('signature');
  });

  test('a checkpoint of another log, whoever signed it', () => {
    const checkpoint = noteOf(log, SIZE, [own], 'callvault.other');
    const file = (origin: string) =>
      fileOf([formatHeader({ ...rangeHeader(log, signed), origin, checkpoint }), ...lines.slice(1)]);
    expect(found(file(ORIGIN)).kind).toBe('signature');
    expect(found(file('callvault.other')).ok).toBe(true);
    expect(found(file('callvault.other'), { trust }).kind).toBe('signature');
  });

  test('a known head of which only the header tells', () => {
    const wrong = { size: SIZE, root: '00'.repeat(32) };
    const early = { ...anchorAt(40), root: '00'.repeat(32) };
    const run = rangeFile(log, { to: 50, checkpoint: { size: 250, signers: [own] } });
    const selection = fileOf(selectionLines(log, [4], { checkpoint: { size: 40, signers: [own] } }));
    for (const [file, anchor] of [
      [run, wrong],
      [run, { ...anchorAt(250), root: '00'.repeat(32) }],
      [selection, wrong],
      [selection, early],
    ] as const)
      expect(found(file, { anchors: [anchor] })).toEqual({ ok: false, kind: 'anchor', index: null });
    const anchors = [anchorAt(40), anchorAt(250), anchorAt(SIZE)];
    expect([run, selection].map((file) => verdictOf(file, { anchors }).ok)).toEqual([true, true]);
  });

  test('a checkpoint whose tree the export’s does not begin with, outside of the run', () => {
    const forged = forgedAt(10);
    const header = {
      ...rangeHeader(log, { from: 200, to: 210, checkpoint: { size: 150, signers: [own] } }),
      checkpoint: noteOf(forged, 150, [own]),
    };
    const file = fileOf([formatHeader(header), ...rangeLines(log, { from: 200, to: 210 }).slice(1)]);
    expect(found(file, { trust })).toEqual({ ok: false, kind: 'tree', index: null });
  });

  test.each(['before', 'after', 'consistency'] as const)(
    'a hash of `%s` exchanged, one left out, one too many',
    (name) => {
      const wanted = { from: 101, to: 200, checkpoint: { size: 90, signers: [own] } };
      const header = rangeHeader(log, wanted) as ReturnType<typeof rangeHeader> & { kind: 'range' };
      const zero = Buffer.alloc(32).toString('base64');
      for (const changed of [header[name].with(0, zero), header[name].slice(1), [...header[name], zero]]) {
        const file = fileOf([
          formatHeader({ ...header, [name]: changed }),
          ...rangeLines(log, wanted).slice(1),
        ]);
        expect(verdictOf(file, { trust }).ok).toBe(false);
      }
    },
  );

  test.each([
    { from: 10, to: 9 },
    { from: 0, to: SIZE + 1 },
    { from: 1, to: 1 },
  ])('a header of a run that cannot be: %j', (wrong) => {
    const header = { ...rangeHeader(log), ...wrong } as ReturnType<typeof rangeHeader>;
    expect(found(fileOf([formatHeader(header)])).kind).toBe('export');
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

test('400 random flips of one bit anywhere in an export: 400 found, with a key and without', () => {
  const files = [
    rangeFile(log, { from: 30, to: 180, withheld: (seq) => seq % 4 === 0, ...signed }),
    fileOf(selectionLines(log, [250, 4, 3], signed)),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...files), fc.nat(), fc.nat(7), fc.boolean(), (file, place, bit, keyed) => {
      const copy = Buffer.from(file);
      copy[place % copy.length]! ^= 1 << bit;
      expect(verdictOf(copy, keyed ? { trust } : {}).ok).toBe(false);
    }),
    { numRuns: 400 },
  );
});
