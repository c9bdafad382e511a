import { leafOf } from './commitment.ts';
import { type CompactRange, extendRange, parseRange, rangeBytes, rootOf } from './merkle.ts';

/** What the database says its newest head is. Attacker-controlled. */
export type StatedHead = { readonly size: number; readonly root: Buffer; readonly range: Buffer };

/** The range after these commitments, each 32 bytes. */
export const extendByCommitments = (range: CompactRange, commitments: readonly Buffer[]): CompactRange =>
  extendRange(
    range,
    commitments.map((commitment) => leafOf(commitment)),
  );

/** Whether a range we computed is the one the database states. */
export const isStated = (range: CompactRange, stated: Pick<StatedHead, 'size' | 'range'>): boolean =>
  range.size === stated.size && rangeBytes(range).equals(stated.range);

/** A head read without anything to compare it with: null unless size, range and root belong together. */
export const readHead = (stated: StatedHead): CompactRange | null => {
  const range = parseRange(stated.size, stated.range);
  return range !== null && rootOf(range).equals(stated.root) ? range : null;
};
