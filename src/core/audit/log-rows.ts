import type { EntryFacts } from './facts.ts';
import type { TreeNode } from './merkle.ts';

/** The rows of the log as a source hands them to the verifier. Attacker-controlled, all of it. */
export type StoredLeaf = {
  readonly seq: number;
  readonly commitment: Buffer;
  /** Null where the source keeps none beside the body (an export). */
  readonly eventId: string | null;
};
export type StoredEntry = {
  readonly seq: number;
  readonly salt: Buffer;
  readonly body: string;
  /** Null where the source has no columns (an export). */
  readonly facts: EntryFacts | null;
};
export type StoredBatch = {
  readonly firstSeq: number;
  readonly size: number;
  readonly root: Buffer;
  readonly range: Buffer;
};

/** An entry that an index of the database does not give to who searches by it. */
export type Unfound = { readonly seq: number; readonly index: string };

/** The rows of entries [from, to), each list in the order of the log. Pages follow each other without a gap. */
export type LogRows = {
  readonly from: number;
  readonly to: number;
  readonly leaves: readonly StoredLeaf[];
  readonly entries: readonly StoredEntry[];
  /** Those whose size lies in (from, to]. */
  readonly batches: readonly StoredBatch[];
  /** Those that the leaves of this page complete. */
  readonly nodes: readonly TreeNode[];
  /** Absent where the source has nothing to search by. */
  readonly unfound?: readonly Unfound[];
};

/**
 * A row that no place of the log accounts for; `unreadable`: rows that no page holds because the source cannot read them, of
 * which `seq` is the first, null where that is unknown.
 */
export type Stray =
  | { readonly table: string; readonly seq: number; readonly unreadable?: false }
  | { readonly table: string; readonly seq: number | null; readonly unreadable: true };
