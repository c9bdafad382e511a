import type { AuditEvent } from '../core/events.ts';
import type { OrganisationRow, OrganisationTable } from '../storage/organisation-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { type AccountRequest, type NewAccount, nameOf } from './new-account.ts';
import { newEventId } from './new-event-id.ts';
import { type ListQuery, type Page, pageOf } from './page.ts';

export type NewOrganisationRequest = {
  readonly name: string;
  readonly admin: AccountRequest;
};

export type NewOrganisation = {
  readonly organisation: OrganisationRow;
  readonly adminId: string;
  /** Shown once; only its hash is kept. */
  readonly initialPassword: string;
};

type Founding = {
  readonly newAccount: NewAccount;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly newId: () => string;
};

/** Common fields of the entries: who founds it and when. */
type Base = Omit<AuditEvent, 'action' | 'detail' | 'outcome'>;

/** An organisation with its keys and its first administrator, all or nothing; two entries, one for each part of the log. */
export const foundOrganisation = async (
  asked: NewOrganisationRequest,
  base: Base,
  { newAccount, changes, newId }: Founding,
): Promise<NewOrganisation> => {
  const id = newId();
  const name = nameOf(asked.name, 'body/name');
  const { account, initialPassword } = await newAccount(asked.admin, 'admin');
  const about = { ...base, organisation: id, outcome: 'success' } as const;
  await changes.perform(
    { ...about, action: 'organisation.changed', detail: { target: id, change: 'created' } },
    'organisation.create',
    {
      ...account,
      id,
      name,
      at: base.at,
      adminEvent: {
        ...about,
        id: newEventId(base.at),
        action: 'user.changed',
        detail: { target: account.userId, change: 'created admin' },
      },
    },
  );
  const organisation = { id, name, createdAt: new Date(base.at), disabledAt: null };
  return { organisation, adminId: account.userId, initialPassword };
};

export type AdministerOrganisationsDeps = Founding & {
  readonly organisations: Pick<OrganisationTable, 'find' | 'list'>;
  readonly authority: Authority;
  readonly now: () => number;
};

/** Care givers of this installation. Whoever makes them is not one of them and sees nothing inside. */
export const createAdministerOrganisations = (deps: AdministerOrganisationsDeps) => {
  const { organisations, authority, changes, now } = deps;

  /** Organisations themselves belong to the installation, hence `organisationId: null` when asking who may. */
  const assertMay = async (caller: Caller): Promise<void> => {
    await authority.over(caller, 'organisation.manage', { organisationId: null });
  };

  const find = async (caller: Caller, id: string): Promise<OrganisationRow> => {
    const row = await organisations.find(id);
    const thing = row === null ? null : { organisationId: null, row };
    return (await authority.over(caller, 'organisation.manage', thing)).row;
  };

  const changed = (caller: Caller, target: string, change: string) =>
    ({
      ...eventBase(caller.actor, caller.request, now()),
      organisation: target,
      action: 'organisation.changed',
      outcome: 'success',
      detail: { target, change },
    }) as const;

  return {
    async create(caller: Caller, asked: NewOrganisationRequest): Promise<NewOrganisation> {
      await assertMay(caller);
      return foundOrganisation(asked, eventBase(caller.actor, caller.request, now()), deps);
    },

    async list(caller: Caller, query: ListQuery): Promise<Page<OrganisationRow>> {
      await assertMay(caller);
      return pageOf(query, organisations.list);
    },

    async rename(caller: Caller, id: string, asked: { readonly name: string }): Promise<OrganisationRow> {
      const organisation = await find(caller, id);
      const name = nameOf(asked.name, 'body/name');
      if (name === organisation.name) return organisation;
      await changes.perform(changed(caller, id, 'name'), 'organisation.rename', { id, name });
      return { ...organisation, name };
    },

    /** True disables: from the next request on nobody of the organisation, and none of its sources, gets in. */
    async setDisabled(caller: Caller, id: string, disabled: boolean): Promise<OrganisationRow> {
      const organisation = await find(caller, id);
      if ((organisation.disabledAt !== null) === disabled) return organisation;
      const event = changed(caller, id, disabled ? 'disabled' : 'enabled');
      const disabledAt = disabled ? event.at : null;
      await changes.perform(event, 'organisation.switch', { id, disabledAt });
      return { ...organisation, disabledAt: disabledAt === null ? null : new Date(disabledAt) };
    },
  };
};

export type AdministerOrganisations = ReturnType<typeof createAdministerOrganisations>;
