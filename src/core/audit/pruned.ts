import type { AuditEvent } from '../events.ts';
import type { FaultList } from './fault.ts';

/** Bodies of the log are kept this many years at least, whatever anybody is told. */
export const FEWEST_YEARS = 5;

/** The same day and time of day so many years before, UTC; the last of February where that year has no 29th. */
export const yearsBefore = (at: number, years: number): number => {
  const then = new Date(at);
  const month = then.getUTCMonth();
  then.setUTCFullYear(then.getUTCFullYear() - years);
  if (then.getUTCMonth() !== month) then.setUTCDate(0);
  return then.getTime();
};

/** Entries [from, to) without a body, and when the first one behind them was written; null where none tells. */
type Gap = { readonly from: number; to: number; closed: boolean; nextAt: number | null };
type Claim = { readonly from: number; readonly to: number; readonly floor: number; readonly at: number };

/** More gaps or claims than an honest log has in a thousand years; what comes beyond them is neither kept nor excused. */
const MOST = 4096;

/** A clock that goes before another's by less than this is not taken for a lie. */
const SKEW_MS = 86_400_000;

/**
 * The bodies that a walk through the log did not find, in the order of the log. Whether they were removed as the law
 * allows is known only when an entry behind them has told of it.
 */
export type MissingBodies = {
  readonly absent: (seq: number) => void;
  /** `event` is null for a body that is none. */
  readonly present: (seq: number, event: AuditEvent | null) => void;
  /** A body that is there and not shown (an export): whether what is missing before it was old enough cannot be told. */
  readonly withheld: () => void;
  /**
   * Adds what is missing without an entry that tells of it (`body`), and what was removed too early (`early_prune`).
   * Returns how many bodies are missing rightly. `now`: the verifier's clock, where it has one.
   */
  readonly settle: (faults: FaultList, now?: number) => number;
};

const naming = (from: number, to: number): string =>
  to - from === 1 ? `The body of entry ${from} is` : `The bodies of entries ${from} to ${to - 1} are`;

const isOld = ({ nextAt }: Gap, { at, floor }: Claim, now: number): boolean =>
  floor >= FEWEST_YEARS &&
  at <= now + SKEW_MS &&
  nextAt !== null &&
  nextAt <= yearsBefore(at, Math.min(floor, 1000));

const settleGap = (gap: Gap, claims: readonly Claim[], faults: FaultList, now: number): number => {
  const telling = claims.filter(({ from, to }) => from <= gap.from && to > gap.from);
  // The part that the honest claims reach, else the part that any of them does.
  const old = telling.filter((claim) => isOld(gap, claim, now));
  const reach = (among: readonly Claim[]): number =>
    Math.min(gap.to, Math.max(gap.from, ...among.map(({ to }) => to)));
  const [rightly, told] = [reach(old), reach(telling)];
  if (told > rightly)
    faults.add(
      'early_prune',
      rightly,
      `${naming(rightly, told)} removed before the time was out: what stands behind was younger than the law asks when an entry told of it.`,
    );
  if (gap.to > told) faults.add('body', told, `${naming(told, gap.to)} missing.`);
  return rightly - gap.from;
};

export const createMissingBodies = (): MissingBodies => {
  const gaps: Gap[] = [];
  const claims: Claim[] = [];
  let beyond: number | null = null;
  const excuse = (seq: number, { at, outcome, action, detail }: AuditEvent): void => {
    if (action !== 'log.pruned' || outcome !== 'success' || claims.length >= MOST) return;
    const { from, to, floor } = detail as { from: number; to: number; floor: number };
    // Nobody can tell of what comes after.
    if (to <= seq) claims.push({ from, to, floor, at });
  };
  return {
    absent: (seq) => {
      const last = gaps.at(-1);
      if (last?.closed === false) last.to = seq + 1;
      else if (gaps.length >= MOST) beyond ??= seq;
      else gaps.push({ from: seq, to: seq + 1, closed: false, nextAt: null });
    },
    present: (seq, event) => {
      const last = gaps.at(-1);
      if (last !== undefined) {
        last.closed = true;
        last.nextAt ??= event?.at ?? null;
      }
      if (event !== null) excuse(seq, event);
    },
    withheld: () => {
      const last = gaps.at(-1);
      if (last?.closed !== false) return;
      last.closed = true;
      last.nextAt = 0;
    },
    settle: (faults, now = Number.MAX_SAFE_INTEGER - SKEW_MS) => {
      if (beyond !== null)
        faults.add('body', beyond, `From entry ${beyond} on, bodies are missing here and there.`);
      return gaps.reduce((rightly, gap) => rightly + settleGap(gap, claims, faults, now), 0);
    },
  };
};
