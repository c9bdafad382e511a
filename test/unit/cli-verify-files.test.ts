import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyFiles } from '../../src/cli/verify-files.ts';
import { formatHeader } from '../../src/core/audit/export-format.ts';
import { readKeptNotes } from '../../src/core/audit/kept-notes.ts';
import { fixedEvent, fixedId } from '../support/audit-events.ts';
import {
  fileOf,
  newKey,
  noteOf,
  ORIGIN,
  rangeFile,
  rangeHeader,
  rangeLines,
  treeOf,
} from '../support/export-file.ts';
import { createMemoryLog, eventAt, type MemoryLog, storedEntry, storedLeaf } from '../support/memory-log.ts';

/** Exports of before and after a restore, beside the checkpoints of both epochs. */
const NEW_ORIGIN = `${ORIGIN}/epoch-2`;
const [first, second] = [newKey(ORIGIN), newKey(NEW_ORIGIN)];
const trust = { keys: [first.key, second.key], witnesses: [], quorum: 0 };
/** The restored log had 60 entries, of which the first 50 are under a checkpoint that is known; 90 were known. */
const [SHARED, FOUND, LOST, NOW] = [50, 60, 90, 120];

const changed = (log: MemoryLog, seq: number, entry = storedEntry(seq, eventAt(seq + 1000))): MemoryLog => ({
  ...log,
  entries: log.entries.with(seq, entry),
  leaves: log.leaves.with(seq, storedLeaf(entry)),
});

const before = createMemoryLog(LOST);
const rootAt = (log: MemoryLog, size: number): string => treeOf(log).root(size).toString('hex');
const restored = createMemoryLog(NOW);
const after = changed(
  restored,
  FOUND,
  storedEntry(
    FOUND,
    fixedEvent('log.epoch_opened', {
      id: fixedId(5000),
      detail: {
        ...{ epoch: 2, anchoredSize: LOST, anchoredRoot: rootAt(before, LOST) },
        ...{ headSize: FOUND, headRoot: rootAt(restored, FOUND), lostFrom: SHARED, lostTo: LOST },
        ...{ reason: 'restore', approvers: [fixedId(1), fixedId(2)] },
      },
    }),
  ),
);

const kept = (log: MemoryLog, size: number, origin: string) => ({
  name: `${origin === ORIGIN ? '' : 'epoch-2/'}${String(size).padStart(16, '0')}`,
  text: noteOf(log, size, [origin === ORIGIN ? first : second], origin),
  writtenAt: 0,
});
const notes = [
  ...[10, SHARED, 70, LOST].map((size) => kept(before, size, ORIGIN)),
  ...[FOUND + 1, 80, NOW].map((size) => kept(after, size, NEW_ORIGIN)),
];
const anchors = readKeptNotes(notes, trust).anchors;

const ofNewEpoch = (log: MemoryLog): Buffer => {
  const checkpoint = noteOf(log, NOW, [second], NEW_ORIGIN);
  const header = { ...rangeHeader(log), origin: NEW_ORIGIN, checkpoint };
  return fileOf([formatHeader(header), ...rangeLines(log).slice(1)]);
};
const ofOldEpoch = (log: MemoryLog): Buffer =>
  rangeFile(log, { checkpoint: { size: LOST, signers: [first] } });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cvf-'));
});
afterAll(() => rm(folder, { recursive: true }));

const save = async (name: string, bytes: Buffer): Promise<string> => {
  await writeFile(join(folder, name), bytes);
  return join(folder, name);
};
const verified = async (files: readonly string[], known = anchors) =>
  (await verifyFiles(files, { trust, anchors: known })).map(({ ok, faults, uncompared }) => ({
    ok,
    kinds: faults.map(({ kind }) => kind),
    uncompared,
  }));
const fine = (uncompared: number) => ({ ok: true, kinds: [], uncompared });

describe('an export of before the restore', () => {
  test('beside one that tells of the new epoch: what is known of that epoch says nothing about it', async () => {
    const files = [await save('old', ofOldEpoch(before)), await save('new', ofNewEpoch(after))];
    expect(await verified(files)).toEqual([fine(3), fine(0)]);
    expect(await verified(files.toReversed())).toEqual([fine(0), fine(3)]);
  });

  test('H-5 by itself nothing explains why the newer checkpoints are not in it', async () => {
    const [alone] = await verified([await save('old', ofOldEpoch(before))]);
    expect(alone).toMatchObject({ ok: false, kinds: ['anchor'] });
  });

  test('H-5 changed where both epochs are the same: found', async () => {
    const files = [await save('bent', ofOldEpoch(changed(before, 30))), await save('new', ofNewEpoch(after))];
    // As the vault's own key never signed it, and by a head of the new epoch that lies before what was lost.
    const early = [{ size: 40, root: rootAt(after, 40), epoch: 2 }];
    expect((await verified(files, early))[0]).toMatchObject({ ok: false, kinds: ['anchor'] });
    expect((await verified(files))[0]).toMatchObject({ ok: false });
  });

  test('H-5 a new epoch that is not believed explains nothing', async () => {
    const broken = changed(after, NOW - 1);
    const file = await save(
      'broken',
      fileOf([...rangeLines(after).slice(0, -1), ...rangeLines(broken).slice(-1)]),
    );
    const [old, fresh] = await verified([await save('old', ofOldEpoch(before)), file]);
    expect(fresh?.ok).toBe(false);
    expect(old).toMatchObject({ ok: false, kinds: ['anchor'] });
  });
});
