import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  type CompactRange,
  emptyRange,
  extendRange,
  leafHash,
  nodeHash,
  parseRange,
  rangeBytes,
  rootOf,
  splitHashes,
  type TreeNode,
} from '../../../../src/core/audit/merkle.ts';

const sha256 = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** RFC 6962 §2.1, word by word: the slow way. */
const reference = (leaves: readonly Buffer[]): Buffer => {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha256(Buffer.of(1), reference(leaves.slice(0, k)), reference(leaves.slice(k)));
};

const numbered = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => leafHash(Buffer.from(String(i))));

describe('known answers of RFC 6962 implementations (transparency-dev/merkle)', () => {
  const entries = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ];
  const roots = [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];

  test.each(roots.map((root, i) => ({ size: i + 1, root })))('root of $size entries', ({ size, root }) => {
    const leaves = entries.slice(0, size).map((entry) => leafHash(Buffer.from(entry, 'hex')));
    expect(hex(rootOf(extendRange(emptyRange, leaves)))).toBe(root);
  });

  test('of an empty log and of a leaf', () => {
    expect(hex(rootOf(emptyRange))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(hex(leafHash(Buffer.from('L123456')))).toBe(
      '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
    );
  });
});

describe('the compact range against the definition', () => {
  test('every size to 300, leaf by leaf: root, number of subtrees, stored form', () => {
    const leaves = numbered(300);
    let range: CompactRange = emptyRange;
    leaves.forEach((leaf, i) => {
      range = extendRange(range, [leaf]);
      expect(hex(rootOf(range))).toBe(hex(reference(leaves.slice(0, i + 1))));
      expect(parseRange(i + 1, rangeBytes(range))).toEqual(range);
    });
  });

  test('every cut of 70 leaves in two batches gives the same', () => {
    const leaves = numbered(70);
    const whole = extendRange(emptyRange, leaves);
    for (let cut = 0; cut <= leaves.length; cut += 1) {
      const first = extendRange(emptyRange, leaves.slice(0, cut));
      expect(extendRange(first, leaves.slice(cut))).toEqual(whole);
      expect(first.size).toBe(cut);
    }
  });

  test('extending leaves the range it started from as it was', () => {
    const range = extendRange(emptyRange, numbered(5));
    const before = hex(rangeBytes(range));
    extendRange(range, numbered(3));
    expect(hex(rangeBytes(range))).toBe(before);
    expect(range.size).toBe(5);
  });
});

describe('nodes of the stored levels', () => {
  test('level 8: every 256 leaves, with the hash the definition gives', () => {
    const leaves = numbered(1030);
    const nodes: TreeNode[] = [];
    extendRange(emptyRange, leaves, (node) => nodes.push(node));
    expect(nodes.map(({ level, index, hash }) => ({ level, index, hash: hex(hash) }))).toEqual(
      [0, 1, 2, 3].map((index) => ({
        level: 8,
        index,
        hash: hex(reference(leaves.slice(256 * index, 256 * (index + 1)))),
      })),
    );
  });

  test('the leaf that completes levels 8, 16 and 24 at once names all three, inner first', () => {
    // The range of 2^24 - 1 leaves: one subtree of every level below 24, whatever they hold.
    const hashes = Array.from({ length: 24 }, (_, i) => sha256(Buffer.of(i)));
    const nodes: TreeNode[] = [];
    const leaf = leafHash(Buffer.from('last'));
    const range = extendRange({ size: 2 ** 24 - 1, hashes }, [leaf], (node) => nodes.push(node));
    expect(nodes.map(({ level, index }) => [level, index])).toEqual([
      [8, 2 ** 16 - 1],
      [16, 2 ** 8 - 1],
      [24, 0],
    ]);
    const folded = hashes.toReversed().reduce((right, left) => nodeHash(left, right), leaf);
    expect(hex(nodes[2]!.hash)).toBe(hex(folded));
    expect(range).toEqual({ size: 2 ** 24, hashes: [folded] });
  });

  test('sizes beyond 32 bits: the index is not cut', () => {
    const size = 2 ** 40 + 255;
    const hashes = Array.from({ length: 9 }, (_, i) => sha256(Buffer.of(i)));
    const nodes: TreeNode[] = [];
    extendRange({ size, hashes }, numbered(1), (node) => nodes.push(node));
    expect(nodes.map(({ level, index }) => [level, index])).toEqual([[8, 2 ** 32]]);
  });
});

describe('what cannot be a range or a hash is refused', () => {
  const three = rangeBytes(extendRange(emptyRange, numbered(3)));
  test.each([
    { size: 2, bytes: three, why: 'too many subtrees' },
    { size: 7, bytes: three, why: 'too few' },
    { size: 3, bytes: three.subarray(1), why: 'half a hash' },
    { size: -1, bytes: three, why: 'negative' },
    { size: 3.5, bytes: three, why: 'a fraction' },
    { size: 2 ** 53, bytes: Buffer.alloc(32), why: 'beyond what a number holds' },
    { size: Number.NaN, bytes: Buffer.alloc(0), why: 'not a number' },
    { size: 0, bytes: Buffer.alloc(32), why: 'an empty log has no subtree' },
  ])('$why', ({ size, bytes }) => {
    expect(parseRange(size, bytes)).toBeNull();
  });

  test('a node of other than 32 bytes: a body must not be taken for a node', () => {
    expect(() => nodeHash(Buffer.alloc(31), Buffer.alloc(32))).toThrow(RangeError);
    expect(() => nodeHash(Buffer.alloc(32), Buffer.alloc(33))).toThrow(RangeError);
    expect(() => splitHashes(Buffer.alloc(33))).toThrow(RangeError);
  });
});
