import type { Role } from './events.ts';

/**
 * Who may make whom. Nobody makes a role above his own, and a role is fixed when the account is made: an administrator
 * cannot turn an account, his own least of all, into one that hears.
 */
const appointments: Record<Role, readonly Role[]> = {
  source: [],
  nurse: [],
  compliance: [],
  admin: ['nurse', 'compliance', 'admin'],
  installation_admin: ['installation_admin', 'installation_auditor'],
  installation_auditor: [],
};

export const mayAppoint = (maker: Role, role: Role): boolean => appointments[maker].includes(role);

/** Only nurses work for care units; others have nothing that a unit could give them. */
export const worksInUnits = (role: Role): boolean => role === 'nurse';
