import type { ActorContext } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { Role } from '../core/events.ts';
import type { OrganisationTable } from '../storage/organisation-table.ts';
import type { SourceTable } from '../storage/source-table.ts';
import type { UnitTable } from '../storage/unit-table.ts';
import type { UserTable } from '../storage/user-table.ts';

type Named = { readonly id: string; readonly name: string };

export type ActorDescription = {
  readonly id: string;
  readonly type: 'user' | 'source';
  readonly role: Role;
  readonly name: string;
  readonly email: string | null;
  readonly organisation: Named | null;
  /** Care units whose recordings the actor may hear. */
  readonly units: readonly Named[];
  /** The password is one that somebody else made: nothing but choosing another is permitted with it. */
  readonly passwordChangeRequired: boolean;
};

export type DescribeActorDeps = {
  readonly users: Pick<UserTable, 'find'>;
  readonly sources: Pick<SourceTable, 'find'>;
  readonly units: Pick<UnitTable, 'usable'>;
  readonly organisations: Pick<OrganisationTable, 'find'>;
};

/** Whom the vault takes the asker for, in words a person recognises. */
export const createDescribeActor =
  (deps: DescribeActorDeps) =>
  async (actor: ActorContext): Promise<ActorDescription> => {
    const { id, type, role } = actor;
    const [user, source, organisation, units] = await Promise.all([
      type === 'user' ? deps.users.find(id) : null,
      type === 'source' ? deps.sources.find(id) : null,
      actor.organisation === null ? null : deps.organisations.find(actor.organisation),
      type === 'user' && actor.organisation !== null
        ? deps.units.usable(actor.organisation, actor.units)
        : [],
    ]);
    const name = user?.displayName ?? source?.name;
    if (name === undefined) throw new AppError('unauthenticated', 'Sign in again: the session has ended.');
    return {
      id,
      type,
      role,
      name,
      email: user?.email ?? null,
      organisation: organisation === null ? null : { id: organisation.id, name: organisation.name },
      units,
      passwordChangeRequired: actor.type === 'user' && actor.passwordInitial === true,
    };
  };

export type DescribeActor = ReturnType<typeof createDescribeActor>;
