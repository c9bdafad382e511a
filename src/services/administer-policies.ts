import {
  parsePolicies,
  type RetentionClass,
  type RetentionPolicies,
  retentionClasses,
  retentionRules,
} from '../core/retention.ts';
import type { OrganisationTable } from '../storage/organisation-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import type { IdentityChanges } from './identity-changes.ts';

export type AdministerPoliciesDeps = {
  readonly organisations: Pick<OrganisationTable, 'policies'>;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
};

/** Days per retention class; classes that are left out stay as they are. */
export type PolicyChangeRequest = { readonly [C in RetentionClass]?: number };

const assertWithinRules = (asked: PolicyChangeRequest): void => {
  for (const name of retentionClasses) {
    const { floor, ceiling } = retentionRules[name];
    const days = asked[name] ?? floor;
    if (!Number.isInteger(days) || days < floor || days > ceiling)
      throw invalid(`body/retention/${name}`, `must be from ${floor} to ${ceiling} days`);
  }
};

/** How long one's own organisation keeps recordings. New uploads follow at once; what is stored keeps its date. */
export const createAdministerPolicies = (deps: AdministerPoliciesDeps) => {
  const { organisations, authority, changes, now } = deps;
  return {
    async read(caller: Caller): Promise<RetentionPolicies> {
      const organisationId = await authority.inOrganisation(caller, 'policy.manage');
      return parsePolicies(await organisations.policies(organisationId));
    },

    async change(caller: Caller, asked: PolicyChangeRequest): Promise<RetentionPolicies> {
      const organisationId = await authority.inOrganisation(caller, 'policy.manage');
      assertWithinRules(asked);
      const before = parsePolicies(await organisations.policies(organisationId));
      const after = { ...before, ...asked };
      const words = retentionClasses
        .filter((name) => before[name] !== after[name])
        .map((name) => `${name} ${before[name]} > ${after[name]} days`);
      if (words.length === 0) return before;
      await changes.perform(
        {
          ...eventBase(caller.actor, caller.request, now()),
          action: 'policy.changed',
          outcome: 'success',
          detail: { target: organisationId, change: words.join(', ') },
        },
        'policy.change',
        { organisationId, policies: after },
      );
      return after;
    },
  };
};

export type AdministerPolicies = ReturnType<typeof createAdministerPolicies>;
