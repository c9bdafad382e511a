import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { emptyRange, extendRange, leafHash, nodeHash, rootOf } from '../../../../src/core/audit/merkle.ts';
import {
  consistencyPath,
  foldPerfect,
  foldStretch,
  inclusionPath,
  isConsistent,
  type NodeRun,
  rootFromInclusion,
  runsOf,
  type Stretch,
} from '../../../../src/core/audit/proof.ts';

/** RFC 6962 §2.1 word by word, over lists: the slow way that everything here must agree with. */
const split = (n: number): number => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};
const mth = (d: readonly Buffer[]): Buffer =>
  d.length === 0
    ? createHash('sha256').digest()
    : d.length === 1
      ? d[0]!
      : nodeHash(mth(d.slice(0, split(d.length))), mth(d.slice(split(d.length))));
const path = (m: number, d: readonly Buffer[]): Buffer[] => {
  if (d.length === 1) return [];
  const k = split(d.length);
  return m < k
    ? [...path(m, d.slice(0, k)), mth(d.slice(k))]
    : [...path(m - k, d.slice(k)), mth(d.slice(0, k))];
};
const subproof = (m: number, d: readonly Buffer[], whole: boolean): Buffer[] => {
  if (m === d.length) return whole ? [] : [mth(d)];
  const k = split(d.length);
  return m <= k
    ? [...subproof(m, d.slice(0, k), whole), mth(d.slice(k))]
    : [...subproof(m - k, d.slice(k), false), mth(d.slice(0, k))];
};

const LARGEST = 1_100;
const leaves = Array.from({ length: LARGEST }, (_, i) => leafHash(Buffer.from(`entry ${i}`)));
const roots = Array.from({ length: LARGEST + 1 }, (_, size) =>
  rootOf(extendRange(emptyRange, leaves.slice(0, size))),
);

/** Nodes as the log stores them: leaves and complete nodes of level 8; asking for one that is not complete is a fault. */
const nodesOf = ({ level, from, to }: NodeRun): Buffer[] =>
  Array.from({ length: to - from }, (_, i) => {
    const width = 2 ** level;
    const entries = leaves.slice((from + i) * width, (from + i + 1) * width);
    if (entries.length !== width) throw new Error('not a complete node');
    return rootOf(extendRange(emptyRange, entries));
  });
const hashOf = (stretch: Stretch): Buffer =>
  foldStretch(runsOf(stretch).map((run) => foldPerfect(nodesOf(run))));

const hex = (hashes: readonly Buffer[]): string[] => hashes.map((hash) => hash.toString('hex'));
/** Every size up to 70, and those around the powers of two up to the largest. */
const sizes = Array.from({ length: LARGEST }, (_, i) => i + 1).filter(
  (size) =>
    size <= 70 ||
    [-1, 0, 1].some((d) => Number.isInteger(Math.log2(size + d))) ||
    size % 97 === 0 ||
    size === LARGEST,
);
const flipped = (hash: Buffer): Buffer => {
  const copy = Buffer.from(hash);
  copy[31]! ^= 1;
  return copy;
};

describe('inclusion', () => {
  test.each(sizes)('in a tree of %i: path, hashes from stored nodes, root', (size) => {
    const step = size <= 70 ? 1 : 41;
    for (let seq = 0; seq < size; seq += step) {
      const proof = inclusionPath(seq, size).map(hashOf);
      expect(hex(proof)).toEqual(hex(path(seq, leaves.slice(0, size))));
      expect(rootFromInclusion(seq, size, leaves[seq]!, proof)).toEqual(roots[size]);
    }
  });

  test('every size from 1 to 1,100, first, last and a middle entry', () => {
    for (let size = 1; size <= LARGEST; size += 1)
      for (const seq of new Set([0, size - 1, size >> 1]))
        expect(rootFromInclusion(seq, size, leaves[seq]!, inclusionPath(seq, size).map(hashOf))).toEqual(
          roots[size],
        );
  });

  test('anything changed leads to another root or to none', () => {
    for (const size of [1, 2, 3, 5, 8, 13, 21, 64, 70])
      for (let seq = 0; seq < size; seq += 1) {
        const proof = inclusionPath(seq, size).map(hashOf);
        const wrong = (...asked: Parameters<typeof rootFromInclusion>) =>
          expect(rootFromInclusion(...asked)?.equals(roots[size]!) ?? false).toBe(false);
        wrong(seq, size, flipped(leaves[seq]!), proof);
        wrong(seq, size, leaves[seq]!, [...proof, roots[1]!]);
        proof.forEach((hash, i) => {
          wrong(seq, size, leaves[seq]!, proof.with(i, flipped(hash)));
          wrong(seq, size, leaves[seq]!, proof.toSpliced(i, 1));
          wrong(seq, size, leaves[seq]!, proof.with(i, hash.subarray(0, 31)));
        });
        for (const other of [seq - 1, seq + 1]) wrong(other, size, leaves[seq]!, proof);
      }
  });

  test.each([
    [-1, 4],
    [4, 4],
    [0.5, 4],
    [0, 2 ** 53],
    [Number.NaN, 4],
  ])('entry %d of %d is no entry', (seq, size) => {
    expect(rootFromInclusion(seq, size, leaves[0]!, [])).toBeNull();
    expect(() => inclusionPath(seq, size)).toThrow(RangeError);
  });
});

describe('consistency', () => {
  test.each(sizes)('with a tree of %i: path, hashes from stored nodes, verdict', (to) => {
    const step = to <= 70 ? 1 : 37;
    for (let from = 1; from <= to; from += step) {
      const proof = consistencyPath(from, to).map(hashOf);
      expect(hex(proof)).toEqual(hex(subproof(from, leaves.slice(0, to), true)));
      expect(isConsistent(from, to, { from: roots[from]!, to: roots[to]! }, proof)).toBe(true);
    }
  });

  test('wrong roots of full length, wrong, missing and further hashes, wrong sizes are refused', () => {
    for (const to of [2, 3, 4, 5, 7, 8, 13, 16, 33, 64, 70])
      for (let from = 1; from < to; from += 1) {
        const pair = { from: roots[from]!, to: roots[to]! };
        const proof = consistencyPath(from, to).map(hashOf);
        const refused = (...asked: Parameters<typeof isConsistent>) =>
          expect(isConsistent(...asked)).toBe(false);
        refused(from, to, { ...pair, from: flipped(pair.from) }, proof);
        refused(from, to, { ...pair, to: flipped(pair.to) }, proof);
        refused(from, to, { from: pair.to, to: pair.from }, proof);
        refused(from, to, pair, [...proof, roots[1]!]);
        refused(from, to, pair, [roots[1]!, ...proof]);
        proof.forEach((hash, i) => {
          refused(from, to, pair, proof.with(i, flipped(hash)));
          refused(from, to, pair, proof.toSpliced(i, 1));
          refused(from, to, pair, proof.with(i, Buffer.concat([hash, hash])));
        });
        refused(from, to, { from: pair.from.subarray(0, 16), to: pair.to }, proof);
      }
  });

  test('of a tree with itself and with nothing', () => {
    const same = { from: roots[7]!, to: roots[7]! };
    expect(isConsistent(7, 7, same, [])).toBe(true);
    expect(isConsistent(7, 7, same, [roots[1]!])).toBe(false);
    expect(isConsistent(7, 7, { from: roots[6]!, to: roots[7]! }, [])).toBe(false);
    expect(isConsistent(0, 7, { from: roots[0]!, to: roots[7]! }, [])).toBe(true);
    expect(isConsistent(0, 7, { from: roots[0]!, to: roots[7]! }, [roots[1]!])).toBe(false);
    expect(consistencyPath(0, 7)).toEqual([]);
    expect(consistencyPath(7, 7)).toEqual([]);
  });

  test.each([
    [8, 7],
    [-1, 7],
    [1.5, 7],
    [1, 2 ** 53],
  ])('from %d to %d is no growth', (from, to) => {
    expect(isConsistent(from, to, { from: roots[1]!, to: roots[7]! }, [roots[1]!])).toBe(false);
    expect(() => consistencyPath(from, to)).toThrow(RangeError);
  });
});

describe('what has to be read at ten million entries', () => {
  const size = 10_000_019;
  test.each([0, 255, 256, 65_536, 4_999_999, 9_999_999, size - 1])(
    'for entry %i: nodes that are complete, few of them',
    (seq) => {
      const runs = inclusionPath(seq, size).flatMap(runsOf);
      for (const { level, to } of runs) expect(to * 2 ** level).toBeLessThanOrEqual(size);
      expect(runs.reduce((sum, { from, to }) => sum + to - from, 0)).toBeLessThan(1_000);
    },
  );
});
