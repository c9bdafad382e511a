import { HASH_BYTES, nodeHash, storedLevels } from './merkle.ts';

/**
 * Proofs of RFC 6962 §2.1.1 and §2.1.2, and their verification by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2. Sizes are
 * whole numbers below 2^53, so nothing here uses the 32-bit operators.
 */

/** Entries [start, end) of the log, whose subtree a proof names by its hash. */
export type Stretch = { readonly start: number; readonly end: number };

/** The largest power of two below `size`, for sizes of two and more. */
const splitOf = (size: number): number => {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
};

const assertSize = (size: number): void => {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('a size is a whole number from 0 on');
};

/** The subtrees whose hashes prove that entry `seq` is in the tree of the first `size` entries, lowest first. */
export const inclusionPath = (seq: number, size: number): readonly Stretch[] => {
  assertSize(size);
  if (!Number.isSafeInteger(seq) || seq < 0 || seq >= size)
    throw new RangeError('the entry lies outside of the tree');
  const path: Stretch[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (seq < middle) {
      path.push({ start: middle, end });
      end = middle;
    } else {
      path.push({ start, end: middle });
      start = middle;
    }
  }
  return path.reverse();
};

/** The subtrees whose hashes prove that the tree of `from` entries is a beginning of the tree of `to`. None when equal or empty. */
export const consistencyPath = (from: number, to: number): readonly Stretch[] => {
  assertSize(from);
  assertSize(to);
  if (from > to) throw new RangeError('the older tree is the smaller one');
  if (from === 0 || from === to) return [];
  const path: Stretch[] = [];
  let [start, end] = [0, to];
  let known = true;
  while (from < end) {
    const middle = start + splitOf(end - start);
    if (from <= middle) {
      path.push({ start: middle, end });
      end = middle;
    } else {
      path.push({ start, end: middle });
      start = middle;
      known = false;
    }
  }
  if (!known) path.push({ start, end });
  return path.reverse();
};

/** Nodes [from, to) of a level that is stored; level 0 are the leaf hashes. */
export type NodeRun = { readonly level: number; readonly from: number; readonly to: number };

const readable = [...storedLevels].sort((a, b) => b - a);

/** The perfect subtree of 2^level entries that starts at `start`, as the nodes of the highest stored level that make it up. */
const runOf = (start: number, entries: number): NodeRun => {
  const level = readable.find((stored) => 2 ** stored <= entries) ?? 0;
  const width = 2 ** level;
  return { level, from: start / width, to: (start + entries) / width };
};

/** What has to be read to hash a stretch: one run for each perfect subtree of it, largest first. */
export const runsOf = ({ start, end }: Stretch): readonly NodeRun[] => {
  const runs: NodeRun[] = [];
  for (let at = start; at < end; ) {
    let entries = 1;
    while (at % (entries * 2) === 0 && at + entries * 2 <= end) entries *= 2;
    runs.push(runOf(at, entries));
    at += entries;
  }
  return runs;
};

/** Hash of a perfect subtree from the hashes of all its nodes of one level; their number is a power of two. */
export const foldPerfect = (hashes: readonly Buffer[]): Buffer => {
  let level = hashes;
  while (level.length > 1)
    level = Array.from({ length: level.length / 2 }, (_, i) => nodeHash(level[2 * i]!, level[2 * i + 1]!));
  const [top] = level;
  if (top === undefined) throw new RangeError('a subtree has at least one node');
  return top;
};

/** Hash of a stretch from its perfect subtrees, largest first. */
export const foldStretch = (subtrees: readonly Buffer[]): Buffer =>
  subtrees.reduceRight((right, left) => nodeHash(left, right));

const areHashes = (hashes: readonly Uint8Array[]): boolean =>
  hashes.every(({ length }) => length === HASH_BYTES);

const isSeq = (seq: number, size: number): boolean =>
  Number.isSafeInteger(size) && Number.isSafeInteger(seq) && seq >= 0 && seq < size;

/**
 * The root that `proof` leads to for the leaf hash of entry `seq` in a tree of `size` (RFC 9162 §2.1.3.2), or null when the
 * proof cannot be one of such a tree. Everything is attacker-controlled; the caller compares the root with one that it trusts.
 */
export const rootFromInclusion = (
  seq: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
): Buffer | null => {
  if (!isSeq(seq, size) || leaf.length !== HASH_BYTES || !areHashes(proof)) return null;
  let [node, last] = [seq, size - 1];
  let root: Buffer = Buffer.from(leaf);
  for (const hash of proof) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      root = nodeHash(hash, root);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else root = nodeHash(root, hash);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 ? root : null;
};

/** Roots of the smaller and the larger tree. */
export type RootPair = { readonly from: Buffer; readonly to: Buffer };

const foldConsistency = (
  from: number,
  to: number,
  first: Uint8Array,
  rest: readonly Uint8Array[],
): RootPair | null => {
  let [node, last] = [from - 1, to - 1];
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  let older: Buffer = Buffer.from(first);
  let newer = older;
  for (const hash of rest) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      older = nodeHash(hash, older);
      newer = nodeHash(hash, newer);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else newer = nodeHash(newer, hash);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 ? { from: older, to: newer } : null;
};

const isPowerOfTwo = (size: number): boolean => Number.isInteger(Math.log2(size));

/**
 * Whether `proof` shows that the tree of `from` entries with root `roots.from` is a beginning of the tree of `to` entries with
 * root `roots.to` (RFC 9162 §2.1.4.2). Everything is attacker-controlled. Trees of the same size need an empty proof and the
 * same root; of an empty tree nothing can be shown, so only an empty proof is right.
 */
export const isConsistent = (
  from: number,
  to: number,
  roots: RootPair,
  proof: readonly Uint8Array[],
): boolean => {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || from > to) return false;
  if (!areHashes([roots.from, roots.to, ...proof])) return false;
  if (from === to) return proof.length === 0 && roots.from.equals(roots.to);
  if (from === 0) return proof.length === 0;
  // RFC 9162: the older tree, when it is perfect, is itself the first node of the path.
  const [first, ...rest] = isPowerOfTwo(from) ? [roots.from, ...proof] : proof;
  if (first === undefined || rest.length === 0) return false;
  const folded = foldConsistency(from, to, first, rest);
  return folded?.from.equals(roots.from) === true && folded.to.equals(roots.to);
};
