import { createHash } from 'node:crypto';

/** RFC 6962 §2.1 word by word, over lists of leaf hashes: slow, and nobody's but the tests'. */
const nodeOf = (left: Buffer, right: Buffer): Buffer =>
  createHash('sha256')
    .update(Buffer.concat([Buffer.of(1), left, right]))
    .digest();

const split = (n: number): number => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};

const rootOfList = (d: readonly Buffer[]): Buffer =>
  d.length === 1
    ? d[0]!
    : nodeOf(rootOfList(d.slice(0, split(d.length))), rootOfList(d.slice(split(d.length))));

const subproof = (m: number, d: readonly Buffer[], whole: boolean): Buffer[] => {
  if (m === d.length) return whole ? [] : [rootOfList(d)];
  const k = split(d.length);
  return m <= k
    ? [...subproof(m, d.slice(0, k), whole), rootOfList(d.slice(k))]
    : [...subproof(m - k, d.slice(k), false), rootOfList(d.slice(0, k))];
};

/** That the tree of the first `from` leaves is the beginning of that of all. */
export const consistencyProof = (leaves: readonly Buffer[], from: number): Buffer[] =>
  from === 0 ? [] : subproof(from, leaves, true);
