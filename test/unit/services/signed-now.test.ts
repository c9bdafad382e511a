import { expect, test } from 'vitest';
import { keyTypes } from '../../../src/core/audit/note.ts';
import { cosignedNote } from '../../../src/services/signed-now.ts';
import { newKey, noteOf, ORIGIN } from '../../support/export-file.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const log = createMemoryLog(3);
const own = newKey(ORIGIN);
const witness = newKey('witness.test', keyTypes.cosignature);
const bare = noteOf(log, 3, [own]);
const seen = noteOf(log, 3, [own, witness]);

/** What the database answers, one look after the other; the last one repeats. */
const answering = (witnesses: number, ...notes: (string | null)[]) => {
  let looks = 0;
  return {
    looks: () => looks,
    evidence: {
      witnesses: async () => witnesses,
      checkpoint: async () => notes[Math.min(looks++, notes.length - 1)] ?? null,
    },
  };
};

test('a witness that stood under the last checkpoint is waited for', async () => {
  const { evidence, looks } = answering(1, bare, bare, seen);
  expect([await cosignedNote(evidence, 3), looks()]).toEqual([seen, 3]);
});

test('where there are none, or no checkpoint, nobody waits', async () => {
  for (const [witnesses, note] of [
    [0, bare],
    [1, null],
    [1, seen],
    [1, 'no note'],
  ] as const) {
    const { evidence, looks } = answering(witnesses, note);
    expect([await cosignedNote(evidence, 3), looks()]).toEqual([note, 1]);
  }
});

test('a witness that is away is not waited for longer than two seconds', async () => {
  const { evidence, looks } = answering(1, bare);
  expect(await cosignedNote(evidence, 3)).toBe(bare);
  expect(looks()).toBe(21);
});
