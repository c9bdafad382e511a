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
import { createMemoryLog } from '../../../support/memory-log.ts';

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
