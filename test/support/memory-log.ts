import { createHash } from 'node:crypto';
import { commitmentOf, leafOf } from '../../src/core/audit/commitment.ts';
import { encodeEvent } from '../../src/core/audit/entry.ts';
import { factsOf } from '../../src/core/audit/facts.ts';
import type { LogRows, StoredBatch, StoredEntry, StoredLeaf } from '../../src/core/audit/log-rows.ts';
import {
  type CompactRange,
  emptyRange,
  extendRange,
  rangeBytes,
  rootOf,
  type TreeNode,
} from '../../src/core/audit/merkle.ts';
import type { AuditEvent } from '../../src/core/events.ts';
import { fixedEvent, fixedId, ordinaryActions } from './audit-events.ts';

/** A whole log in memory, as a database would hold it. Lists may be changed to see what a verifier finds. */
export type MemoryLog = {
  leaves: StoredLeaf[];
  entries: StoredEntry[];
  batches: StoredBatch[];
  nodes: TreeNode[];
};

const saltOf = (seq: number): Buffer => createHash('sha256').update(`salt ${seq}`).digest();

export const storedEntry = (seq: number, event: AuditEvent, salt = saltOf(seq)): StoredEntry => {
  const encoded = encodeEvent(event);
  return { seq, salt, body: encoded.body, facts: factsOf(encoded.event) };
};

export const storedLeaf = (entry: StoredEntry): StoredLeaf => ({
  seq: entry.seq,
  commitment: commitmentOf(entry.salt, entry.body),
  eventId: (JSON.parse(entry.body) as { id: string }).id,
});

export const eventAt = (seq: number): AuditEvent =>
  fixedEvent(ordinaryActions[seq % ordinaryActions.length]!, {
    id: fixedId(1000 + seq),
    at: 1_763_719_200_000 + seq,
  } as never);

/** Batches and nodes that belong to these entries, cut into batches of the given sizes over and over. */
export const treeOver = (
  leaves: readonly StoredLeaf[],
  batchSizes: readonly number[],
): Pick<MemoryLog, 'batches' | 'nodes'> => {
  const batches: StoredBatch[] = [];
  const nodes: TreeNode[] = [];
  let range: CompactRange = emptyRange;
  for (let turn = 0; range.size < leaves.length; turn += 1) {
    const firstSeq = range.size;
    const batch = leaves.slice(firstSeq, firstSeq + batchSizes[turn % batchSizes.length]!);
    range = extendRange(
      range,
      batch.map(({ commitment }) => leafOf(commitment)),
      (node) => nodes.push(node),
    );
    batches.push({ firstSeq, size: range.size, root: rootOf(range), range: rangeBytes(range) });
  }
  return { batches, nodes };
};

export const createMemoryLog = (size: number, batchSizes: readonly number[] = [1, 3, 2]): MemoryLog => {
  const entries = Array.from({ length: size }, (_, seq) => storedEntry(seq, eventAt(seq)));
  const leaves = entries.map(storedLeaf);
  return { leaves, entries, ...treeOver(leaves, batchSizes) };
};

/** The pages a source would read, also from a log that has been tampered with. */
export const pagesOf = (log: MemoryLog, size: number, pageSize = 64): LogRows[] => {
  const pages: LogRows[] = [];
  for (let from = 0; from < size; from += pageSize) {
    const to = Math.min(from + pageSize, size);
    const within = ({ seq }: { seq: number }): boolean => seq >= from && seq < to;
    const end = ({ level, index }: TreeNode): number => (index + 1) * 2 ** level;
    pages.push({
      from,
      to,
      leaves: log.leaves.filter(within),
      entries: log.entries.filter(within),
      batches: log.batches.filter((batch) => batch.size > from && batch.size <= to),
      nodes: log.nodes.filter((node) => end(node) > from && end(node) <= to),
    });
  }
  return pages;
};
