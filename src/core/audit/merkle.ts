import { sha256 } from './sha256.ts';

/**
 * The tree of RFC 6962 §2.1 over SHA-256, kept as a compact range: the roots of the perfect subtrees that a log of `size`
 * leaves consists of, largest first, one per set bit of `size`. Extending it needs no other leaf, and folding it from the
 * right gives the root.
 */
export const HASH_BYTES = 32;

/** The RFC's domain separation: a leaf can never be presented as a node. */
const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** Levels whose complete nodes are stored, so that a proof over ten million leaves reads a few hundred rows. */
export const storedLevels: readonly number[] = [8, 16, 24];

export type CompactRange = { readonly size: number; readonly hashes: readonly Buffer[] };

/** A perfect subtree of 2^level leaves, the `index`th of its level counted from the first leaf. */
export type TreeNode = { readonly level: number; readonly index: number; readonly hash: Buffer };

export const emptyRange: CompactRange = Object.freeze({ size: 0, hashes: Object.freeze([]) });

// Hashing is synchronous, so one scratch buffer serves every call; its prefix byte is set once.
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);

/** SHA-256(0x00 ‖ entry). */
export const leafHash = (entry: Uint8Array): Buffer => sha256(Buffer.concat([Buffer.of(LEAF_PREFIX), entry]));

/** SHA-256(0x01 ‖ left ‖ right); both 32 bytes. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES)
    throw new RangeError('a node joins two 32-byte hashes');
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
};

/** The range after appending `leaves` (leaf hashes, in order). Completed nodes of the stored levels go to `onNode` in log order. */
export const extendRange = (
  range: CompactRange,
  leaves: Iterable<Buffer>,
  onNode?: (node: TreeNode) => void,
): CompactRange => {
  const hashes = [...range.hashes];
  let size = range.size;
  for (const leaf of leaves) {
    let subtree = leaf;
    let index = size;
    for (let level = 1; index % 2 === 1; level += 1) {
      subtree = nodeHash(hashes.pop()!, subtree);
      index = (index - 1) / 2;
      if (onNode !== undefined && storedLevels.includes(level)) onNode({ level, index, hash: subtree });
    }
    hashes.push(subtree);
    size += 1;
  }
  return { size, hashes };
};

/** Root of the tree, 32 bytes; of an empty log SHA-256 of nothing, as the RFC says. */
export const rootOf = (range: CompactRange): Buffer => {
  let root = range.hashes.at(-1);
  if (root === undefined) return sha256('');
  for (let i = range.hashes.length - 2; i >= 0; i -= 1) root = nodeHash(range.hashes[i]!, root);
  return root;
};

/** The stored form: the hashes one after the other. */
export const rangeBytes = (range: CompactRange): Buffer => Buffer.concat(range.hashes);

/** Hashes that lie one after the other. Throws RangeError when something is left over. */
export const splitHashes = (bytes: Buffer): readonly Buffer[] => {
  if (bytes.length % HASH_BYTES !== 0) throw new RangeError('hashes have 32 bytes each');
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, i) =>
    bytes.subarray(HASH_BYTES * i, HASH_BYTES * (i + 1)),
  );
};

const setBits = (size: number): number => {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
};

/** Reads the stored form; null when it cannot be the range of a log of this size. Attacker-controlled: the database's word. */
export const parseRange = (size: number, bytes: Buffer): CompactRange | null => {
  if (!Number.isSafeInteger(size) || size < 0 || bytes.length !== HASH_BYTES * setBits(size)) return null;
  return { size, hashes: splitHashes(bytes) };
};
