import { describe, expect, test } from 'vitest';
import {
  createShowing,
  disagreement,
  isToldOf,
  largerTellings,
  type ShownFile,
} from '../../../../src/core/audit/export-agreement.ts';
import { createExportVerifier } from '../../../../src/core/audit/export-verify.ts';
import type { AuditEvent } from '../../../../src/core/events.ts';
import { fixedEvent, fixedId } from '../../../support/audit-events.ts';
import { fileOf, newKey, ORIGIN, rangeFile, selectionLines } from '../../../support/export-file.ts';
import { type MemoryLog, storedEntry, storedLeaf, treeOver } from '../../../support/memory-log.ts';

/** Exports of one log side by side: who hands them on may have taken a body out of one. */
const [OURS, THEIRS] = [fixedId(2), fixedId(20)];
const own = newKey(ORIGIN);
const SIZE = 1100;
/** The exports of the first test files were told to the log here: a run, and a selection. */
const [RUN, CHOICE] = [600, 601];
const TO = 550;
/** About the log itself. */
const SHARED = 5;

const ownerOf = (seq: number): 'ours' | 'theirs' | 'installation' | 'everybody' =>
  seq === SHARED ? 'everybody' : seq === 0 ? 'installation' : seq % 3 === 0 && seq < RUN ? 'theirs' : 'ours';
const isFor = (reader: string, seq: number): boolean => [reader, 'everybody'].includes(ownerOf(seq));
const isOurs = (seq: number): boolean => isFor('ours', seq);
const oursIn = (from: number, to: number): number =>
  Array.from({ length: to - from }, (_, i) => from + i).filter(isOurs).length;
const chosen = [11, 10, 8];

const given = { format: 'evidence', criteria: ['range'] };
const eventAt = (seq: number): AuditEvent => {
  const base = { id: fixedId(1000 + seq), at: 1_763_719_200_000 + seq };
  if (seq === RUN)
    return fixedEvent('log.exported', {
      ...base,
      detail: { ...given, count: oursIn(0, TO), first: 0, last: TO - 1 },
    } as never);
  if (seq === CHOICE)
    return fixedEvent('log.exported', {
      ...base,
      detail: { ...given, count: 3, first: 8, last: 11 },
    } as never);
  if (seq === SHARED) return fixedEvent('log.pruned', base as never);
  if (ownerOf(seq) === 'installation') return fixedEvent('installation.created', base as never);
  return fixedEvent('recording.viewed', {
    ...base,
    organisation: ownerOf(seq) === 'ours' ? OURS : THEIRS,
  } as never);
};

const entries = Array.from({ length: SIZE }, (_, seq) => storedEntry(seq, eventAt(seq)));
const leaves = entries.map(storedLeaf);
const log: MemoryLog = { leaves, entries, ...treeOver(leaves, [1]) };

const shown = (file: string, bytes: Buffer): ShownFile => {
  const showing = createShowing();
  const verifier = createExportVerifier({ onEntry: showing.meet });
  verifier.push(bytes);
  const verdict = verifier.finish();
  expect(verdict.faults).toEqual([]);
  return { file, verdict, showing };
};
type Wanted = {
  from?: number;
  to?: number;
  size?: number;
  entry?: number;
  withheld?: (seq: number) => boolean;
};
const run = (file: string, { size = SIZE, ...wanted }: Wanted = {}): ShownFile =>
  shown(
    file,
    rangeFile(log, {
      withheld: (seq) => !isOurs(seq),
      ...wanted,
      size,
      ...(wanted.to === undefined ? { to: size } : {}),
      checkpoint: { size, signers: [own] },
    }),
  );
const choice = (file: string, seqs: readonly number[]): ShownFile =>
  shown(
    file,
    fileOf(selectionLines(log, seqs, { size: CHOICE, checkpoint: { size: CHOICE, signers: [own] } })),
  );
const found = (...files: ShownFile[]) => files.map((file) => disagreement(file, files));

const first = run('first', { size: RUN, to: TO });
const later = run('later');
const without =
  (...seqs: number[]) =>
  (seq: number): boolean =>
    !isOurs(seq) || seqs.includes(seq);

test('files that are as they were given agree, whoever reads them', () => {
  const theirs = run('theirs', { withheld: (seq) => !isFor('theirs', seq) });
  const auditor = run('auditor', { withheld: (seq) => !isFor('installation', seq) });
  const middle = run('middle', { from: 500, to: 700 });
  expect(found(first, later, theirs, auditor, middle, choice('choice', chosen))).toEqual(
    Array.from({ length: 6 }, () => []),
  );
  expect(isToldOf(first, [first, later])).toBe(true);
  expect(isToldOf(later, [first, later])).toBe(false);
});

describe('H-5 a body is taken out, and its commitment left: the file alone verifies', () => {
  test('another file shows it to the same readers', () => {
    const cut = run('cut', { withheld: without(514, 10) });
    const fault = { kind: 'export', index: 10, message: expect.stringContaining('later shows it') };
    expect(found(cut, later)).toEqual([[fault], []]);
    expect(found(later, cut)).toEqual([[], [fault]]);
    expect(found(cut, choice('choice', chosen))[0]).toEqual([
      { ...fault, message: expect.stringContaining('choice shows it') },
    ]);
  });

  test('what is about the log itself is shown to everybody', () => {
    const cut = run('cut', { size: RUN, withheld: (seq) => seq === SHARED || !isFor('theirs', seq) });
    expect(found(cut, later)[0]?.[0]).toMatchObject({ kind: 'export', index: SHARED });
    // Who reads the file cannot be told where no other body is left.
    expect(found(run('bare', { withheld: () => true }), later)[0]).toMatchObject([{ index: SHARED }]);
  });

  test('more was given than the file says, and less', () => {
    const theirs = run('theirs', { size: RUN, to: TO, withheld: (seq) => !isFor('theirs', seq) });
    expect(found(theirs, later)[0]).toMatchObject([{ index: RUN }]);
    const everything = run('everything', { size: RUN, to: TO, withheld: () => false });
    expect(found(everything, run('tail', { from: RUN }))[0]).toMatchObject([{ index: RUN }]);
  });

  test('where the other shows nothing of it, the log’s own entry counts', () => {
    const cut = run('cut', { size: RUN, to: TO, withheld: without(10) });
    const tail = run('tail', { from: RUN });
    expect(found(cut, tail)).toEqual([
      [
        {
          kind: 'export',
          index: RUN,
          message: expect.stringContaining(`says that ${oursIn(0, TO)} were given`),
        },
      ],
      [],
    ]);
    expect(found(first, tail)).toEqual([[], []]);
  });

  test('every body is taken out, so that nobody knows whose file it was', () => {
    const bare = run('bare', { size: RUN, to: TO, withheld: () => true });
    expect(found(bare, later)[0]).toMatchObject([{ index: SHARED }, { index: RUN }]);
  });

  test('an entry is left out of a choice', () => {
    expect(found(choice('choice', chosen), later)).toEqual([[], []]);
    expect(found(choice('cut', chosen.slice(1)), later)[0]).toMatchObject([
      { kind: 'export', index: CHOICE },
    ]);
  });

  test('the file calls itself another export: the entry that it names is about another run, or about none', () => {
    expect(found(run('other', { size: RUN, to: TO - 1 }), later)[0]).toMatchObject([{ index: RUN }]);
    expect(found(run('none', { size: RUN - 1 }), later)[0]).toMatchObject([
      { index: RUN - 1, message: expect.stringContaining('is not about an export') },
    ]);
  });
});

describe('H-5 a body is taken out, and the header names another entry than the one that tells of it', () => {
  const forged = (entry: number) => run('forged', { size: RUN, to: TO, entry, withheld: without(10) });
  const tail = run('tail', { from: RUN });

  test('one that the log has not: nobody takes it for counted, and the export that it was is named', () => {
    const file = forged(999_999);
    expect(found(file, tail)).toEqual([[], []]);
    expect(isToldOf(file, [file, tail])).toBe(false);
    expect(largerTellings(file, [file, tail])).toEqual([{ file: 'tail', entry: RUN, count: oursIn(0, TO) }]);
  });

  test('one that another file has withheld, or that only another log or an unsound file shows', () => {
    const file = forged(RUN);
    const { origin: _, ...rest } = tail.verdict;
    const elsewhere = { ...tail, verdict: { ...rest, origin: 'another' } };
    const unsound = { ...tail, verdict: { ...tail.verdict, ok: false } };
    const hidden = run('hidden', { from: RUN, withheld: (seq) => seq === RUN });
    for (const other of [elsewhere, unsound, hidden]) expect(isToldOf(file, [file, other])).toBe(false);
    expect(isToldOf(file, [file, tail])).toBe(true);
    expect(largerTellings(forged(999_999), [file, elsewhere, hidden])).toEqual([]);
  });

  test('one about something else', () => {
    expect(found(forged(RUN + 2), tail)[0]).toMatchObject([
      { index: RUN + 2, message: expect.stringContaining('is not about an export') },
    ]);
  });

  test('two honest exports of the same run are each told of, and neither is named beside the other', () => {
    const again = run('again', { to: TO, entry: SIZE });
    const files = [
      first,
      again,
      later,
      tail,
      run('theirs', { to: TO, withheld: (seq) => !isFor('theirs', seq) }),
    ];
    expect(found(...files)).toEqual(files.map(() => []));
    expect(files.map((file) => largerTellings(file, files))).toEqual(files.map(() => []));
    expect(isToldOf(again, files)).toBe(false);
  });

  test('with no body left nobody knows whose it was: every larger one of its run is named', () => {
    const bare = run('bare', { size: RUN, to: TO, entry: SIZE, withheld: () => true });
    expect(largerTellings(bare, [bare, later])).toMatchObject([{ entry: RUN }]);
    const shorter = run('shorter', { size: RUN, to: TO - 1, entry: SIZE, withheld: () => true });
    expect(largerTellings(shorter, [shorter, later])).toEqual([]);
  });
});

test('a file of another log says nothing about this one', () => {
  const cut = run('cut', { withheld: without(10) });
  const other = { ...later, verdict: { ...later.verdict, origin: 'another' } };
  const nameless = { ...later, verdict: { ...later.verdict, origin: null } };
  expect(found(cut, other, nameless)).toEqual([[], [], []]);
  // Where no checkpoint names the log there is no telling whether two are of the same.
  expect(found({ ...cut, verdict: { ...cut.verdict, origin: null } }, nameless)).toEqual([[], []]);
});
