import { pauseAfter } from './pause.ts';
import type { Found } from './scan-folder.ts';
import type { WatchOptions } from './watch-options.ts';
import type { Rest } from './watch-rest.ts';

type Seen = { readonly signature: string; readonly since: number; readonly looks: number };
/** `later`: not now, or not at all. */
export type Look = 'due' | 'later' | 'without_side';
const NONE = { found: 0, refused: 0, unremoved: 0, waiting: 0 };

/** Of the recording alone, for when its side file is gone. */
const ownOf = (signature: string): string => signature.split(' ').slice(0, 3).join(' ');

/**
 * Which files are finished and not settled. Times are milliseconds of a clock that nobody sets: a clock put back by a day
 * must not make a file wait for a day.
 */
export const createLedger = ({ state, keep, withSide, intervalMs, pauses }: WatchOptions) => {
  let seen = new Map<string, Seen>();
  let next: typeof seen = new Map();
  /** Handed over but still there, or nothing that can be: until they change. */
  const settled = new Map<string, string>();
  const later = new Map<string, { readonly failures: number; readonly at: number }>();
  /** Stored, and to be removed when that is possible; the side file may have gone already. */
  const told = new Map<string, string>();
  let counts = { ...NONE };

  const putOff = ({ key }: Found, retryAfter: number | null): number => {
    const failures = (later.get(key)?.failures ?? 0) + 1;
    later.set(key, { failures, at: performance.now() + pauseAfter(failures, retryAfter, pauses) });
    return failures;
  };

  return {
    begin(): void {
      next = new Map();
      counts = { ...NONE };
    },
    /** Whether this file is to be handed over now, should it be finished. */
    look({ key, signature, hasSide }: Found, now: number): Look {
      const before = seen.get(key);
      const isSame = before?.signature === signature;
      next.set(key, {
        signature,
        since: isSame ? before.since : now,
        looks: isSame ? before.looks + 1 : 1,
      });
      counts.found += 1;
      if (state.refusalOf(signature) !== null) {
        counts.refused += 1;
        return 'later';
      }
      if (!keep && state.isUnremoved(signature)) {
        counts.unremoved += 1;
        return 'later';
      }
      if (settled.get(key) === signature || (keep && state.isStored(signature))) return 'later';
      counts.waiting += 1;
      if ((isSame ? before.since : now) > now - intervalMs) return 'later';
      if (withSide && !hasSide && told.get(key) !== ownOf(signature)) return 'without_side';
      return (later.get(key)?.at ?? 0) <= now ? 'due' : 'later';
    },
    /** Of a file that was looked at in this look. */
    restOf(key: string, now: number): Rest {
      const { since = now, looks = 1 } = next.get(key) ?? {};
      return { ms: now - since, looks };
    },
    end(): void {
      seen = next;
      for (const known of [settled, later, told])
        for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
    },
    settle({ key, signature }: Found): void {
      settled.set(key, signature);
      later.delete(key);
    },
    /** Stored, and not to be removed; also when its side file was. Resolves to whether it could be written down. */
    async unremoved({ key, signature }: Found, sha256: string): Promise<boolean> {
      later.delete(key);
      const wrote = await state.unremoved(signature, sha256);
      const own = ownOf(signature);
      return own === signature ? wrote : (await state.unremoved(own, sha256)) && wrote;
    },
    forget({ key }: Found): void {
      later.delete(key);
    },
    /** Stored, and to be handed over, and so removed, again; answers whether that is new. */
    unremovedYet(found: Found): boolean {
      const own = ownOf(found.signature);
      const isNew = told.get(found.key) !== own;
      told.set(found.key, own);
      putOff(found, null);
      return isNew;
    },
    /** Returns how often in a row it has failed by now. */
    putOff,
    counts: () => counts,
  };
};

export type Ledger = ReturnType<typeof createLedger>;
