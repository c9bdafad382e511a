import { canonicalEmail, canonicalName } from '../core/names.ts';
import { passwordFault } from '../core/password-rules.ts';
import type { Passwords } from '../crypto/passwords.ts';
import type { UserRole } from '../storage/user-table.ts';
import { invalid, orFault } from './fault.ts';
import { newInitialPassword } from './initial-password.ts';

export type AccountRequest = {
  readonly email: string;
  readonly displayName: string;
  /** Chosen by the operator at the command line; otherwise one is made. */
  readonly password?: string;
};

export const emailOf = (text: string, where: string): string =>
  orFault(canonicalEmail(text), where, 'is not an e-mail address');
export const nameOf = (text: string, where: string): string =>
  orFault(canonicalName(text), where, 'is empty, too long or holds control characters');

const chosen = (password: string, about: readonly string[]): string => {
  const fault = passwordFault(password, about);
  if (fault !== null) throw invalid('body/password', fault);
  return password;
};

/** What is stored of a new account, and its password, which is shown once and kept nowhere. */
export const createAccounts =
  ({ passwords, newId }: { readonly passwords: Pick<Passwords, 'hash'>; readonly newId: () => string }) =>
  async (asked: AccountRequest, role: UserRole) => {
    const email = emailOf(asked.email, 'body/email');
    const displayName = nameOf(asked.displayName, 'body/displayName');
    const password =
      asked.password === undefined ? newInitialPassword() : chosen(asked.password, [email, displayName]);
    const passwordHash = await passwords.hash(password);
    return {
      account: { userId: newId(), role, email, displayName, passwordHash },
      initialPassword: password,
    };
  };

export type NewAccount = ReturnType<typeof createAccounts>;
