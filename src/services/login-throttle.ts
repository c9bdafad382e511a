import { LRUCache } from 'lru-cache';
import { AppError } from '../core/errors.ts';

export type Attempt = {
  /** Keyed hash of the account name, whether it exists or not. */
  readonly account: string;
  /** Keyed hash of the address prefix. */
  readonly place: string;
  /** The account has signed in from this place before. */
  readonly known: boolean;
};

export type ThrottleLimit = {
  /** Failures that may come at once. */
  readonly burst: number;
  /** Afterwards one more per this many milliseconds. */
  readonly everyMs: number;
};

export type ThrottleLimits = {
  /** One account from one place, the same whether it exists or is at home there. */
  readonly pair: ThrottleLimit;
  /** One place, all accounts that are strangers there. */
  readonly place: ThrottleLimit;
  /** One account, all places where it is a stranger. */
  readonly account: ThrottleLimit;
  /** Counters remembered per kind; the one unused for longest is forgotten first. */
  readonly remembered: number;
};

const defaults: ThrottleLimits = {
  pair: { burst: 10, everyMs: 15_000 },
  place: { burst: 50, everyMs: 6_000 },
  account: { burst: 30, everyMs: 120_000 },
  remembered: 50_000,
};

export type Admission = { readonly forgive: () => void } | { readonly refused: AppError };

const tooMany = (waitMs: number): AppError =>
  new AppError('rate_limited', 'Too many failed attempts to sign in. Wait and try again.', {
    retryAfter: Math.ceil(waitMs / 1000),
  });

type Bucket = { level: number; at: number };

/** Failures that leak out at a fixed rate. */
const createBuckets = (limit: ThrottleLimit, remembered: number) => {
  const buckets = new LRUCache<string, Bucket>({ max: remembered });
  const levelOf = (key: string, now: number): number => {
    const bucket = buckets.get(key);
    return bucket === undefined ? 0 : Math.max(0, bucket.level - (now - bucket.at) / limit.everyMs);
  };
  return {
    /** Milliseconds until one more fits. */
    wait: (key: string, now: number): number =>
      Math.max(0, levelOf(key, now) + 1 - limit.burst) * limit.everyMs,
    add: (key: string, amount: 1 | -1, now: number): void => {
      buckets.set(key, { level: Math.max(0, levelOf(key, now) + amount), at: now });
    },
  };
};

/**
 * Slows guessing without locking anybody out. An attempt is counted before the password is looked at, so that many at
 * once gain nothing, and is taken back when it succeeds. A stranger's guesses fill the counters of the stranger's place
 * and of the account away from home; where the account has signed in before, only failures with that account from that
 * place count. What remains: whoever shares an account's own place can slow it, and, once that place's counter is full,
 * see which accounts are at home there. In memory, per process: what a restart forgets is a burst.
 */
export const createLoginThrottle = ({
  now,
  limits = defaults,
}: {
  readonly now: () => number;
  readonly limits?: ThrottleLimits;
}) => {
  const { remembered } = limits;
  const pair = createBuckets(limits.pair, remembered);
  const place = createBuckets(limits.place, remembered);
  const account = createBuckets(limits.account, remembered);

  const countersOf = ({ known, ...attempt }: Attempt) => {
    const own = { buckets: pair, key: `${attempt.account}@${attempt.place}` };
    if (known) return [own];
    return [own, { buckets: place, key: attempt.place }, { buckets: account, key: attempt.account }];
  };

  return {
    /** Counts the attempt, unless it has to wait; `forgive` takes it back. `refused` is what to answer: `rate_limited`. */
    admit: (attempt: Attempt): Admission => {
      const counters = countersOf(attempt);
      const at = now();
      const wait = Math.max(...counters.map(({ buckets, key }) => buckets.wait(key, at)));
      if (wait > 0) return { refused: tooMany(wait) };
      for (const { buckets, key } of counters) buckets.add(key, 1, at);
      return {
        forgive: () => {
          for (const { buckets, key } of counters) buckets.add(key, -1, now());
        },
      };
    },
  };
};

export type LoginThrottle = ReturnType<typeof createLoginThrottle>;
