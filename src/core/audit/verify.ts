import { createEpochs, type Epoch, type Epochs } from './epochs.ts';
import type { Fault, FaultList } from './fault.ts';
import type { LogRows, StoredBatch, Stray } from './log-rows.ts';
import { rangeBytes, rootOf, type TreeNode } from './merkle.ts';
import { createMissingBodies, type MissingBodies } from './pruned.ts';
import {
  type Anchor,
  type Anchors,
  addLeaf,
  checkBody,
  createAnchors,
  createWalk,
  differs,
  type Walk as EntryWalk,
} from './walk.ts';

export type { Anchor };

/**
 * The verifier of the log: re-derives everything from the bodies up and compares it with what is stored. Pure and
 * synchronous; {@link verifyLog} feeds it from any source. Everything it is given is attacker-controlled.
 */
export type Verdict = {
  readonly ok: boolean;
  /** Entries that were walked through, and the root they give (hex). */
  readonly size: number;
  readonly root: string;
  /** Bodies that were checked. */
  readonly bodies: number;
  /** Bodies that are missing rightly: older than the floor of an entry `log.pruned` that tells of them. */
  readonly pruned: number;
  /** New beginnings after a restore or failover, that the log tells of itself. To be shown to whoever asked, always. */
  readonly epochs: readonly Epoch[];
  /** All that was found; `faults` keeps the first of them, beginning with the first bad index. */
  readonly faultCount: number;
  readonly faults: readonly Fault[];
};

type Walk = EntryWalk & {
  batchedTo: number;
  readonly anchors: Anchors;
  /** Entries up to the newest known head that the log was found to contain. */
  sound: number;
  /** Known heads that the log does not contain, and the first entry that may be why; an epoch may explain them. */
  readonly differing: { readonly anchor: Anchor; readonly index: number }[];
  readonly epochs: Epochs;
  readonly missing: MissingBodies;
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
    const before = walk.range;
    addLeaf(walk, seq, leaf, (node) => nodes.push(node));
    const event = leaf === undefined ? null : checkBody(walk, leaf, entry);
    if (event !== null) walk.epochs.meet(seq, event, before, walk.faults);
    for (let batch = batchOf(seq + 1); batch !== undefined; batch = batchOf(seq + 1)) checkBatch(walk, batch);
    if (walk.anchors.check(walk, seq + 1) === true) walk.sound = seq + 1;
  }
  checkNodes(walk, nodes, page.nodes);
  for (const { seq, index } of page.unfound ?? [])
    walk.faults.add('columns', seq, `Entry ${seq} is not found by the index ${index}: searches miss it.`);
};

export type LogVerifier = {
  /** Throws RangeError when the page does not follow the one before. */
  readonly page: (rows: LogRows) => void;
  /** `strays`: rows that lie outside of what was walked through. `guards`: what is wrong around the rows, in sentences. */
  readonly finish: (strays: readonly Stray[], guards?: readonly string[]) => Verdict;
};

/** What was wrong already behind the newest head that the log contains, else the first entry behind that. */
const firstSuspect = ({ faults, sound }: Walk): number =>
  faults.sorted().find(({ index }) => index !== null && index >= sound)?.index ?? sound;

const startWalk = (known: readonly Anchor[]): Walk => {
  const missing = createMissingBodies();
  const anchors = createAnchors(known, (anchor) =>
    walk.differing.push({ anchor, index: firstSuspect(walk) }),
  );
  const walk: Walk = {
    ...createWalk(undefined, missing),
    missing,
    batchedTo: 0,
    anchors,
    sound: 0,
    differing: [],
    epochs: createEpochs(),
  };
  return walk;
};

const addStray = (faults: FaultList, { table, seq, unreadable }: Stray): void => {
  if (unreadable === true)
    faults.add(
      'unreadable',
      seq,
      `The database cannot read rows of ${table}${seq === null ? '' : ` from ${seq} on`}: its files are damaged, or were edited.`,
    );
  else faults.add('beyond', seq, `A row of ${table} at ${seq} lies outside of the log.`);
};

/** Known heads that neither the log nor one of its epochs accounts for. */
const checkAnchors = ({ anchors, differing, epochs, faults }: Walk, walked: number): void => {
  for (const { anchor, index } of differing)
    if (!epochs.explains(anchor)) faults.add('anchor', index, differs(anchor));
  for (const anchor of anchors.rest()) {
    const { size, from } = anchor;
    if (epochs.explains(anchor)) continue;
    faults.add(
      'anchor',
      walked,
      `The log has ${walked} entries, but ${size} are known to have been in it${from === undefined ? '' : ` ${from}`}: its tail is missing, entries ${walked} to ${size - 1}.`,
    );
  }
};

/** `anchors`: heads the log must contain, in any order. `now`: the verifier's clock, milliseconds since 1970. */
export const createVerifier = (anchors: readonly Anchor[] = [], now?: number): LogVerifier => {
  let walked = 0;
  const walk = startWalk(anchors);
  return {
    page: (rows) => {
      if (rows.from !== walked || rows.to < rows.from)
        throw new RangeError('pages of the log follow each other');
      walkPage(walk, rows);
      walked = rows.to;
    },
    finish: (strays, guards = []) => {
      if (walk.batchedTo !== walked)
        walk.faults.add(
          'batch',
          walk.batchedTo,
          `Entries from ${walk.batchedTo} to ${walked} have no record of their append.`,
        );
      for (const stray of strays) addStray(walk.faults, stray);
      for (const guard of guards) walk.faults.add('guard', null, guard);
      checkAnchors(walk, walked);
      const pruned = walk.missing.settle(walk.faults, now);
      const root = rootOf(walk.range).toString('hex');
      const { count, sorted } = walk.faults;
      return {
        ok: count() === 0,
        size: walked,
        root,
        bodies: walk.bodies,
        pruned,
        epochs: walk.epochs.told(),
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
  readonly guards?: readonly string[];
  readonly anchors?: readonly Anchor[];
  readonly now?: number;
}): Promise<Verdict> => {
  const verifier = createVerifier(source.anchors, source.now);
  for await (const rows of source.pages) verifier.page(rows);
  return verifier.finish((await source.strays?.()) ?? [], source.guards);
};
