import {
  bytesOf,
  END_START,
  type ExportEnd,
  type ExportHeader,
  parseEnd,
  parseHeader,
  parseLine,
} from './export-format.ts';
import {
  createRangeWalk,
  createSelectionWalk,
  type ExportFindings,
  type ExportWalk,
  type OnEntry,
} from './export-walk.ts';
import { createFaultList, type Fault, type FaultKind, joinFaults } from './fault.ts';
import { createLineSplitter } from './line-splitter.ts';
import { isConsistent } from './proof.ts';
import { openSigned, type SignedCheckpoint, type Trust, trustNobody } from './trust.ts';
import type { Anchor } from './walk.ts';

/**
 * The verifier of exports: the file alone, without the vault, its database or a network. Pure, synchronous and in constant
 * memory; it is given the bytes in pieces of any size. Everything in them is attacker-controlled.
 */
export type ExportVerdict = ExportFindings & {
  readonly ok: boolean;
  /** Null when the file is no export. */
  readonly kind: ExportHeader['kind'] | null;
  readonly origin: string | null;
  /** The run [from, to) of a range; null for a selection. */
  readonly from: number | null;
  readonly to: number | null;
  /** Place of the log's own entry that this was exported; it tells how many bodies were given. */
  readonly entry: number | null;
  /** Lines of entries, and the bodies among them that were checked. */
  readonly entries: number;
  readonly bodies: number;
  /** The tree that the file is proven to belong to; root in hex. */
  readonly size: number;
  readonly root: string;
  /** How many entries of the log the checkpoint in the file covers; 0 without one. */
  readonly checkpointSize: number;
  /** Whether a trusted key has signed that checkpoint; false when none was given to compare with. */
  readonly signed: boolean;
  readonly witnesses: number;
  /** Known heads that are of trees this file says nothing about: newer than it, or beside its run. */
  readonly uncompared: number;
  readonly faultCount: number;
  /** The first of them, beginning with the first bad index. */
  readonly faults: readonly Fault[];
};

export type ExportExpectations = {
  readonly trust?: Trust;
  /** Heads the log is known to have had; those that this file says nothing about are counted, not missed. */
  readonly anchors?: readonly Anchor[];
  /** Entries the log is known to have had when the export was made. */
  readonly atLeast?: number;
  readonly onEntry?: OnEntry;
};

export type ExportVerifier = {
  readonly push: (piece: Buffer) => void;
  readonly finish: () => ExportVerdict;
};

type Add = (kind: FaultKind, index: number | null, message: string) => void;

const hexOf = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

/** The checkpoint, and whether it is of the tree that the header names, or of the beginning of that tree. */
const openHeaderCheckpoint = (header: ExportHeader, trust: Trust, add: Add): SignedCheckpoint | null => {
  if (header.checkpoint === null) {
    if (trust.keys.length > 0 || trust.quorum > 0)
      add('signature', null, 'The export has no checkpoint: nobody has signed its tree.');
    return null;
  }
  const opened = openSigned(header.checkpoint, trust);
  if ('fault' in opened) {
    add('signature', null, `The checkpoint of the export ${opened.fault}.`);
    return null;
  }
  if (opened.checkpoint.origin !== header.origin)
    add('signature', null, 'The checkpoint of the export is of another log than its header names.');
  return opened;
};

const checkBeginning = (header: ExportHeader, { checkpoint }: SignedCheckpoint, add: Add): void => {
  const { size } = checkpoint;
  // A checkpoint within the run is compared with the entries themselves.
  if (header.kind === 'range' && size > header.from && size <= header.to) return;
  const roots = { from: checkpoint.root, to: Buffer.from(header.root, 'base64') };
  if (isConsistent(size, header.size, roots, bytesOf(header.consistency))) return;
  add(
    'tree',
    null,
    `The tree of ${header.size} entries that the export names does not begin with the ${size} of its checkpoint.`,
  );
};

const within = (header: ExportHeader, { size }: Anchor): boolean =>
  header.kind === 'range' && size >= header.from && size <= header.to;

/** Whether the header itself says something about this head: the root it says, or null. */
const rootInHeader = (header: ExportHeader, opened: SignedCheckpoint | null, size: number): string | null => {
  if (size === header.size) return hexOf(header.root);
  return size === opened?.checkpoint.size ? opened.checkpoint.root.toString('hex') : null;
};

const checkSize = (header: ExportHeader, { atLeast = 0 }: ExportExpectations, add: Add): void => {
  if (header.size >= atLeast) return;
  add(
    'anchor',
    header.size,
    `The export is of a log of ${header.size} entries, but ${atLeast} are known to have been in it: its tail is missing.`,
  );
};

/** The log is told of an export after its tree was taken: what tells of it lies behind every entry that the file can hold. */
const checkEntry = ({ entry, size }: ExportHeader, add: Add): void => {
  if (entry >= size) return;
  add(
    'export',
    entry,
    `The header names entry ${entry} as the one that tells of this export; it is of a log that had ${size} entries before that one was written.`,
  );
};

type Compared = { readonly anchors: readonly Anchor[]; readonly uncompared: number };

/** Known heads that the entries of this file can be compared with; those that its header tells of are compared at once. */
const anchorsFor = (
  header: ExportHeader,
  opened: SignedCheckpoint | null,
  known: readonly Anchor[],
  add: Add,
): Compared => {
  let uncompared = 0;
  for (const anchor of known) {
    const told = rootInHeader(header, opened, anchor.size);
    if (told !== null && told !== anchor.root)
      add('anchor', null, `The first ${anchor.size} entries are not those of the known head of that size.`);
    if (told === null && !within(header, anchor)) uncompared += 1;
  }
  const own = opened && {
    size: opened.checkpoint.size,
    root: opened.checkpoint.root.toString('hex'),
    from: 'in the checkpoint of the export',
    ...(opened.seenAt === null ? {} : { seenAt: opened.seenAt * 1000 }),
  };
  const all = own === null ? known : [...known, own];
  return { anchors: all.filter((anchor) => within(header, anchor)), uncompared };
};

type State = {
  header: ExportHeader | null;
  opened: SignedCheckpoint | null;
  uncompared: number;
  walk: ExportWalk | null;
  /** Lines so far, and those among them that stand for entries. */
  lines: number;
  entries: number;
  end: ExportEnd | null;
  /** Nothing after this can be understood. */
  given: boolean;
};

const begin = (state: State, line: string | null, expected: ExportExpectations, add: Add): void => {
  const header = line === null ? null : parseHeader(line);
  if (header === null) {
    add('export', null, 'The first line is not the header of an export of this version.');
    state.given = true;
    return;
  }
  const opened = openHeaderCheckpoint(header, expected.trust ?? trustNobody, add);
  if (opened !== null) checkBeginning(header, opened, add);
  checkSize(header, expected, add);
  checkEntry(header, add);
  const compared = anchorsFor(header, opened, expected.anchors ?? [], add);
  state.header = header;
  state.opened = opened;
  state.uncompared = compared.uncompared;
  state.walk =
    header.kind === 'range'
      ? createRangeWalk(header, compared.anchors, expected.onEntry)
      : createSelectionWalk(header, expected.onEntry);
};

const takeLine = (state: State, line: string | null, expected: ExportExpectations, add: Add): void => {
  state.lines += 1;
  if (state.given) return;
  if (state.walk === null) {
    begin(state, line, expected, add);
    return;
  }
  if (state.end !== null) {
    add('export', null, 'Something follows the line that ends the export.');
    state.given = true;
    return;
  }
  state.end = line?.startsWith(END_START) === true ? parseEnd(line) : null;
  if (state.end !== null) return;
  state.entries += 1;
  const parsed = line === null ? null : parseLine(line);
  if (parsed === null) state.walk.unreadable(state.lines);
  else state.walk.line(parsed);
};

type Rest = ReturnType<ReturnType<typeof createLineSplitter>['finish']>;

const checkEnd = (state: State, { before, rest }: Rest, add: Add): void => {
  if (rest === 'too long')
    add('export', null, `Line ${state.lines + 1} is longer than any that the vault writes.`);
  if (state.header === null || state.given) return;
  if (state.end === null || rest !== 'none') {
    add('export', null, 'The export is cut: it does not end with the line that ends it.');
    return;
  }
  if (state.end.entries !== state.entries)
    add('export', null, `The export has ${state.entries} entries; ${state.end.entries} were written.`);
  if (state.end.end !== before)
    add('export', null, 'The bytes of the export are not those that were written: it was damaged or edited.');
};

export const createExportVerifier = (expected: ExportExpectations = {}): ExportVerifier => {
  const faults = createFaultList();
  const { add } = faults;
  const state: State = {
    header: null,
    opened: null,
    uncompared: 0,
    walk: null,
    lines: 0,
    entries: 0,
    end: null,
    given: false,
  };
  const splitter = createLineSplitter((line) => takeLine(state, line, expected, add));
  return {
    push: splitter.push,
    finish: () => {
      const rest = splitter.finish();
      if (state.lines === 0 && rest.rest !== 'too long') add('export', null, 'The file holds no export.');
      const findings = state.walk?.finish() ?? { pruned: 0, epochs: [] };
      checkEnd(state, rest, add);
      const { header, opened } = state;
      const walked = state.walk?.walk.faults;
      const faultCount = faults.count() + (walked?.count() ?? 0);
      return {
        ok: faultCount === 0,
        kind: header?.kind ?? null,
        origin: header?.origin ?? null,
        from: header?.kind === 'range' ? header.from : null,
        to: header?.kind === 'range' ? header.to : null,
        entry: header?.entry ?? null,
        entries: state.entries,
        bodies: state.walk?.walk.bodies ?? 0,
        ...findings,
        size: header?.size ?? 0,
        root: header === null ? '' : hexOf(header.root),
        checkpointSize: opened?.checkpoint.size ?? 0,
        signed: opened?.signed ?? false,
        witnesses: opened?.witnesses ?? 0,
        uncompared: state.uncompared,
        faultCount,
        faults: joinFaults(walked?.sorted() ?? [], faults.sorted()),
      };
    },
  };
};
