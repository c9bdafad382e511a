import type { AuditEvent } from '../events.ts';
import { leafOf } from './commitment.ts';
import { createEpochs, type Epoch, type Epochs } from './epochs.ts';
import {
  bytesOf,
  type ExportFilter,
  type ExportLine,
  type RangeHeader,
  type SelectionHeader,
} from './export-format.ts';
import { parseRange, rootOf } from './merkle.ts';
import { isConsistent, rootFromInclusion } from './proof.ts';
import { createMissingBodies, type MissingBodies } from './pruned.ts';
import {
  type Anchor,
  addLeaf,
  checkBody,
  createAnchors,
  createWalk,
  differs,
  faultyColumns,
  type Walk,
} from './walk.ts';

/** The entries of one export, line by line; what is wrong goes to the walk's faults. */
export type ExportWalk = {
  readonly walk: Walk;
  /** A line that could be read. */
  readonly line: (line: ExportLine) => void;
  /** A line that could not: it stands where an entry should. */
  readonly unreadable: (number: number) => void;
  readonly finish: () => ExportFindings;
};

/** What a run tells besides faults. */
export type ExportFindings = { readonly pruned: number; readonly epochs: readonly Epoch[] };
const noFindings: ExportFindings = { pruned: 0, epochs: [] };

/** Told of every line whose content was looked at, with the entry where it is the one committed to. */
export type OnEntry = (line: ExportLine, event: AuditEvent | null) => void;
const nobody: OnEntry = () => undefined;

const checkContent = (walk: Walk, { seq, commitment, columns, content }: ExportLine): AuditEvent | null => {
  if (columns.length > 0) faultyColumns(walk.faults, seq, columns);
  if (content === 'withheld') {
    walk.missing?.withheld();
    return null;
  }
  const entry = content === 'missing' ? undefined : { seq, ...content, facts: null };
  return checkBody(walk, { seq, commitment, eventId: null }, entry);
};

const sayMissing = (walk: Walk, from: number, to: number, why: string): void => {
  const which = to - from === 1 ? `Entry ${from} is` : `Entries ${from} to ${to - 1} are`;
  walk.faults.add('leaf', from, `${which} missing: ${why}.`);
  walk.treeBroken = true;
};

/**
 * Where the run stands: `next` is the entry that should follow, `sound` the last place up to which all was right, `suspect`
 * the first since then whose body and commitment differ.
 */
type Run = {
  readonly walk: Walk;
  readonly header: RangeHeader;
  next: number;
  sound: number;
  suspect: number | null;
  /** The first place that may be wrong, for each known head that the run does not contain; an epoch may explain one. */
  readonly differing: { readonly anchor: Anchor; readonly index: number }[];
  readonly missing: MissingBodies;
  readonly epochs: Epochs;
};

/** What follows from one wrong place is not said again. */
const checkDiffering = ({ walk, differing, epochs }: Run): void => {
  const wrong = differing.find(({ anchor }) => !epochs.explains(anchor));
  if (wrong === undefined) return;
  walk.faults.add('anchor', wrong.index, differs(wrong.anchor));
  walk.treeBroken = true;
};

const finishTree = (run: Run): void => {
  const { walk, header, next } = run;
  if (next < header.to) sayMissing(walk, next, header.to, `the export ends before ${header.to}`);
  if (walk.treeBroken) return;
  const roots = { from: rootOf(walk.range), to: Buffer.from(header.root, 'base64') };
  if (isConsistent(header.to, header.size, roots, bytesOf(header.after))) return;
  walk.faults.add(
    'tree',
    run.suspect ?? run.sound,
    `The entries do not give the tree of ${header.size} entries that the export names: one from ${run.sound} to ${header.to - 1} is not the one appended, or a hash of the header is not the log's.`,
  );
};

const finishRun = (run: Run): ExportFindings => {
  checkDiffering(run);
  finishTree(run);
  return { pruned: run.missing.settle(run.walk.faults), epochs: run.epochs.told() };
};

const startRun = (header: RangeHeader): { readonly run: Run; readonly possible: boolean } => {
  const edge = parseRange(header.from, Buffer.concat(bytesOf(header.before)));
  const missing = createMissingBodies();
  const walk = createWalk(edge ?? undefined, missing);
  const { from, to, size } = header;
  const rest = { next: from, sound: from, suspect: null, differing: [], missing, epochs: createEpochs() };
  return { run: { walk, header, ...rest }, possible: edge !== null && from <= to && to <= size };
};

/** A contiguous run: begins at the tree's edge before it, and must end in the tree that the header names. */
export const createRangeWalk = (
  header: RangeHeader,
  known: readonly Anchor[],
  onEntry: OnEntry = nobody,
): ExportWalk => {
  const { run, possible } = startRun(header);
  const { walk } = run;
  const place = (): number => run.suspect ?? run.sound;
  const anchors = createAnchors(known, (anchor) => run.differing.push({ anchor, index: place() }));
  if (possible) {
    run.sound = 0;
    anchors.check(walk, header.from);
    run.sound = header.from;
  } else {
    walk.treeBroken = true;
    walk.faults.add('export', header.from, 'The header does not describe a run of entries in a tree.');
  }

  const takeContent = (line: ExportLine): void => {
    const faults = walk.faults.count();
    const event = checkContent(walk, line);
    onEntry(line, event);
    if (walk.faults.count() > faults) run.suspect ??= line.seq;
    if (event !== null && !walk.treeBroken) run.epochs.meet(line.seq, event, walk.range, walk.faults);
  };

  return {
    walk,
    line: (line) => {
      const { seq, commitment } = line;
      if (seq < run.next || seq >= header.to) {
        const why = seq < run.next ? 'comes twice, or out of order' : `lies beyond ${header.to}`;
        walk.faults.add('export', seq, `Entry ${seq} ${why}.`);
        return;
      }
      if (seq > run.next) sayMissing(walk, run.next, seq, `${seq} comes instead`);
      run.next = seq + 1;
      if (line.proof !== null)
        walk.faults.add('export', seq, `Entry ${seq} has a proof of its own, which a run has not.`);
      takeContent(line);
      if (walk.treeBroken) return;
      addLeaf(walk, seq, { seq, commitment, eventId: null });
      if (anchors.check(walk, run.next) === true) [run.sound, run.suspect] = [run.next, null];
    },
    unreadable: (number) => {
      walk.faults.add('export', run.next, `Line ${number} is not one that the vault writes.`);
      walk.treeBroken = true;
      run.next += 1;
    },
    finish: () => finishRun(run),
  };
};

const matches = (filter: ExportFilter, { recording, actor, subject, at }: AuditEvent): boolean =>
  (filter.recording === null || filter.recording === recording) &&
  (filter.actor === null || filter.actor === actor.id) &&
  (filter.subjects === null || (subject !== null && filter.subjects.includes(subject))) &&
  (filter.since === null || at >= filter.since) &&
  (filter.until === null || at < filter.until);

const checkProof = (walk: Walk, header: SelectionHeader, { seq, commitment, proof }: ExportLine): void => {
  const root = proof && rootFromInclusion(seq, header.size, leafOf(commitment), proof);
  if (root?.toString('base64') === header.root) return;
  walk.faults.add(
    'tree',
    seq,
    `Entry ${seq} is not proven to be in the tree of ${header.size} entries that the export names.`,
  );
};

/** Entries that stand alone: each is proven to be in the tree, newest first by time and then by place. That none was left out cannot be shown. */
export const createSelectionWalk = (header: SelectionHeader, onEntry: OnEntry = nobody): ExportWalk => {
  const walk = createWalk();
  let last = { at: Infinity, seq: Infinity };
  const checkEvent = (seq: number, event: AuditEvent): void => {
    const { at } = event;
    if (!matches(header.filter, event))
      walk.faults.add('export', seq, `Entry ${seq} is not one that the header asks for.`);
    if (at > last.at || (at === last.at && seq >= last.seq))
      walk.faults.add('export', seq, `Entry ${seq} comes twice, or out of order.`);
    last = { at, seq };
  };
  return {
    walk,
    line: (line) => {
      if (line.content === 'withheld')
        walk.faults.add('export', line.seq, `Entry ${line.seq} has no body, and a selection is of bodies.`);
      checkProof(walk, header, line);
      const event = checkContent(walk, line);
      onEntry(line, event);
      if (event !== null) checkEvent(line.seq, event);
    },
    unreadable: (number) => {
      walk.faults.add('export', null, `Line ${number} is not one that the vault writes.`);
    },
    finish: () => noFindings,
  };
};
