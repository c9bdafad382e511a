/**
 * What a verifier can find. `leaf`: a commitment is missing. `body`: a body is missing or not the one committed to.
 * `form`: a body is no entry of ours. `columns`: what is searched by differs from the body. `batch`: the record of appends
 * has a hole. `tree`: root, range or node is not what the leaves give. `anchor`: the log does not contain a head that is
 * known from elsewhere. `beyond`: rows outside the log. `signature`: a checkpoint is not signed by those who should have
 * signed it. `export`: a file is not, or not all of, what the vault wrote. `early_prune`: bodies were removed before the legal
 * period was out. `backdated`: an entry says that it is older than a checkpoint that was seen without it. `unreadable`: the
 * database cannot read rows of its own. `guard`: what guards the log in the database, or what it is searched by, is not what
 * the migrations made, or the role that serves can change it.
 */
export const faultKinds = [
  'leaf',
  'body',
  'form',
  'columns',
  'batch',
  'tree',
  'anchor',
  'beyond',
  'signature',
  'export',
  'early_prune',
  'backdated',
  'unreadable',
  'guard',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export type Fault = {
  /** The entry it concerns, or the first of those it may concern; null when it concerns none. */
  readonly index: number | null;
  readonly kind: FaultKind;
  /** A sentence with numbers and fields, never with what a body says. */
  readonly message: string;
};

/** Of each sort, more are counted but not kept: a verifier of ten million entries runs in constant memory. */
const KEPT = 20;

export type FaultList = {
  readonly add: (kind: FaultKind, index: number | null, message: string) => void;
  readonly count: () => number;
  /** The first that were found, by index; then those without one, which no number of the others pushes out. */
  readonly sorted: () => readonly Fault[];
};

/** Keeps `faults` by index and short. Some are known at the end of a walk only, and the first bad index is what is asked for. */
const place = (faults: Fault[], index: number, fault: Fault): void => {
  const at = faults.findLastIndex((other) => other.index! <= index) + 1;
  if (at === KEPT) return;
  faults.splice(at, 0, fault);
  if (faults.length > KEPT) faults.pop();
};

export const createFaultList = (known: readonly Fault[] = []): FaultList => {
  const placed: Fault[] = [];
  const general: Fault[] = [];
  let count = 0;
  const keep = (fault: Fault): void => {
    if (fault.index !== null) place(placed, fault.index, fault);
    else if (general.length < KEPT) general.push(fault);
  };
  known.forEach(keep);
  return {
    add: (kind, index, message) => {
      count += 1;
      keep({ index, kind, message });
    },
    count: () => count,
    sorted: () => [...placed, ...general],
  };
};

/** What two verifiers of the same log have found, as one list of them would hold it. */
export const joinFaults = (some: readonly Fault[], others: readonly Fault[]): readonly Fault[] =>
  createFaultList([...some, ...others]).sorted();
