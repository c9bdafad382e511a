import { describe, expect, test } from 'vitest';
import type { ExportLine } from '../../../../src/core/audit/export-format.ts';
import { readKeptNotes } from '../../../../src/core/audit/kept-notes.ts';
import { fixedEvent, fixedId } from '../../../support/audit-events.ts';
import { noteOf, rangeFile } from '../../../support/export-file.ts';
import {
  anchorAt,
  changedLog,
  forgedAt,
  found,
  log,
  own,
  SIZE,
  trust,
  verdictOf,
  witness,
} from '../../../support/export-verdict.ts';
import { eventAt, type MemoryLog, storedEntry, storedLeaf } from '../../../support/memory-log.ts';

/** What an export tells of the log's own past: bodies removed, times, a new beginning. */
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
