import { isAppError } from '../errors.ts';
import type { AuditEvent } from '../events.ts';
import { commitmentOf, leafOf, SALT_BYTES } from './commitment.ts';
import { decodeBody } from './entry.ts';
import { differingFacts } from './facts.ts';
import { createFaultList, type FaultList } from './fault.ts';
import type { StoredEntry, StoredLeaf } from './log-rows.ts';
import { type CompactRange, emptyRange, extendRange, HASH_BYTES, rootOf, type TreeNode } from './merkle.ts';
import type { MissingBodies } from './pruned.ts';

/** A head known from elsewhere: a writer's, or a checkpoint's. */
export type Anchor = {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** The epoch of the log that it is of, where that is known. */
  readonly epoch?: number;
  /** Where it is known from, when that helps to find it: ends a sentence. */
  readonly from?: string;
  /** When a witness saw it, in milliseconds since 1970: what is not in it is younger. */
  readonly seenAt?: number;
};

/** A clock that goes before another's by less than this is not taken for a lie. */
const SKEW_MS = 86_400_000;

/** What every walk through the log keeps, whatever it is read from. */
export type Walk = {
  range: CompactRange;
  /** Once the tree has gone wrong everything after it is wrong as well: said once. */
  treeBroken: boolean;
  /** Bodies that were checked. */
  bodies: number;
  /** What follows was written after this, by a witness's clock. */
  notBefore: number;
  readonly faults: FaultList;
  /** Where a missing body may have been removed rightly, as the end of the walk tells; null where none may be missing. */
  readonly missing: MissingBodies | null;
};

export const createWalk = (range: CompactRange = emptyRange, missing: MissingBodies | null = null): Walk => ({
  range,
  treeBroken: false,
  bodies: 0,
  notBefore: 0,
  faults: createFaultList(),
  missing,
});

const checkForm = ({ faults, notBefore }: Walk, leaf: StoredLeaf, entry: StoredEntry): AuditEvent | null => {
  try {
    const event = decodeBody(entry.body);
    if (leaf.eventId !== null && event.id !== leaf.eventId)
      faults.add('columns', leaf.seq, `The event id kept with entry ${leaf.seq} is not its body's.`);
    const differing = entry.facts === null ? [] : differingFacts(entry.facts, event);
    if (differing.length > 0) faultyColumns(faults, leaf.seq, differing);
    if (event.at < notBefore - SKEW_MS)
      faults.add(
        'backdated',
        leaf.seq,
        `Entry ${leaf.seq} says that it is older than a checkpoint that was seen without it.`,
      );
    return event;
  } catch (error) {
    if (!isAppError(error, 'integrity_failure')) throw error;
    faults.add('form', leaf.seq, `Entry ${leaf.seq}: ${error.message}`);
    return null;
  }
};

export const faultyColumns = (faults: FaultList, seq: number, names: readonly string[]): void =>
  faults.add('columns', seq, `Entry ${seq} is found by what its body does not say: ${names.join(', ')}.`);

const checkPresent = (walk: Walk, leaf: StoredLeaf, entry: StoredEntry): AuditEvent | null => {
  const { seq, commitment } = leaf;
  walk.bodies += 1;
  if (entry.salt.length === SALT_BYTES && commitmentOf(entry.salt, entry.body).equals(commitment))
    return checkForm(walk, leaf, entry);
  walk.faults.add('body', seq, `The body of entry ${seq} is not the one that was committed to.`);
  return null;
};

/** What the body says, when it is the one that was committed to and one of ours. */
export const checkBody = (
  walk: Walk,
  leaf: StoredLeaf,
  entry: StoredEntry | undefined,
): AuditEvent | null => {
  const { seq } = leaf;
  if (entry === undefined) {
    if (walk.missing === null) walk.faults.add('body', seq, `The body of entry ${seq} is missing.`);
    else walk.missing.absent(seq);
    return null;
  }
  const event = checkPresent(walk, leaf, entry);
  walk.missing?.present(seq, event);
  return event;
};

export const addLeaf = (
  walk: Walk,
  seq: number,
  leaf: StoredLeaf | undefined,
  onNode?: (node: TreeNode) => void,
): void => {
  if (leaf?.commitment.length === HASH_BYTES) {
    walk.range = extendRange(walk.range, [leafOf(leaf.commitment)], onNode);
    return;
  }
  walk.faults.add(
    'leaf',
    seq,
    `Entry ${seq} is missing from the tree: what follows cannot be compared with it.`,
  );
  walk.treeBroken = true;
};

/** Heads that the log must contain, met in the order of their sizes. */
export type Anchors = {
  /**
   * Compares those of the size that the walk has reached: null when there are none, else whether all agree. `index` is the
   * first entry that may be the wrong one, where it is known.
   */
  readonly check: (walk: Walk, size: number, index?: number) => boolean | null;
  /** Those beyond the end of the walk. */
  readonly rest: () => readonly Anchor[];
};

export const differs = ({ size, from }: Anchor): string =>
  `The first ${size} entries are not those of the known head of that size${from === undefined ? '' : ` ${from}`}.`;

/** `onDiffering`: takes what would be a fault, where it may be explained later. */
export const createAnchors = (known: readonly Anchor[], onDiffering?: (anchor: Anchor) => void): Anchors => {
  const sorted = known.filter(({ size }) => size > 0).sort((a, b) => a.size - b.size);
  let next = 0;
  return {
    check: (walk, size, index) => {
      let agrees: boolean | null = null;
      for (; sorted[next]?.size === size; next += 1) {
        const anchor = sorted[next]!;
        const same = rootOf(walk.range).toString('hex') === anchor.root;
        if (!same && onDiffering !== undefined) onDiffering(anchor);
        else if (!same) walk.faults.add('anchor', index ?? null, differs(anchor));
        if (same) walk.notBefore = Math.max(walk.notBefore, anchor.seenAt ?? 0);
        agrees = same && agrees !== false;
      }
      return agrees;
    },
    rest: () => sorted.slice(next),
  };
};
