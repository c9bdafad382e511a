import { mayAppoint } from '../core/appointment.ts';
import type { UnitTable } from '../storage/unit-table.ts';
import type { UserRole, UserRow, UserTable } from '../storage/user-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { type AccountRequest, emailOf, type NewAccount, nameOf } from './new-account.ts';
import { type ListQuery, type Page, pageOf } from './page.ts';
import { createUnitChange, unitWords } from './unit-membership.ts';
import { reread, userChanged } from './user-change.ts';

export type AdministerUsersDeps = {
  readonly users: Pick<UserTable, 'find' | 'list'>;
  readonly units: Pick<UnitTable, 'usable'>;
  readonly newAccount: NewAccount;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
};

export type NewUserRequest = Omit<AccountRequest, 'password'> & {
  readonly role: UserRole;
  readonly units?: readonly string[];
};
export type UserChangeRequest = {
  readonly email?: string;
  readonly displayName?: string;
  /** The whole list of care units from now on. */
  readonly units?: readonly string[];
};
/** The password is shown once; only its hash is kept. */
export type UserWithPassword = { readonly user: UserRow; readonly initialPassword: string };

/** The columns whose value really changes. */
const changedColumns = (
  user: UserRow,
  asked: UserChangeRequest,
): { email?: string; displayName?: string } => {
  const email = asked.email === undefined ? user.email : emailOf(asked.email, 'body/email');
  const displayName =
    asked.displayName === undefined ? user.displayName : nameOf(asked.displayName, 'body/displayName');
  return {
    ...(email === user.email ? {} : { email }),
    ...(displayName === user.displayName ? {} : { displayName }),
  };
};

/**
 * People of one's own organisation, or of the installation for its own administrators. A role is given once, when the
 * account is made, and never above one's own; only nurses have care units. So no administrator can make his own account
 * hear; he can make another, and that is in the log.
 */
export const createAdministerUsers = (deps: AdministerUsersDeps) => {
  const { users, authority, changes, now } = deps;
  const unitChange = createUnitChange(deps);
  return {
    async create(caller: Caller, asked: NewUserRequest): Promise<UserWithPassword> {
      const organisationId = await authority.athome(caller, 'user.manage');
      if (!mayAppoint(caller.actor.role, asked.role))
        return authority.refuse(caller, 'role_above_own', 'Your role cannot make accounts with this role.');
      const { email, displayName, role } = asked;
      const { add } = await unitChange({ organisationId, role, units: [] }, asked.units ?? []);
      const { account, initialPassword } = await deps.newAccount({ email, displayName }, role);
      const words = [`created ${role}`, ...unitWords({ add, remove: [] })].join(', ');
      const { event, at } = userChanged(caller, now(), account.userId, words);
      await changes.perform(event, 'user.create', { ...account, organisationId, units: add, at });
      return { user: await reread(users, account.userId), initialPassword };
    },

    async list(caller: Caller, query: ListQuery): Promise<Page<UserRow>> {
      const organisationId = await authority.athome(caller, 'user.manage');
      return pageOf(query, (page) => users.list(organisationId, page));
    },

    async change(caller: Caller, id: string, asked: UserChangeRequest): Promise<UserRow> {
      const user = await authority.over(caller, 'user.manage', await users.find(id));
      const columns = changedColumns(user, asked);
      const units = await unitChange(user, asked.units ?? user.units);
      const words = [...Object.keys(columns), ...unitWords(units)];
      if (words.length === 0) return user;
      const { event } = userChanged(caller, now(), id, words.join(', '));
      await changes.perform(event, 'user.change', { userId: id, ...columns, ...units });
      return reread(users, id);
    },
  };
};

export type AdministerUsers = ReturnType<typeof createAdministerUsers>;
