import { AppError } from '../core/errors.ts';
import type { Passwords } from '../crypto/passwords.ts';
import type { UserRow, UserTable } from '../storage/user-table.ts';
import type { UserWithPassword } from './administer-users.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { newInitialPassword } from './initial-password.ts';
import { reread, userChanged } from './user-change.ts';

export type UserAccessDeps = {
  readonly users: Pick<UserTable, 'find'>;
  readonly passwords: Pick<Passwords, 'hash'>;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
};

/** Whether a person can sign in, and with what. */
export const createUserAccess = ({ users, passwords, authority, changes, now }: UserAccessDeps) => {
  const find = async (caller: Caller, id: string): Promise<UserRow> =>
    authority.over(caller, 'user.manage', await users.find(id));
  return {
    /**
     * A new password for somebody who has lost the old one; every session of that person ends. It opens nothing: it is only
     * good for choosing another.
     */
    async resetPassword(caller: Caller, id: string): Promise<UserWithPassword> {
      await find(caller, id);
      if (id === caller.actor.id)
        throw new AppError('conflict', 'Change your own password by giving the current one.');
      const initialPassword = newInitialPassword();
      const passwordHash = await passwords.hash(initialPassword);
      const { event, by, at } = userChanged(caller, now(), id, 'password reset');
      await changes.perform(event, 'user.password', {
        userId: id,
        passwordHash,
        initial: true,
        keepSession: null,
        at,
        by,
      });
      return { user: await reread(users, id), initialPassword };
    },

    /** Counts from that person's next request. Rejects with `conflict` for the last administrator. */
    async disable(caller: Caller, id: string): Promise<UserRow> {
      const user = await find(caller, id);
      if (user.disabledAt !== null) return user;
      const { event, by, at } = userChanged(caller, now(), id, 'disabled');
      await changes.perform(event, 'user.disable', { userId: id, at, by });
      return reread(users, id);
    },

    /** Sessions that ended when the person was disabled stay ended. */
    async enable(caller: Caller, id: string): Promise<UserRow> {
      const user = await find(caller, id);
      if (user.disabledAt === null) return user;
      const { event } = userChanged(caller, now(), id, 'enabled');
      await changes.perform(event, 'user.enable', { userId: id });
      return reread(users, id);
    },
  };
};

export type UserAccess = ReturnType<typeof createUserAccess>;
