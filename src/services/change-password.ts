import type { UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { passwordFault } from '../core/password-rules.ts';
import type { Passwords } from '../crypto/passwords.ts';
import type { UserTable } from '../storage/user-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import type { IdentityChanges } from './identity-changes.ts';
import type { LoginThrottle } from './login-throttle.ts';
import type { Origins } from './origins.ts';
import type { RecordDenial } from './record-denial.ts';

export type ChangePasswordDeps = {
  readonly users: Pick<UserTable, 'find' | 'passwordHash'>;
  readonly passwords: Passwords;
  readonly origins: Origins;
  readonly throttle: LoginThrottle;
  readonly recordDenial: RecordDenial;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
};

export type PasswordChange = {
  readonly actor: UserActor;
  readonly request: string;
  readonly route: string;
  readonly address: string;
  readonly currentPassword: string;
  readonly newPassword: string;
};

/**
 * A person's own password. The current one is asked for again, and guesses are slowed as when signing in: a session that
 * was left open does not give the account away. The new one is another. All other sessions of the person end.
 */
export const createChangePassword = (deps: ChangePasswordDeps) => {
  const assertCurrent = async (asked: PasswordChange, email: string): Promise<void> => {
    const { actor, request, route, currentPassword, newPassword } = asked;
    const [place, account] = await Promise.all([
      deps.origins.place(asked.address),
      deps.origins.account(email),
    ]);
    const attempt = deps.throttle.admit({ account: account.label, place: place.label, known: true });
    if ('refused' in attempt) throw attempt.refused;
    const stored = await deps.users.passwordHash(actor.id);
    const { ok } = await deps.passwords.verify(stored, currentPassword);
    if (!ok) {
      await deps.recordDenial({ actor, request, route, reason: 'wrong_password' });
      throw new AppError('forbidden', 'The current password is not right.');
    }
    attempt.forgive();
    // Whoever made an initial password must not know it afterwards.
    if ((await deps.passwords.verify(stored, newPassword)).ok)
      throw invalid('body/newPassword', 'is the one you have: choose another');
  };

  return async (asked: PasswordChange): Promise<void> => {
    const { actor, request, newPassword } = asked;
    const user = await deps.users.find(actor.id);
    if (user === null) throw new AppError('unauthenticated', 'Sign in again: the session has ended.');
    const fault = passwordFault(newPassword, [user.email, user.displayName]);
    if (fault !== null) throw invalid('body/newPassword', fault);
    await assertCurrent(asked, user.email);
    const passwordHash = await deps.passwords.hash(newPassword);
    const base = eventBase(actor, request, deps.now());
    const by = { actor: base.actor, organisation: base.organisation, request };
    await deps.changes.perform(
      {
        ...base,
        action: 'user.changed',
        outcome: 'success',
        detail: { target: actor.id, change: 'own_password' },
      },
      'user.password',
      { userId: actor.id, passwordHash, initial: false, keepSession: actor.session, at: base.at, by },
    );
  };
};

export type ChangePassword = ReturnType<typeof createChangePassword>;
