import type { AuditWriter } from '../audit/writer.ts';
import { encodeEvent } from '../core/audit/entry.ts';
import type { AuditEventOf } from '../core/events.ts';
import { newEventId } from './new-event-id.ts';

export type Refusal = {
  /** Keyed hash of the address prefix. */
  readonly prefix: string;
  /** Keyed hash of the account or client that was named; null when none was. */
  readonly account: string | null;
  /** A closed word of ours. */
  readonly reason: string;
  readonly request: string | null;
};

export type RefusalLimits = {
  /** After the first entry of a prefix and account, the rest of this long is one entry with a count. */
  readonly windowMs: number;
  /** Windows open at once; what does not fit is counted together. */
  readonly windows: number;
  /** What strangers may write into the log in a day. */
  readonly bytesPerDay: number;
  /** What no longer fits is one entry per this long. */
  readonly overflowMs: number;
};

const defaults: RefusalLimits = {
  windowMs: 60_000,
  windows: 10_000,
  bytesPerDay: 4 * 1024 * 1024,
  overflowMs: 3_600_000,
};

type Deps = {
  readonly audit: Pick<AuditWriter, 'append'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly limits?: RefusalLimits;
};

type Tally = Omit<Refusal, 'reason'> & { reason: string; count: number; opened: number };

const DAY_MS = 86_400_000;
const OTHERS = { prefix: 'others', account: null, request: null };

/** What strangers' entries may still cost today, in bytes of the log. */
const createBudget = (bytesPerDay: number) => {
  let day = Number.NaN;
  let left = 0;
  return (bytes: number, now: number): boolean => {
    const today = Math.floor(now / DAY_MS);
    if (today !== day) {
      day = today;
      left = bytesPerDay;
    }
    if (bytes > left) return false;
    left -= bytes;
    return true;
  };
};

const eventOf = (
  { prefix, account, reason, request }: Refusal,
  count: number,
  { now }: Pick<Deps, 'now'>,
): AuditEventOf<'session.refused'> => ({
  id: newEventId(now()),
  at: now(),
  action: 'session.refused',
  outcome: 'denied',
  actor: { type: 'anonymous', id: null, role: null },
  organisation: null,
  unit: null,
  recording: null,
  subject: null,
  purpose: null,
  session: null,
  request,
  detail: { prefix, account, count, reason },
});

const keyOf = ({ prefix, account }: Pick<Refusal, 'prefix' | 'account'>): string =>
  `${prefix} ${account ?? ''}`;

const merged = (known: string, reason: string): string => (known === reason ? known : 'several');

/**
 * Refusals of strangers in the access log, without letting strangers fill it: the first of an address prefix and account
 * is an entry at once, the others of that minute are one entry with their count, and a day's entries have a budget.
 * Nothing is left uncounted: what exceeds the budget or the memory is told together, once an hour. A crash loses at
 * most the counts of the minute.
 */
export const createRefusalAggregator = (deps: Deps) => {
  const { audit, now, limits = defaults } = deps;
  const tallies = new Map<string, Tally>();
  const overflow: Tally = { ...OTHERS, reason: 'over_budget', count: 0, opened: Number.NEGATIVE_INFINITY };
  const mayCost = createBudget(limits.bytesPerDay);

  const keep = (tally: Tally, count: number): void => {
    const key = keyOf(tally);
    const again = tallies.get(key);
    if (again !== undefined) again.count += count;
    else if (tallies.size < limits.windows) tallies.set(key, { ...tally, count, opened: now() });
    else overflow.count += count;
  };

  /** False: it is counted with the others, because the budget is spent. Rejects when the log refuses; nothing is lost then. */
  const write = async (tally: Tally, count: number): Promise<void> => {
    const event = eventOf(tally, count, deps);
    if (!mayCost(encodeEvent(event).body.length, now())) {
      overflow.count += count;
      return;
    }
    try {
      await audit.append(event);
    } catch (error) {
      keep(tally, count);
      throw error;
    }
  };

  const writeOverflow = async (): Promise<void> => {
    const { count } = overflow;
    overflow.count = 0;
    overflow.opened = now();
    try {
      await audit.append(eventOf(overflow, count, deps));
    } catch (error) {
      overflow.count += count;
      throw error;
    }
  };

  const flushOlderThan = async (opened: number): Promise<void> => {
    const due = [...tallies].filter(([, tally]) => tally.opened <= opened);
    for (const [key] of due) tallies.delete(key);
    const writing = due.flatMap(([, tally]) => (tally.count > 0 ? [write(tally, tally.count)] : []));
    const results = await Promise.allSettled(writing);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  };

  return {
    /** Resolves when the refusal is in the log or counted. Rejects when the log cannot take it; then it stays counted. */
    record: async (refusal: Refusal): Promise<void> => {
      const key = keyOf(refusal);
      const known = tallies.get(key);
      if (known !== undefined) {
        known.reason = known.count === 0 ? refusal.reason : merged(known.reason, refusal.reason);
        known.count += 1;
        return;
      }
      if (tallies.size >= limits.windows) {
        overflow.count += 1;
        return;
      }
      const tally = { ...refusal, count: 0, opened: now() };
      tallies.set(key, tally);
      await write(tally, 1);
    },

    /** Writes what has been counted in windows that are over. To be called every few seconds. */
    flush: async (): Promise<void> => {
      await flushOlderThan(now() - limits.windowMs);
      if (overflow.count > 0 && overflow.opened <= now() - limits.overflowMs) await writeOverflow();
    },

    /** Writes all that is counted, before the log closes. */
    close: async (): Promise<void> => {
      await flushOlderThan(Number.POSITIVE_INFINITY);
      if (overflow.count > 0) await writeOverflow();
    },
  };
};

export type RefusalAggregator = ReturnType<typeof createRefusalAggregator>;
