import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commitmentOf } from '../../../../src/core/audit/commitment.ts';
import {
  type ExportLine,
  formatEnd,
  formatHeader,
  formatLine,
  MAX_LINE_BYTES,
} from '../../../../src/core/audit/export-format.ts';
import { createExportVerifier, type ExportExpectations } from '../../../../src/core/audit/export-verify.ts';
import { readKeptNotes } from '../../../../src/core/audit/kept-notes.ts';
import { keyTypes } from '../../../../src/core/audit/note.ts';
import { fixedEvent, fixedId } from '../../../support/audit-events.ts';
import {
  fileOf,
  lineAt,
  newKey,
  noteOf,
  ORIGIN,
  rangeFile,
  rangeHeader,
  rangeLines,
  selectionLines,
  treeOf,
} from '../../../support/export-file.ts';
import {
  createMemoryLog,
  eventAt,
  type MemoryLog,
  storedEntry,
  storedLeaf,
} from '../../../support/memory-log.ts';

const SIZE = 300;
const log = createMemoryLog(SIZE);
const own = newKey(ORIGIN);
const other = newKey(ORIGIN);
const witness = newKey('witness.test', keyTypes.cosignature);
const second = newKey('second.test', keyTypes.cosignature);
const trust = { keys: [own.key], witnesses: [witness.key, second.key], quorum: 0 };
const signed = { checkpoint: { size: SIZE, signers: [own, witness] } };

const verdictOf = (file: Buffer, expected: ExportExpectations = {}, piece = 65_536) => {
  const verifier = createExportVerifier(expected);
  for (let at = 0; at < file.length; at += piece) verifier.push(file.subarray(at, at + piece));
  return verifier.finish();
};
const found = (file: Buffer, expected: ExportExpectations = {}) => {
  const { ok, faults } = verdictOf(file, expected);
  return { ok, kind: faults[0]?.kind, index: faults[0]?.index };
};
const linesOf = (file: Buffer): string[] => file.toString().split('\n').slice(0, -2);
const anchorAt = (size: number, of: MemoryLog = log) => ({
  size,
  root: treeOf(of).root(size).toString('hex'),
});
const changedLog = (change: (changed: MemoryLog) => void): MemoryLog => {
  const copy = { ...log, leaves: [...log.leaves], entries: [...log.entries] };
  change(copy);
  return copy;
};
/** Body and commitment of one entry rewritten together. */
const forgedAt = (seq: number): MemoryLog =>
  changedLog((copy) => {
    copy.entries[seq] = storedEntry(seq, { ...eventAt(seq), outcome: 'denied' });
    copy.leaves[seq] = storedLeaf(copy.entries[seq]);
  });

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
const lines = rangeLines(log, signed);

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

describe('a file that is not what was written', () => {
  const file = rangeFile(log, signed);
  const cutAfter = (count: number) => Buffer.from(`${linesOf(file).slice(0, count).join('\n')}\n`);

  const start = `${lines.join('\n')}\n`;
  const endOf = (text: string | Buffer, entries: number): string =>
    formatEnd({ end: createHash('sha256').update(text).digest('hex'), entries });

  test.each<[string, string]>([
    ['another count', endOf(start, SIZE + 1)],
    ['white space', endOf(start, SIZE).replace(',', ', ')],
    ['a field more', endOf(start, SIZE).replace('}', ',"more":1}')],
    [
      'a digest in capitals',
      endOf(start, SIZE).toUpperCase().replace('"END"', '"end"').replace('"ENTRIES"', '"entries"'),
    ],
  ])('whose last line has %s', (_what, end) => {
    expect(verdictOf(Buffer.from(`${start}${endOf(start, SIZE)}\n`)).ok).toBe(true);
    expect(found(Buffer.from(`${start}${end}\n`)).ok).toBe(false);
  });

  test('whose bytes are not UTF-8, though what is read of them is what was committed to', () => {
    const mended = createMemoryLog(3);
    mended.entries[1] = storedEntry(1, fixedEvent('playback.denied', { detail: { reason: 'a\ufffdb' } }));
    mended.leaves[1] = storedLeaf(mended.entries[1]);
    const whole = rangeFile(mended);
    expect(verdictOf(whole).ok).toBe(true);
    const at = whole.indexOf('\ufffd');
    const bytes = Buffer.concat([whole.subarray(0, at), Buffer.of(0xff), whole.subarray(at + 3)]);
    const text = bytes.subarray(0, bytes.lastIndexOf('{"end":'));
    const file = Buffer.concat([text, Buffer.from(`${endOf(text, 3)}\n`)]);
    expect(found(file)).toEqual({ ok: false, kind: 'export', index: 1 });
  });

  test('with a line that does not end: it is not read to its end', () => {
    const { faults } = verdictOf(Buffer.concat([cutAfter(3), Buffer.alloc(3_000_000, '{')]));
    expect(faults.map(({ message }) => message)).toContainEqual(expect.stringContaining('longer than any'));
  });

  test.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['one line feed', Buffer.from('\n')],
    ['something else', Buffer.from('{"hello":"world"}\n')],
    ['a header alone', cutAfter(1)],
    ['cut within a line', file.subarray(0, file.length - 300)],
    ['cut before its last line', cutAfter(SIZE + 1)],
    ['cut before the line feed of its last line', file.subarray(0, -1)],
    ['with something behind its end', Buffer.concat([file, Buffer.from(`${linesOf(file)[5]}\n`)])],
    ['with half a line behind its end', Buffer.concat([file, Buffer.from('{')])],
    ['with its end twice', Buffer.concat([file, Buffer.from(`${file.toString().split('\n').at(-2)}\n`)])],
    ['twice', Buffer.concat([file, file])],
    ['without its header', fileOf(linesOf(file).slice(1))],
    ['with Windows line ends', Buffer.from(file.toString().replaceAll('\n', '\r\n'))],
    ['with a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), file])],
    ['in UTF-16', Buffer.from(file.toString(), 'utf16le')],
    ['noughts', Buffer.alloc(1_000_000)],
    ['a line without end', Buffer.alloc(3_000_000, 'a')],
    ['a line without end behind a header', Buffer.concat([cutAfter(3), Buffer.alloc(3_000_000, '{')])],
    ['half a million brackets', Buffer.from(`${'['.repeat(MAX_LINE_BYTES - 1)}\n`)],
  ])('%s', (_what, hostile) => {
    for (const piece of [997, 65_536]) expect(verdictOf(hostile, {}, piece)).toMatchObject({ ok: false });
  });
});

const line71 = lines[71]!;
describe('a line that is not as the vault writes it', () => {
  test.each<[string, Buffer | string]>([
    [
      'invalid UTF-8',
      Buffer.concat([
        Buffer.from(line71.slice(0, 300)),
        Buffer.of(0xff, 0xfe),
        Buffer.from(line71.slice(302)),
      ]),
    ],
    [
      'half a UTF-8 letter',
      Buffer.concat([Buffer.from(line71.slice(0, -2)), Buffer.of(0xc3), Buffer.from('}}')]),
    ],
    ['white space', line71.replace(',"commitment"', ', "commitment"')],
    ['white space at the end', `${line71} `],
    ['another order of fields', line71.replace(/^\{("seq":70),("commitment":"[^"]*")/, '{$2,$1')],
    ['a field too many', line71.replace('{"seq":70', '{"seq":70,"x":1')],
    ['a place as text', line71.replace('"seq":70', '"seq":"70"')],
    ['a place that is none', line71.replace('"seq":70', '"seq":-70')],
    ['a place written otherwise', line71.replace('"seq":70', '"seq":70.0')],
    ['a place with a nought before it', line71.replace('"seq":70', '"seq":070')],
    ['a place beyond 2^53', line71.replace('"seq":70', '"seq":9007199254740993')],
    ['a place beyond everything', line71.replace('"seq":70', '"seq":70e400')],
    ['no commitment', line71.replace(/,"commitment":"[^"]*"/, '')],
    ['a commitment that is a number', line71.replace(/"commitment":"[^"]*"/, '"commitment":1')],
    ['a commitment too short', line71.replace(/("commitment":").{4}/, '$1')],
    [
      'a commitment in another spelling',
      line71.replace(
        /("commitment":".{42})(.)=/,
        (_all, start, last) => `${start}${String.fromCharCode(last.charCodeAt(0) + 1)}=`,
      ),
    ],
    ['a salt that is null', line71.replace(/"salt":"[^"]*"/, '"salt":null')],
    [
      'a body that is text',
      line71.replace(/"body":(.*)\}$/, (_all, body) => `"body":${JSON.stringify(body)}}`),
    ],
    ['a body that is a list', line71.replace(/"body":.*$/, '"body":[]}')],
    ['an escaped letter in the body', line71.replace('"success"', '"\\u0073uccess"')],
    ['something behind the body', line71.replace(/\}$/, ',"more":1}')],
    ['a list', `[${line71}]`],
    ['null', 'null'],
  ])('an entry with %s', (_what, hostile) => {
    const start = Buffer.from(`${lines.slice(0, 71).join('\n')}\n`);
    const rest = Buffer.from(`\n${lines.slice(72).join('\n')}`);
    const whole = Buffer.concat([start, Buffer.from(hostile as string), rest]);
    const { ok, faults } = verdictOf(Buffer.concat([whole, Buffer.from('\n')]));
    expect({ ok, index: faults[0]?.index }).toEqual({ ok: false, index: 70 });
  });
});

const header = lines[0]!;
describe('a header that is not as the vault writes it', () => {
  test.each<[string, string]>([
    ['another format', header.replace('callvault-log-export', 'callvault-log')],
    ['a newer version', header.replace('"version":1', '"version":2')],
    ['another kind', header.replace('"kind":"range"', '"kind":"all"')],
    [
      'another order of fields',
      header.replace(
        '"format":"callvault-log-export","version":1',
        '"version":1,"format":"callvault-log-export"',
      ),
    ],
    ['a field too many', header.replace(/\}$/, ',"more":1}')],
    ['a field twice', header.replace('"size":300', '"size":300,"size":300')],
    ['a size beyond 2^53', header.replace('"size":300', '"size":9007199254740993')],
    ['a size below nothing', header.replace('"size":300', '"size":-1')],
    ['a size as text', header.replace('"size":300', '"size":"300"')],
    ['a root too short', header.replace(/("root":").{4}/, '$1')],
    ['hashes that are none', header.replace('"before":[]', '"before":["x"]')],
    [
      'more hashes than any tree has',
      header.replace(
        '"before":[]',
        `"before":[${Array(65)
          .fill(`"${Buffer.alloc(32).toString('base64')}"`)
          .join(',')}]`,
      ),
    ],
    ['a note that is a number', header.replace(/"checkpoint":"[^"]*"/, '"checkpoint":7')],
    ['a filter with a field more', header.replace('"until":null', '"until":null,"number":"x"')],
  ])('a header with %s', (_what, hostile) => {
    expect(hostile).not.toBe(header);
    expect(found(fileOf([hostile, ...lines.slice(1)]))).toEqual({ ok: false, kind: 'export', index: null });
  });
});

describe('what is said of it', () => {
  test('no finding repeats what a body says', () => {
    const hostile = lines.with(5, lines[71]!.replace('"success"', '"CANARY"')).with(9, '"CANARY"');
    expect(JSON.stringify(verdictOf(fileOf(hostile)))).not.toContain('CANARY');
  });

  test('of many faults the first are kept', () => {
    const hostile = rangeFile(log, { change: (line) => ({ ...line, columns: ['actor'] }) });
    const { faultCount, faults } = verdictOf(hostile);
    expect([faultCount, faults.length, faults[0]?.index]).toEqual([SIZE, 20, 0]);
  });
});

const YEAR_MS = 366 * 86_400_000;

/** A log whose entry 250 tells that bodies [0, to) were removed, so many years after they were written. */
const prunedLog = (to: number, years: number): MemoryLog =>
  changedLog((copy) => {
    for (let seq = 249; seq < SIZE; seq += 1) {
      const at = eventAt(seq).at + years * YEAR_MS;
      const event =
        seq === 250
          ? fixedEvent('log.pruned', { id: eventAt(seq).id, at, detail: { from: 0, to, floor: 5 } })
          : { ...eventAt(seq), at };
      const entry = storedEntry(seq, event);
      copy.entries[seq] = entry;
      copy.leaves[seq] = storedLeaf(entry);
    }
  });

describe('H-5 bodies that are not there any more', () => {
  const missing = (to: number) => (line: ExportLine) =>
    line.seq < to ? { ...line, content: 'missing' as const } : line;
  const verdict = (from: MemoryLog, to: number, withheld: (seq: number) => boolean = () => false) =>
    verdictOf(rangeFile(from, { change: missing(to), withheld }));

  test('removed after the time was out, and an entry tells of it', () => {
    expect(verdict(prunedLog(100, 6), 100)).toMatchObject({ ok: true, pruned: 100, bodies: 200 });
  });

  test('the same where what stands behind is somebody else’s', () => {
    expect(verdict(prunedLog(100, 6), 100, (seq) => seq >= 100 && seq < 249)).toMatchObject({
      ok: true,
      pruned: 100,
    });
  });

  test.each<[string, MemoryLog, number, { kind: string; index: number }]>([
    ['removed too early', prunedLog(100, 4), 100, { kind: 'early_prune', index: 0 }],
    ['more than was told', prunedLog(100, 6), 120, { kind: 'body', index: 100 }],
    ['without an entry that tells of it', log, 100, { kind: 'body', index: 0 }],
  ])('%s', (_what, from, to, expected) => {
    expect(verdict(from, to).faults[0]).toMatchObject(expected);
  });
});

describe('H-5 an entry that says it is older than it is', () => {
  const DAY = 86_400_000;
  /** The witness saw the first 200 at 1_763_719_300 s; entry 250 was appended later, and says so or not. */
  const seen = { checkpoint: { size: 200, signers: [own, witness] } };
  const saying = (at: number): MemoryLog =>
    changedLog((copy) => {
      const entry = storedEntry(250, { ...eventAt(250), at });
      copy.entries[250] = entry;
      copy.leaves[250] = storedLeaf(entry);
    });
  const seenAt = 1_763_719_300_000;

  test.each([
    [seenAt - DAY - 1, { ok: false, kind: 'backdated', index: 250 }],
    [seenAt - DAY, { ok: true, kind: undefined, index: undefined }],
    [seenAt + DAY, { ok: true, kind: undefined, index: undefined }],
  ])('at %i', (at, expected) => {
    expect(found(rangeFile(saying(at), seen), { trust })).toEqual(expected);
  });

  test('the word of a witness whom nobody trusts is none, and what lies before the checkpoint may be older', () => {
    expect(found(rangeFile(saying(0), seen), { trust: { ...trust, witnesses: [] } }).ok).toBe(true);
    const late = { checkpoint: { size: 260, signers: [own, witness] } };
    expect(found(rangeFile(saying(0), late), { trust }).ok).toBe(true);
  });

  test('a head that the log does not contain says nothing about its times', () => {
    const anchors = [{ ...anchorAt(200, forgedAt(3)), seenAt: seenAt + 9 * DAY }];
    expect(verdictOf(rangeFile(log), { anchors }).faults.map(({ kind }) => kind)).toEqual(['anchor']);
  });

  test('a checkpoint kept elsewhere tells it too', () => {
    const text = noteOf(saying(0), 200, [own, witness]);
    const { anchors } = readKeptNotes([{ name: 'kept', text, writtenAt: 0 }], trust);
    expect(found(rangeFile(saying(0)), { anchors })).toEqual({ ok: false, kind: 'backdated', index: 250 });
  });
});

describe('H-5 a new beginning after a restore', () => {
  /** The log as it was found had 100 entries; checkpoints of up to 150 are known. Entry 100 declares it. */
  const lost = forgedAt(99);
  const declared = (approvers: string[]): MemoryLog =>
    changedLog((copy) => {
      copy.entries[100] = storedEntry(
        100,
        fixedEvent('log.epoch_opened', {
          id: eventAt(100).id,
          detail: {
            epoch: 2,
            anchoredSize: 150,
            anchoredRoot: anchorAt(150, lost).root,
            headSize: 100,
            headRoot: anchorAt(100).root,
            lostFrom: 99,
            lostTo: 150,
            reason: 'restore',
            approvers,
          },
        }),
      );
      copy.leaves[100] = storedLeaf(copy.entries[100]);
    });
  const anchors = [anchorAt(50), anchorAt(100, lost), anchorAt(150, lost)];

  test('explains the heads of what was lost, and is told', () => {
    const verdict = verdictOf(rangeFile(declared([fixedId(1), fixedId(2)])), { anchors });
    expect(verdict).toMatchObject({ ok: true, epochs: [{ seq: 100, epoch: 2, lostFrom: 99, lostTo: 150 }] });
  });

  test('without two people it explains nothing', () => {
    expect(found(rangeFile(declared([fixedId(1), fixedId(1)])), { anchors })).toEqual({
      ok: false,
      kind: 'anchor',
      index: 50,
    });
  });

  test('what it does not tell of is found', () => {
    const more = { anchors: [...anchors, anchorAt(200, lost)] };
    expect(found(rangeFile(declared([fixedId(1), fixedId(2)])), more)).toEqual({
      ok: false,
      kind: 'anchor',
      index: 50,
    });
  });
});

describe('a body that would break out of its line is not shown', () => {
  const line = lineAt(log, 70);
  test('nor one beside a salt of another length', () => {
    const content = { salt: Buffer.alloc(31), body: '{}' };
    expect(formatLine({ ...line, content })).toMatch(/,"body":null\}$/);
  });

  test.each([
    '{"a":"\n"}',
    '{"a":"\r"}',
    '{"a":"\u2028"}',
    '{"a":"\0"}',
    '{"a":"\ud800"}',
    'x',
    '',
    '{}\n{"end":"x"}',
  ])('%j', (body) => {
    const text = formatLine({ ...line, content: { salt: Buffer.alloc(32), body } });
    expect(text).toBe(`{"seq":70,"commitment":"${line.commitment.toString('base64')}","body":null}`);
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

test('whatever the bytes are, there is a verdict', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...lines.slice(0, 4)), fc.string(), fc.json()), { maxLength: 8 }),
      (random) => {
        expect(verdictOf(Buffer.from(random.join('\n'))).ok).toBe(false);
      },
    ),
    { numRuns: 300 },
  );
});
