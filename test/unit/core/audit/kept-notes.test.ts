import { describe, expect, test } from 'vitest';
import { type KeptFile, readKeptNotes } from '../../../../src/core/audit/kept-notes.ts';
import { keyTypes } from '../../../../src/core/audit/note.ts';
import { trustNobody } from '../../../../src/core/audit/trust.ts';
import { newKey, noteOf, ORIGIN, treeOf } from '../../../support/export-file.ts';
import { createMemoryLog, eventAt, storedEntry, storedLeaf } from '../../../support/memory-log.ts';

const log = createMemoryLog(40);
const forged = createMemoryLog(40);
forged.entries[3] = storedEntry(3, { ...eventAt(3), outcome: 'denied' });
forged.leaves[3] = storedLeaf(forged.entries[3]);

const own = newKey(ORIGIN);
const other = newKey(ORIGIN);
const witness = newKey('witness.test', keyTypes.cosignature);
const trust = { keys: [own.key], witnesses: [witness.key], quorum: 0 };

const nameOf = (size: number): string => String(size).padStart(16, '0');
const kept = (
  size: number,
  differing: Partial<KeptFile> & { of?: typeof log; signers?: (typeof own)[] } = {},
): KeptFile => {
  const { of = log, signers = [own], ...rest } = differing;
  return { name: nameOf(size), text: noteOf(of, size, signers), writtenAt: size, ...rest };
};
const anchor = (size: number, of = log) => ({
  size,
  root: treeOf(of).root(size).toString('hex'),
  from: `in ${nameOf(size)}`,
});
const kinds = (files: readonly KeptFile[], trusted = trust) =>
  readKeptNotes(files, trusted).faults.map(({ kind, message }) => [kind, message]);

test('every checkpoint is a head that the log must contain', () => {
  expect(readKeptNotes([kept(30), kept(2), kept(7)], trust)).toEqual({
    anchors: [anchor(2), anchor(7), anchor(30)],
    notes: 3,
    faultCount: 0,
    faults: [],
  });
  expect(readKeptNotes([], trust)).toMatchObject({ anchors: [], notes: 0, faultCount: 0 });
});

test('the same note twice, in another folder, is one', () => {
  const files = [kept(30), kept(30, { name: `copy/${nameOf(30)}`, writtenAt: 99 })];
  expect(readKeptNotes(files, trust)).toMatchObject({ anchors: [anchor(30)], faultCount: 0 });
});

describe('H-5 two for one size', () => {
  test.each([
    ['the honest one is older', 5, 9, log],
    ['the forged one is older', 9, 5, forged],
  ])('%s: that counts, and the fork is named', (_what, honest, later, believed) => {
    const files = [kept(30, { writtenAt: honest }), kept(30, { name: 'b', of: forged, writtenAt: later })];
    const { anchors, faults } = readKeptNotes(files, trust);
    expect(anchors.map(({ root }) => root)).toEqual([anchor(30, believed).root]);
    expect(faults).toEqual([{ kind: 'anchor', index: null, message: expect.stringContaining('forked') }]);
  });
});

test('H-5 signed by another key: named, and no head', () => {
  const { anchors, faults } = readKeptNotes([kept(30, { of: forged, signers: [other] }), kept(7)], trust);
  expect(anchors).toEqual([anchor(7)]);
  const id = other.key.id.toString('hex');
  expect(faults).toEqual([
    { kind: 'signature', index: null, message: expect.stringContaining(`${nameOf(30)} is not signed`) },
  ]);
  expect(faults[0]?.message).toContain(`${ORIGIN}+${id}`);
});

test('without a key nobody’s signature is asked for, and the oldest still counts', () => {
  const files = [kept(30), kept(30, { name: 'b', of: forged, signers: [other], writtenAt: 99 })];
  const { anchors, faults } = readKeptNotes(files, trustNobody);
  expect([anchors, faults.length]).toEqual([[anchor(30)], 1]);
});

describe('the same note lies beside a checkpoint once for each witness, with its line', () => {
  const second = newKey('second.test', keyTypes.cosignature);
  const asking = { ...trust, witnesses: [witness.key, second.key], quorum: 2 };
  const beside = (signer: typeof witness, id: string) =>
    kept(30, { name: `${nameOf(30)}.${id}`, text: noteOf(log, 30, [own, signer]), writtenAt: 31 });

  test('all of them count together', () => {
    const files = [kept(30), beside(witness, '0badcafe'), beside(second, '0badbeef')];
    expect(readKeptNotes(files, asking)).toMatchObject({ anchors: [anchor(30)], notes: 1, faultCount: 0 });
    expect(kinds(files.slice(0, 2), asking)).toEqual([['signature', expect.stringContaining('seen by 1')]]);
  });

  test('H-5 one of another tree stands for itself: the fork is named', () => {
    const other = kept(30, {
      name: `${nameOf(30)}.0badcafe`,
      of: forged,
      signers: [own, witness],
      writtenAt: 31,
    });
    expect(kinds([kept(30), other])).toEqual([['anchor', expect.stringContaining('forked')]]);
    expect(readKeptNotes([other], trust)).toMatchObject({ notes: 1, faultCount: 0 });
  });

  test('lines alone are no checkpoint', () => {
    const lines = noteOf(log, 30, [own, witness]).slice(noteOf(log, 30, [own]).length);
    const alone = { name: `${nameOf(30)}.0badcafe`, text: lines, writtenAt: 31 };
    expect(kinds([kept(30), alone])).toEqual([
      ['signature', expect.stringContaining('is no signed checkpoint')],
    ]);
  });
});

test('another log’s checkpoint, signed by the trusted key, is no head, also where it is the only one', () => {
  const text = noteOf(log, 30, [own], 'callvault.other');
  const { anchors, faults } = readKeptNotes([kept(30, { text })], trust);
  expect([anchors, faults.map(({ kind }) => kind)]).toEqual([[], ['signature']]);
});

test.each<[string, Partial<KeptFile>]>([
  ['nothing', { text: '' }],
  ['no note', { text: 'hello\n' }],
  ['another size than its name says', { text: noteOf(log, 29, [own]) }],
  ['a text that was edited', { text: noteOf(log, 30, [own]).replace('\n30\n', '\n31\n') }],
  ['a signature cut short', { text: noteOf(log, 30, [own]).slice(0, -9) }],
  ['more than a note has', { text: noteOf(log, 30, [own]).padEnd(70_000, 'x') }],
  ['another log’s, signed by the trusted key', { text: noteOf(log, 30, [own], 'callvault.other') }],
])('%s is named, and no head', (_what, differing) => {
  const { anchors, faults } = readKeptNotes([kept(30, differing), kept(7)], trust);
  expect([anchors, faults.map(({ kind }) => kind)]).toEqual([[anchor(7)], ['signature']]);
});
