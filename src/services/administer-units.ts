import type { UnitRow, UnitTable } from '../storage/unit-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { nameOf } from './new-account.ts';
import { type ListQuery, type Page, pageOf } from './page.ts';

export type AdministerUnitsDeps = {
  readonly units: Pick<UnitTable, 'find' | 'list'>;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
  readonly newId: () => string;
};

/** Care units of one's own organisation. A disabled one gives nobody anything; its recordings stay. */
export const createAdministerUnits = ({ units, authority, changes, now, newId }: AdministerUnitsDeps) => {
  const find = async (caller: Caller, id: string): Promise<UnitRow> =>
    authority.over(caller, 'unit.manage', await units.find(id));

  const changed = (caller: Caller, unit: string, change: string) =>
    ({
      ...eventBase(caller.actor, caller.request, now()),
      unit,
      action: 'unit.changed',
      outcome: 'success',
      detail: { target: unit, change },
    }) as const;

  return {
    async create(caller: Caller, asked: { readonly name: string }): Promise<UnitRow> {
      const organisationId = await authority.inOrganisation(caller, 'unit.manage');
      const unit = { id: newId(), organisationId, name: nameOf(asked.name, 'body/name') };
      const event = changed(caller, unit.id, 'created');
      await changes.perform(event, 'unit.create', { ...unit, at: event.at });
      return { ...unit, createdAt: new Date(event.at), disabledAt: null };
    },

    async list(caller: Caller, query: ListQuery): Promise<Page<UnitRow>> {
      const organisationId = await authority.inOrganisation(caller, 'unit.manage');
      return pageOf(query, (page) => units.list(organisationId, page));
    },

    async rename(caller: Caller, id: string, asked: { readonly name: string }): Promise<UnitRow> {
      const unit = await find(caller, id);
      const name = nameOf(asked.name, 'body/name');
      if (name === unit.name) return unit;
      const { organisationId } = unit;
      await changes.perform(changed(caller, id, 'name'), 'unit.rename', { id, organisationId, name });
      return { ...unit, name };
    },

    /** True disables, false enables. Either counts from the next request of the people concerned. */
    async setDisabled(caller: Caller, id: string, disabled: boolean): Promise<UnitRow> {
      const unit = await find(caller, id);
      if ((unit.disabledAt !== null) === disabled) return unit;
      const event = changed(caller, id, disabled ? 'disabled' : 'enabled');
      const disabledAt = disabled ? event.at : null;
      await changes.perform(event, 'unit.switch', { id, disabledAt });
      return { ...unit, disabledAt: disabledAt === null ? null : new Date(disabledAt) };
    },
  };
};

export type AdministerUnits = ReturnType<typeof createAdministerUnits>;
