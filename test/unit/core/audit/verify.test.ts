import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extendByCommitments } from '../../../../src/core/audit/head.ts';
import { emptyRange, rootOf } from '../../../../src/core/audit/merkle.ts';
import { createVerifier, verifyLog } from '../../../../src/core/audit/verify.ts';
import { changed, first, SIZE, verdictOf } from '../../../support/log-verdict.ts';
import {
  createMemoryLog,
  eventAt,
  type MemoryLog,
  pagesOf,
  storedEntry,
  storedLeaf,
  treeOver,
} from '../../../support/memory-log.ts';

describe('a sound log', () => {
  test.each([1, 7, 64, 255, 256, 10_000])('verifies in pages of %i', (pageSize) => {
    const log = createMemoryLog(SIZE);
    const verdict = verdictOf(log, { pageSize });
    const root = rootOf(
      extendByCommitments(
        emptyRange,
        log.leaves.map(({ commitment }) => commitment),
      ),
    );
    expect(verdict).toEqual({
      ok: true,
      size: SIZE,
      root: root.toString('hex'),
      bodies: SIZE,
      pruned: 0,
      epochs: [],
      faultCount: 0,
      faults: [],
    });
  });

  test('an empty log verifies, with the root of nothing', async () => {
    expect(await verifyLog({ pages: [] })).toMatchObject({
      ok: true,
      size: 0,
      root: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    });
  });

  test.each([[[1]], [[SIZE]], [[2, 300]]])('whatever its batches were: %j', (batchSizes) => {
    expect(verdictOf(createMemoryLog(SIZE, batchSizes)).ok).toBe(true);
  });

  test('contains the heads known from elsewhere, in whatever order they come', () => {
    const log = createMemoryLog(SIZE, [1]);
    const anchors = [529, 0, 1, 256, 530].map((size) => ({
      size,
      root: rootOf(
        extendByCommitments(
          emptyRange,
          log.leaves.slice(0, size).map((leaf) => leaf.commitment),
        ),
      ).toString('hex'),
    }));
    expect(verdictOf(log, { anchors }).faults).toEqual([]);
  });

  test('comes from an asynchronous source as well', async () => {
    const pages = (async function* () {
      yield* pagesOf(createMemoryLog(100), 100, 33);
    })();
    expect(await verifyLog({ pages, strays: async () => [] })).toMatchObject({
      ok: true,
      size: 100,
      bodies: 100,
    });
  });

  test('pages that do not follow each other are an error of the source, not a finding', () => {
    const [, second] = pagesOf(createMemoryLog(100), 100, 50);
    expect(() => createVerifier().page(second!)).toThrow(RangeError);
  });
});

describe('what only something outside of the log, or all of it, tells', () => {
  test('everything rewritten consistently from one place on: only a head known from elsewhere tells', () => {
    const honest = createMemoryLog(SIZE, [1]);
    const known = honest.batches[299]!;
    const forged = createMemoryLog(SIZE, [1]);
    forged.entries[200] = storedEntry(200, { ...eventAt(200), outcome: 'denied' });
    forged.leaves[200] = storedLeaf(forged.entries[200]);
    Object.assign(forged, treeOver(forged.leaves, [1]));
    expect(verdictOf(forged).ok).toBe(true);
    const anchors = [{ size: 300, root: known.root.toString('hex') }];
    expect(first(verdictOf(forged, { anchors }))).toEqual({ ok: false, index: 0, kind: 'anchor' });
    expect(verdictOf(honest, { anchors }).ok).toBe(true);
    // The more heads are known, the closer is the place.
    const closer = [{ size: 150, root: honest.batches[149]!.root.toString('hex') }, ...anchors];
    expect(first(verdictOf(forged, { anchors: closer }))).toEqual({ ok: false, index: 150, kind: 'anchor' });
  });

  test('what is found within the log is no farther away because a head is known', () => {
    const honest = createMemoryLog(SIZE, [1]);
    const anchors = [150, 300].map((size) => ({
      size,
      root: honest.batches[size - 1]!.root.toString('hex'),
    }));
    const edited = createMemoryLog(SIZE, [1]);
    edited.leaves[200] = { ...edited.leaves[200]!, commitment: Buffer.alloc(32) };
    expect(verdictOf(edited, { anchors }).faults.map(({ kind, index }) => [kind, index])).toEqual([
      ['body', 200],
      ['tree', 200],
      ['anchor', 200],
    ]);
  });

  test('the tail cut off cleanly: only a head known from elsewhere tells', () => {
    const log = createMemoryLog(SIZE, [1]);
    const anchors = [{ size: SIZE, root: log.batches.at(-1)!.root.toString('hex') }];
    const cut = createMemoryLog(400, [1]);
    expect(verdictOf(cut, { size: 400 }).ok).toBe(true);
    expect(first(verdictOf(cut, { size: 400, anchors }))).toEqual({ ok: false, index: 400, kind: 'anchor' });
  });

  test('a head of the right size whose root differs in one bit', () => {
    const log = createMemoryLog(SIZE, [1]);
    const root = Buffer.from(log.batches[9]!.root);
    root[31]! ^= 1;
    expect(verdictOf(log, { anchors: [{ size: 10, root: root.toString('hex') }] }).ok).toBe(false);
  });
});

describe('what is told', () => {
  test('rows outside of the log are named', () => {
    const verdict = verdictOf(createMemoryLog(SIZE), { strays: [{ table: 'audit.leaf', seq: 900_000 }] });
    expect(first(verdict)).toEqual({ ok: false, index: 900_000, kind: 'beyond' });
    expect(verdict.faults[0]!.message).toContain('audit.leaf');
  });

  test.each([70, null])('rows that the source cannot read are named, from %s on', (seq) => {
    const verdict = verdictOf(createMemoryLog(SIZE), {
      strays: [{ table: 'audit.entry', seq, unreadable: true }],
    });
    expect(first(verdict)).toEqual({ ok: false, index: seq, kind: 'unreadable' });
    expect(verdict.faults[0]!.message).toContain('audit.entry');
  });

  test('what comes later is found as well, and the list stays bounded', () => {
    const log = createMemoryLog(SIZE);
    for (let seq = 0; seq < SIZE; seq += 2) log.entries[seq] = { ...log.entries[seq]!, body: '{}' };
    const verdict = verdictOf(log);
    expect(verdict.faultCount).toBe(SIZE / 2);
    expect(verdict.faults).toHaveLength(20);
    expect(verdict.faults.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, i) => 2 * i));
  });

  test.each([
    ['leaf', (log: MemoryLog) => [log.leaves.splice(70, 1), log.entries.splice(70, 1)]],
    [
      'tree',
      (log: MemoryLog) => {
        log.entries[70] = storedEntry(70, { ...eventAt(70), outcome: 'denied' });
        log.leaves[70] = storedLeaf(log.entries[70]);
      },
    ],
  ] as const)('what follows from one wrong place is not said again: %s', (kind, attack) => {
    const { faults, faultCount } = verdictOf(changed(attack));
    expect([faults.map((fault) => fault.kind), faultCount]).toEqual([[kind], 1]);
  });

  test('a record that was changed does not hide that the entries are the known ones, nor that they are not', () => {
    const log = createMemoryLog(SIZE, [1]);
    const root = log.batches.at(-1)!.root.toString('hex');
    log.batches[20] = { ...log.batches[20]!, root: Buffer.alloc(32) };
    const kinds = (known: string) =>
      verdictOf(log, { anchors: [{ size: SIZE, root: known }] }).faults.map(({ kind }) => kind);
    expect(kinds(root)).toEqual(['tree']);
    expect(kinds('00')).toEqual(['tree', 'anchor']);
  });

  test('no message repeats what a body says', () => {
    const log = createMemoryLog(SIZE);
    log.entries[3] = { ...log.entries[3]!, body: '{"CANARY":1}' };
    log.entries[4] = { ...log.entries[4]!, facts: { ...log.entries[4]!.facts!, subject: 'CANARY' } };
    expect(JSON.stringify(verdictOf(log))).not.toContain('CANARY');
  });
});

test('400 random flips of one bit anywhere in the log: 400 found', () => {
  const log = createMemoryLog(300);
  const flip = (bytes: Buffer, bit: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[bit >> 3]! ^= 1 << (bit & 7);
    return copy;
  };
  const targets: ((at: number, bit: number) => MemoryLog)[] = [
    (at, bit) => ({
      ...log,
      leaves: log.leaves.with(at, {
        ...log.leaves[at]!,
        commitment: flip(log.leaves[at]!.commitment, bit % 256),
      }),
    }),
    (at, bit) => ({
      ...log,
      entries: log.entries.with(at, { ...log.entries[at]!, salt: flip(log.entries[at]!.salt, bit % 256) }),
    }),
    (at, bit) => {
      const entry = log.entries[at]!;
      const bytes = Buffer.from(entry.body, 'latin1');
      return {
        ...log,
        entries: log.entries.with(at, {
          ...entry,
          body: flip(bytes, bit % (bytes.length * 8)).toString('latin1'),
        }),
      };
    },
    (at, bit) => {
      const batch = log.batches[at % log.batches.length]!;
      return {
        ...log,
        batches: log.batches.with(at % log.batches.length, { ...batch, root: flip(batch.root, bit % 256) }),
      };
    },
    (at, bit) => {
      const batch = log.batches[at % log.batches.length]!;
      const range = flip(batch.range, bit % (batch.range.length * 8));
      return { ...log, batches: log.batches.with(at % log.batches.length, { ...batch, range }) };
    },
    (_, bit) => ({
      ...log,
      nodes: log.nodes.with(0, { ...log.nodes[0]!, hash: flip(log.nodes[0]!.hash, bit % 256) }),
    }),
  ];
  fc.assert(
    fc.property(fc.nat(targets.length - 1), fc.nat(299), fc.nat(100_000), (target, at, bit) => {
      expect(verdictOf(targets[target]!(at, bit), { size: 300 }).ok).toBe(false);
    }),
    { numRuns: 400 },
  );
});
