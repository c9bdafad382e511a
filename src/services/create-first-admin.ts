import type { OrganisationTable } from '../storage/organisation-table.ts';
import { foundOrganisation } from './administer-organisations.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { type AccountRequest, type NewAccount, nameOf } from './new-account.ts';
import { newEventId } from './new-event-id.ts';

export type CreateFirstAdminDeps = {
  readonly organisations: Pick<OrganisationTable, 'findByName'>;
  readonly newAccount: NewAccount;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
  readonly newId: () => string;
};

export type FirstAdminRequest = AccountRequest & {
  /** Its name. Without one the account administers the installation. */
  readonly organisation?: string;
};

export type FirstAdmin = {
  readonly userId: string;
  readonly role: 'admin' | 'installation_admin';
  readonly organisationId: string | null;
  /** False: there was one of this name, which has one administrator more now. */
  readonly organisationCreated: boolean;
  /** Shown once; only its hash is kept. */
  readonly initialPassword: string;
};

/**
 * For the operator at the machine, who needs no account: the first administrator, or one more when all have lost their
 * passwords. Rejects with `conflict` for an e-mail address in use and `invalid_request` for a bad one.
 */
export const createFirstAdmin = (deps: CreateFirstAdminDeps) => {
  const baseOf = (organisation: string | null) => ({
    id: newEventId(deps.now()),
    at: deps.now(),
    actor: { type: 'operator', id: null, role: null } as const,
    organisation,
    unit: null,
    recording: null,
    subject: null,
    purpose: null,
    session: null,
    request: null,
  });

  const addTo = async (organisationId: string | null, asked: AccountRequest): Promise<FirstAdmin> => {
    const role = organisationId === null ? 'installation_admin' : 'admin';
    const { account, initialPassword } = await deps.newAccount(asked, role);
    const { userId } = account;
    const base = baseOf(organisationId);
    await deps.changes.perform(
      {
        ...base,
        action: 'user.changed',
        outcome: 'success',
        detail: { target: userId, change: `created ${role}` },
      },
      'user.create',
      { ...account, organisationId, units: [], at: base.at },
    );
    return { userId, role, organisationId, organisationCreated: false, initialPassword };
  };

  return async ({ organisation, ...account }: FirstAdminRequest): Promise<FirstAdmin> => {
    if (organisation === undefined) return addTo(null, account);
    const name = nameOf(organisation, 'organisation');
    const found = await deps.organisations.findByName(name);
    if (found !== null) return addTo(found.id, account);
    const made = await foundOrganisation({ name, admin: account }, baseOf(null), deps);
    return {
      userId: made.adminId,
      role: 'admin',
      organisationId: made.organisation.id,
      organisationCreated: true,
      initialPassword: made.initialPassword,
    };
  };
};

export type CreateFirstAdmin = ReturnType<typeof createFirstAdmin>;
