import { isAppError } from '../errors.ts';
import { commitmentOf, leafOf, SALT_BYTES } from './commitment.ts';
import { decodeBody } from './entry.ts';
import { differingFacts } from './facts.ts';
import { createFaultList, type Fault, type FaultList } from './fault.ts';
import type { LogRows, StoredBatch, StoredEntry, StoredLeaf, Stray } from './log-rows.ts';
import {
  type CompactRange,
  emptyRange,
  extendRange,
  HASH_BYTES,
  rangeBytes,
  rootOf,
  type TreeNode,
} from './merkle.ts';

/**
 * The verifier of the log: re-derives everything from the bodies up and compares it with what is stored. Pure and
 * synchronous; {@link verifyLog} feeds it from any source. Everything it is given is attacker-controlled.
 */
/** A head known from elsewhere: a writer's, later a checkpoint's. */
export type Anchor = { readonly size: number; readonly root: string };

export type Verdict = {
  readonly ok: boolean;
  /** Entries that were walked through, and the root they give (hex). */
  readonly size: number;
  readonly root: string;
  /** Bodies that were checked. */
  readonly bodies: number;
  /** All that was found; `faults` keeps the first of them, beginning with the first bad index. */
  readonly faultCount: number;
  readonly faults: readonly Fault[];
};

type Walk = {
  range: CompactRange;
  /** Once the tree has gone wrong everything after it is wrong as well: said once. */
  treeBroken: boolean;
  batchedTo: number;
  bodies: number;
  readonly anchors: Anchor[];
  readonly faults: FaultList;
};

const checkForm = ({ faults }: Walk, leaf: StoredLeaf, entry: StoredEntry): void => {
  try {
    const event = decodeBody(entry.body);
    if (event.id !== leaf.eventId)
      faults.add('columns', leaf.seq, `The event id kept with entry ${leaf.seq} is not its body's.`);
    const differing = entry.facts === null ? [] : differingFacts(entry.facts, event);
    if (differing.length > 0)
      faults.add(
        'columns',
        leaf.seq,
        `Entry ${leaf.seq} is found by what its body does not say: ${differing.join(', ')}.`,
      );
  } catch (error) {
    if (!isAppError(error, 'integrity_failure')) throw error;
    faults.add('form', leaf.seq, `Entry ${leaf.seq}: ${error.message}`);
  }
};

const checkBody = (walk: Walk, leaf: StoredLeaf, entry: StoredEntry | undefined): void => {
  const { seq, commitment } = leaf;
  if (entry === undefined) {
    walk.faults.add('body', seq, `The body of entry ${seq} is missing.`);
    return;
  }
  walk.bodies += 1;
  if (entry.salt.length === SALT_BYTES && commitmentOf(entry.salt, entry.body).equals(commitment))
    checkForm(walk, leaf, entry);
  else walk.faults.add('body', seq, `The body of entry ${seq} is not the one that was committed to.`);
};

const addLeaf = (walk: Walk, seq: number, leaf: StoredLeaf | undefined, nodes: TreeNode[]): void => {
  if (leaf?.commitment.length === HASH_BYTES) {
    walk.range = extendRange(walk.range, [leafOf(leaf.commitment)], (node) => nodes.push(node));
    return;
  }
  walk.faults.add(
    'leaf',
    seq,
    `Entry ${seq} is missing from the tree: what follows cannot be compared with it.`,
  );
  walk.treeBroken = true;
};

const checkBatch = (walk: Walk, batch: StoredBatch): void => {
  const { firstSeq, size } = batch;
  if (firstSeq !== walk.batchedTo)
    walk.faults.add(
      'batch',
      Math.min(firstSeq, walk.batchedTo),
      `The record of appends goes on from ${firstSeq}, where ${walk.batchedTo} should follow.`,
    );
  walk.batchedTo = size;
  if (walk.treeBroken) return;
  if (rangeBytes(walk.range).equals(batch.range) && rootOf(walk.range).equals(batch.root)) return;
  walk.treeBroken = true;
  walk.faults.add(
    'tree',
    firstSeq,
    `The entries up to ${size} do not give the tree that was recorded: one from ${firstSeq} to ${size - 1} is not the one appended, or the record is not the one written.`,
  );
};

const checkAnchor = (walk: Walk, anchor: Anchor): void => {
  if (rootOf(walk.range).toString('hex') !== anchor.root)
    walk.faults.add(
      'anchor',
      null,
      `The first ${anchor.size} entries are not those of the known head of that size.`,
    );
};

const nodeName = ({ level, index }: TreeNode): string => `${index} of level ${level}`;

const checkNodes = (walk: Walk, derived: readonly TreeNode[], stored: readonly TreeNode[]): void => {
  if (walk.treeBroken) return;
  const unmatched = new Map(stored.map((node) => [nodeName(node), node.hash]));
  for (const node of derived) {
    const name = nodeName(node);
    const hash = unmatched.get(name);
    unmatched.delete(name);
    if (hash?.equals(node.hash)) continue;
    const fault = hash === undefined ? 'missing' : 'not what its leaves give';
    walk.faults.add('tree', node.index * 2 ** node.level, `The stored node ${name} is ${fault}.`);
  }
  for (const name of unmatched.keys())
    walk.faults.add('beyond', null, `The stored node ${name} belongs to no leaves.`);
};

/** Takes the next row of a list when it is the one wanted. */
const createTaker = <T>(rows: readonly T[], placeOf: (row: T) => number) => {
  let next = 0;
  return (place: number): T | undefined => {
    const row = rows[next];
    if (row === undefined || placeOf(row) !== place) return undefined;
    next += 1;
    return row;
  };
};

const walkPage = (walk: Walk, page: LogRows): void => {
  const leafAt = createTaker(page.leaves, (leaf) => leaf.seq);
  const entryAt = createTaker(page.entries, (entry) => entry.seq);
  const batchOf = createTaker(page.batches, (batch) => batch.size);
  const nodes: TreeNode[] = [];
  for (let seq = page.from; seq < page.to; seq += 1) {
    const leaf = leafAt(seq);
    const entry = entryAt(seq);
    addLeaf(walk, seq, leaf, nodes);
    if (leaf !== undefined) checkBody(walk, leaf, entry);
    for (let batch = batchOf(seq + 1); batch !== undefined; batch = batchOf(seq + 1)) checkBatch(walk, batch);
    while (walk.anchors[0]?.size === seq + 1) checkAnchor(walk, walk.anchors.shift()!);
  }
  checkNodes(walk, nodes, page.nodes);
};

export type LogVerifier = {
  /** Throws RangeError when the page does not follow the one before. */
  readonly page: (rows: LogRows) => void;
  /** `strays`: rows that lie outside of what was walked through. */
  readonly finish: (strays: readonly Stray[]) => Verdict;
};

/** `anchors`: heads the log must contain, in any order. */
export const createVerifier = (anchors: readonly Anchor[] = []): LogVerifier => {
  let walked = 0;
  const walk: Walk = {
    range: emptyRange,
    treeBroken: false,
    batchedTo: 0,
    bodies: 0,
    anchors: anchors.filter(({ size }) => size > 0).sort((a, b) => a.size - b.size),
    faults: createFaultList(),
  };
  return {
    page: (rows) => {
      if (rows.from !== walked || rows.to < rows.from)
        throw new RangeError('pages of the log follow each other');
      walkPage(walk, rows);
      walked = rows.to;
    },
    finish: (strays) => {
      if (walk.batchedTo !== walked)
        walk.faults.add(
          'batch',
          walk.batchedTo,
          `Entries from ${walk.batchedTo} to ${walked} have no record of their append.`,
        );
      for (const { table, seq } of strays)
        walk.faults.add('beyond', seq, `A row of ${table} at ${seq} lies outside of the log.`);
      for (const { size } of walk.anchors)
        walk.faults.add(
          'anchor',
          null,
          `The log has ${walked} entries, but ${size} are known to have been in it: its tail is missing, entries ${walked} to ${size - 1}.`,
        );
      const root = rootOf(walk.range).toString('hex');
      const { count, sorted } = walk.faults;
      return {
        ok: count() === 0,
        size: walked,
        root,
        bodies: walk.bodies,
        faultCount: count(),
        faults: sorted(),
      };
    },
  };
};

/** Runs {@link createVerifier} over pages from anywhere; `strays` is asked when they have ended. */
export const verifyLog = async (source: {
  readonly pages: AsyncIterable<LogRows> | Iterable<LogRows>;
  readonly strays?: () => Promise<readonly Stray[]>;
  readonly anchors?: readonly Anchor[];
}): Promise<Verdict> => {
  const verifier = createVerifier(source.anchors);
  for await (const rows of source.pages) verifier.page(rows);
  return verifier.finish((await source.strays?.()) ?? []);
};
