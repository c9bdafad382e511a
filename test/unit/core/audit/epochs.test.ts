import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { epochOrigin, parseOrigin } from '../../../../src/core/audit/checkpoint.ts';
import { leafOf } from '../../../../src/core/audit/commitment.ts';
import { createEpochs } from '../../../../src/core/audit/epochs.ts';
import { createFaultList } from '../../../../src/core/audit/fault.ts';
import { type CompactRange, emptyRange, extendRange, rootOf } from '../../../../src/core/audit/merkle.ts';
import { createVerifier } from '../../../../src/core/audit/verify.ts';
import type { EventDetails } from '../../../../src/core/events.ts';
import { fixedEvent, fixedId } from '../../../support/audit-events.ts';
import { eventAt, pagesOf, storedEntry, storedLeaf, treeOver } from '../../../support/memory-log.ts';

const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();
const hex = (text: string): string => hashOf(text).toString('hex');

const range = (size: number): CompactRange =>
  extendRange(
    emptyRange,
    Array.from({ length: size }, (_, i) => leafOf(hashOf(`${i}`))),
  );

const HEAD = 100;
const before = range(HEAD);
const sound: EventDetails['log.epoch_opened'] = {
  epoch: 2,
  anchoredSize: 120,
  anchoredRoot: hex('anchored'),
  headSize: HEAD,
  headRoot: rootOf(before).toString('hex'),
  lostFrom: 90,
  lostTo: 120,
  reason: 'The disk failed',
  approvers: [fixedId(21), fixedId(22)],
};

const meet = (differing: Partial<EventDetails['log.epoch_opened']>, event: object = {}) => {
  const epochs = createEpochs();
  const faults = createFaultList();
  epochs.meet(
    HEAD,
    fixedEvent('log.epoch_opened', { detail: { ...sound, ...differing }, ...event } as never),
    before,
    faults,
  );
  return { epochs, faults: faults.sorted() };
};

test('an epoch is told: where, when, what was lost, who answers for it; never the free text', () => {
  const { epochs, faults } = meet({});
  expect(faults).toEqual([]);
  const { reason: _, ...detail } = sound;
  expect(epochs.told()).toEqual([{ seq: HEAD, at: 1_763_719_200_000, ...detail }]);
});

describe('what it explains', () => {
  const { epochs } = meet({});
  test.each([
    ['the end of what was lost, with its root', { size: 120, root: hex('anchored') }, true],
    ['the same end with another root', { size: 120, root: hex('other') }, false],
    ['within what was lost', { size: 119, root: hex('any') }, true],
    ['the first that was lost', { size: 91, root: hex('any') }, true],
    ['the last that was not', { size: 90, root: hex('any') }, false],
    ['before it', { size: 10, root: hex('any') }, false],
    ['beyond it', { size: 121, root: hex('any') }, false],
    ['a checkpoint of the new epoch', { size: 110, root: hex('any'), epoch: 2 }, false],
    ['a checkpoint of the old epoch, by name', { size: 110, root: hex('any'), epoch: 1 }, true],
  ])('%s', (_, anchor, explained) => {
    expect(epochs.explains(anchor)).toBe(explained);
  });
});

test('two lost epochs that came equally far: the entry names one of them', () => {
  const { epochs } = meet({ epoch: 3 });
  expect(epochs.explains({ size: 120, root: hex('of the second'), epoch: 2 })).toBe(true);
  expect(epochs.explains({ size: 121, root: hex('of the second'), epoch: 2 })).toBe(false);
  expect(epochs.explains({ size: 120, root: hex('of the second') })).toBe(false);
});

describe('an entry that opens an epoch wrongly is a fault, and explains nothing', () => {
  test.each([
    ['another size', { headSize: HEAD - 1 }],
    ['another root', { headRoot: hex('x') }],
    ['a number that no epoch has', { epoch: 1 }],
    ['one approver twice', { approvers: [fixedId(21), fixedId(21)] }],
    ['one approver', { approvers: [fixedId(21)] }],
    ['nothing lost', { lostFrom: 120 }],
    ['an end that is not the anchor', { lostTo: 119 }],
    ['a beginning behind the log', { lostFrom: HEAD + 1 }],
  ])('%s', (_, differing) => {
    const { epochs, faults } = meet(differing);
    expect(faults).toMatchObject([{ kind: 'anchor', index: HEAD }]);
    expect([epochs.told(), epochs.explains({ size: 119, root: hex('any') })]).toEqual([[], false]);
  });

  test('the numbers rise; one may be missing in between', () => {
    const epochs = createEpochs();
    const faults = createFaultList();
    for (const epoch of [4, 6, 6, 5])
      epochs.meet(
        HEAD,
        fixedEvent('log.epoch_opened', { detail: { ...sound, epoch } } as never),
        before,
        faults,
      );
    expect(epochs.told().map(({ epoch }) => epoch)).toEqual([4, 6]);
    expect(faults.count()).toBe(2);
  });

  test('one that failed is none', () => {
    const { epochs, faults } = meet({}, { outcome: 'failed' });
    expect([epochs.told(), faults]).toEqual([[], []]);
  });
});

describe('a whole log', () => {
  const OPENED = 60;
  const entries = Array.from({ length: OPENED }, (_, seq) => storedEntry(seq, eventAt(seq)));
  const rootAt = (size: number): string => {
    const leaves = entries.slice(0, size).map(storedLeaf);
    return rootOf(
      extendRange(
        emptyRange,
        leaves.map(({ commitment }) => leafOf(commitment)),
      ),
    ).toString('hex');
  };
  const opening = storedEntry(
    OPENED,
    fixedEvent('log.epoch_opened', {
      id: fixedId(900),
      detail: {
        ...sound,
        headSize: OPENED,
        headRoot: rootAt(OPENED),
        lostFrom: 50,
        lostTo: 70,
        anchoredSize: 70,
      },
    } as never),
  );
  const all = [...entries, opening, storedEntry(61, eventAt(61))];
  const leaves = all.map(storedLeaf);
  const log = { leaves, entries: all, ...treeOver(leaves, [7]) };
  const verdict = (anchors: Parameters<typeof createVerifier>[0]) => {
    const verifier = createVerifier(anchors);
    for (const page of pagesOf(log, all.length, 16)) verifier.page(page);
    return verifier.finish([]);
  };

  test('with the checkpoints of both epochs: sound, and the epoch is told', () => {
    const found = verdict([
      { size: 50, root: rootAt(50) },
      { size: 55, root: hex('lost') },
      { size: 70, root: hex('anchored') },
      { size: 62, root: verdict([]).root, epoch: 2 },
    ]);
    expect(found).toMatchObject({
      ok: true,
      faults: [],
      epochs: [{ seq: OPENED, epoch: 2, lostFrom: 50, lostTo: 70 }],
    });
  });

  test('a head beyond, a head before, and a head of the new epoch are not explained', () => {
    for (const anchor of [
      { size: 71, root: hex('x') },
      { size: 50, root: hex('x') },
      { size: 55, root: hex('x'), epoch: 2 },
      { size: 65, root: hex('x'), epoch: 2 },
    ])
      expect(verdict([anchor])).toMatchObject({
        ok: false,
        faults: [{ kind: 'anchor' }],
        epochs: [{ epoch: 2 }],
      });
  });
});

test.each([
  ['callvault.a', 1, 'callvault.a'],
  ['callvault.a', 2, 'callvault.a/epoch-2'],
  ['callvault.a', 10, 'callvault.a/epoch-10'],
])('the origin of %s in epoch %i', (log, epoch, origin) => {
  expect(epochOrigin(log, epoch)).toBe(origin);
  expect(parseOrigin(origin)).toEqual({ log, epoch });
});

test.each(['a/epoch-1', 'a/epoch-0', 'a/epoch-02', 'a/epoch-', 'a/epoch-2x', '/epoch-2'])(
  '%s has no suffix of ours',
  (origin) => {
    expect(parseOrigin(origin)).toEqual({ log: origin, epoch: 1 });
  },
);
