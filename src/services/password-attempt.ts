import type { Passwords, PasswordVerdict } from '../crypto/passwords.ts';
import type { SessionTable } from '../storage/session-table.ts';
import type { SignInUser } from '../storage/user-table.ts';
import type { LoginThrottle } from './login-throttle.ts';
import type { Origin } from './origins.ts';
import type { RefusalAggregator } from './refusal-aggregator.ts';
import { KNOWN_PLACE_MS } from './session-limits.ts';

export type PasswordAttemptDeps = {
  readonly sessions: Pick<SessionTable, 'hasSignedInFrom'>;
  readonly passwords: Pick<Passwords, 'verify'>;
  readonly throttle: LoginThrottle;
  readonly refusals: Pick<RefusalAggregator, 'record'>;
  readonly now: () => number;
};

export type PasswordAttempt = {
  /** Null: nobody has this address. */
  readonly user: SignInUser | null;
  /** Attacker-controlled. */
  readonly password: string;
  readonly place: Origin;
  readonly account: Origin;
  readonly request: string;
};

/** Stands in for a user that does not exist, so that the same questions are asked of the database. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

/**
 * One guess at a password, counted before it is looked at. Null when it was wrong, or the user does not exist or is
 * disabled: the same steps for each, and the refusal is in the log. Throws `rate_limited`, `log_unavailable`.
 */
export const createPasswordAttempt =
  ({ sessions, passwords, throttle, refusals, now }: PasswordAttemptDeps) =>
  async (attempt: PasswordAttempt): Promise<PasswordVerdict | null> => {
    const { user, password, place, account, request } = attempt;
    const refuse = (reason: string) =>
      refusals.record({ prefix: place.label, account: account.label, reason, request });

    const since = new Date(now() - KNOWN_PLACE_MS);
    const known = await sessions.hasSignedInFrom(user?.id ?? NOBODY, place.indexes, since);
    const counted = throttle.admit({ account: account.label, place: place.label, known });
    if ('refused' in counted) {
      await refuse('throttled');
      throw counted.refused;
    }
    const verdict = await passwords.verify(user?.passwordHash ?? null, password).catch((error: unknown) => {
      // Turned away because too many are signing in at once: that says nothing about this password.
      counted.forgive();
      throw error;
    });
    if (!verdict.ok || user?.enabled !== true) {
      await refuse(verdict.ok ? 'disabled' : 'credentials');
      return null;
    }
    counted.forgive();
    return verdict;
  };

export type CheckPassword = ReturnType<typeof createPasswordAttempt>;
