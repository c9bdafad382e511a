import { pauseAfter } from './pause.ts';
import type { Found } from './scan-folder.ts';
import type { WatchOptions } from './watch-options.ts';

/**
 * Which files are finished and not settled. Times are milliseconds of a clock that nobody sets: a clock put back by a day
 * must not make a file wait for a day.
 */
export const createLedger = ({ state, keep, withSide, intervalMs, pauses }: WatchOptions) => {
  let seen = new Map<string, { readonly signature: string; readonly since: number }>();
  let next: typeof seen = new Map();
  /** Handed over but still there, or nothing that can be: until they change. */
  const settled = new Map<string, string>();
  const later = new Map<string, { readonly failures: number; readonly at: number }>();
  let counts = { found: 0, refused: 0, waiting: 0 };

  return {
    begin(): void {
      next = new Map();
      counts = { found: 0, refused: 0, waiting: 0 };
    },
    /** Whether this file is to be handed over now. */
    look({ key, signature, hasSide }: Found, now: number): boolean {
      const before = seen.get(key);
      const since = before?.signature === signature ? before.since : now;
      next.set(key, { signature, since });
      counts.found += 1;
      if (state.refusalOf(signature) !== null) {
        counts.refused += 1;
        return false;
      }
      if (settled.get(key) === signature || (keep && state.isStored(signature))) return false;
      counts.waiting += 1;
      if (since > now - intervalMs || (withSide && !hasSide)) return false;
      return (later.get(key)?.at ?? 0) <= now;
    },
    end(): void {
      seen = next;
      for (const known of [settled, later])
        for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
    },
    settle({ key, signature }: Found): void {
      settled.set(key, signature);
      later.delete(key);
    },
    forget({ key }: Found): void {
      later.delete(key);
    },
    /** Returns how often in a row it has failed by now. */
    putOff({ key }: Found, retryAfter: number | null): number {
      const failures = (later.get(key)?.failures ?? 0) + 1;
      later.set(key, { failures, at: performance.now() + pauseAfter(failures, retryAfter, pauses) });
      return failures;
    },
    counts: () => counts,
  };
};

export type Ledger = ReturnType<typeof createLedger>;
