import { AppError } from '../core/errors.ts';
import type { UserRow, UserTable } from '../storage/user-table.ts';
import type { Caller } from './authority.ts';
import { eventBase } from './event-base.ts';

/** The entry about a changed user, when it was, and on whose account what follows from it happens. */
export const userChanged = (caller: Caller, now: number, target: string, change: string) => {
  const base = eventBase(caller.actor, caller.request, now);
  const by = { actor: base.actor, organisation: base.organisation, request: base.request };
  const event = { ...base, action: 'user.changed', outcome: 'success', detail: { target, change } } as const;
  return { event, by, at: base.at };
};

/** The user after the change. */
export const reread = async (users: Pick<UserTable, 'find'>, id: string): Promise<UserRow> => {
  const user = await users.find(id);
  if (user === null) throw new AppError('internal', 'a user that was just changed is not there');
  return user;
};
