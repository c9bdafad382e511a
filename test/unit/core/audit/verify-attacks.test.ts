import { describe, expect, test } from 'vitest';
import { commitmentOf } from '../../../../src/core/audit/commitment.ts';
import { fixedId } from '../../../support/audit-events.ts';
import { changed, first, verdictOf } from '../../../support/log-verdict.ts';
import { eventAt, type MemoryLog, storedEntry, storedLeaf, treeOver } from '../../../support/memory-log.ts';

const attacks: [string, (log: MemoryLog) => void, { index: number | null; kind: string }][] = [
  [
    'a body edited',
    (log) => {
      log.entries[70] = { ...log.entries[70]!, body: log.entries[71]!.body };
    },
    { index: 70, kind: 'body' },
  ],
  [
    'a salt edited',
    (log) => {
      log.entries[70] = { ...log.entries[70]!, salt: Buffer.alloc(32) };
    },
    { index: 70, kind: 'body' },
  ],
  [
    'a salt of another length',
    (log) => {
      log.entries[70] = { ...log.entries[70]!, salt: Buffer.alloc(31) };
    },
    { index: 70, kind: 'body' },
  ],
  [
    'a body deleted',
    (log) => {
      log.entries.splice(70, 1);
    },
    { index: 70, kind: 'body' },
  ],
  [
    'body and commitment edited together',
    (log) => {
      log.entries[70] = storedEntry(70, { ...eventAt(70), outcome: 'denied' });
      log.leaves[70] = storedLeaf(log.entries[70]);
    },
    { index: 70, kind: 'tree' },
  ],
  [
    'a commitment edited',
    (log) => {
      log.leaves[70] = { ...log.leaves[70]!, commitment: Buffer.alloc(32) };
    },
    { index: 70, kind: 'body' },
  ],
  [
    'a commitment of another length',
    (log) => {
      log.leaves[70] = { ...log.leaves[70]!, commitment: Buffer.alloc(31) };
    },
    { index: 70, kind: 'leaf' },
  ],
  [
    'an entry deleted',
    (log) => {
      log.leaves.splice(70, 1);
      log.entries.splice(70, 1);
    },
    { index: 70, kind: 'leaf' },
  ],
  [
    'a leaf deleted',
    (log) => {
      log.leaves.splice(70, 1);
    },
    { index: 70, kind: 'leaf' },
  ],
  [
    'an event id exchanged',
    (log) => {
      log.leaves[70] = { ...log.leaves[70]!, eventId: fixedId(7) };
    },
    { index: 70, kind: 'columns' },
  ],
  [
    'a search column edited',
    (log) => {
      log.entries[70] = { ...log.entries[70]!, facts: { ...log.entries[70]!.facts!, actor: fixedId(8) } };
    },
    { index: 70, kind: 'columns' },
  ],
  [
    'a time column edited',
    (log) => {
      log.entries[70] = { ...log.entries[70]!, facts: { ...log.entries[70]!.facts!, at: 0 } };
    },
    { index: 70, kind: 'columns' },
  ],
  [
    'a committed body that is no entry',
    (log) => {
      const body = '{"v":1,"note":"planted"}';
      const salt = log.entries[70]!.salt;
      log.entries[70] = { seq: 70, salt, body, facts: null };
      log.leaves[70] = { seq: 70, commitment: commitmentOf(salt, body), eventId: fixedId(1) };
      Object.assign(log, treeOver(log.leaves, [1, 3, 2]));
    },
    { index: 70, kind: 'form' },
  ],
  [
    'two entries swapped',
    (log) => {
      const [a, b] = [log.entries[70]!, log.entries[72]!];
      [log.entries[70], log.entries[72]] = [
        { ...b, seq: 70 },
        { ...a, seq: 72 },
      ];
      [log.leaves[70], log.leaves[72]] = [storedLeaf(log.entries[70]!), storedLeaf(log.entries[72]!)];
    },
    { index: 70, kind: 'tree' },
  ],
  [
    'a record of an append deleted',
    (log) => {
      log.batches.splice(20, 1);
    },
    { index: 40, kind: 'batch' },
  ],
  [
    'a record of an append twice',
    (log) => {
      log.batches.splice(20, 0, log.batches[20]!);
    },
    { index: 40, kind: 'batch' },
  ],
  [
    'the last record deleted',
    (log) => {
      log.batches.pop();
    },
    { index: 529, kind: 'batch' },
  ],
  [
    'a root edited',
    (log) => {
      log.batches[20] = { ...log.batches[20]!, root: Buffer.alloc(32) };
    },
    { index: 40, kind: 'tree' },
  ],
  [
    'a range edited',
    (log) => {
      const range = Buffer.from(log.batches[20]!.range);
      range[0]! ^= 1;
      log.batches[20] = { ...log.batches[20]!, range };
    },
    { index: 40, kind: 'tree' },
  ],
  [
    'a range cut',
    (log) => {
      log.batches[20] = { ...log.batches[20]!, range: log.batches[20]!.range.subarray(32) };
    },
    { index: 40, kind: 'tree' },
  ],
  [
    'a node edited',
    (log) => {
      log.nodes[1] = { ...log.nodes[1]!, hash: Buffer.alloc(32) };
    },
    { index: 256, kind: 'tree' },
  ],
  [
    'a node deleted',
    (log) => {
      log.nodes.pop();
    },
    { index: 256, kind: 'tree' },
  ],
  [
    'a node planted',
    (log) => {
      log.nodes.push({ level: 4, index: 0, hash: Buffer.alloc(32) });
    },
    { index: null, kind: 'beyond' },
  ],
];

describe('what was done to the log is found, at its first place', () => {
  test.each(attacks)('%s', (_, attack, expected) => {
    const verdict = verdictOf(changed(attack), { pageSize: 65_536 });
    expect(first(verdict)).toEqual({ ok: false, ...expected });
    expect(verdict.faultCount).toBeGreaterThanOrEqual(verdict.faults.length);
  });

  test.each(attacks.slice(0, -1))('%s, in pages of one', (_, attack, expected) => {
    expect(first(verdictOf(changed(attack), { pageSize: 1 }))).toEqual({ ok: false, ...expected });
  });
});
