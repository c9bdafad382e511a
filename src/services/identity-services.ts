import type { AuditWriter } from '../audit/writer.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { Passwords } from '../crypto/passwords.ts';
import { createAdministerOrganisations } from './administer-organisations.ts';
import { createAdministerPolicies } from './administer-policies.ts';
import { createAdministerSources } from './administer-sources.ts';
import { createAdministerUnits } from './administer-units.ts';
import { createAdministerUsers } from './administer-users.ts';
import type { AuditedChanges } from './audited-change.ts';
import { createAuthenticate } from './authenticate.ts';
import { createAuthority } from './authority.ts';
import { createChangePassword } from './change-password.ts';
import { createFirstAdmin } from './create-first-admin.ts';
import { createDescribeActor } from './describe-actor.ts';
import type { IdentityChanges } from './identity-changes.ts';
import type { IdentityTables } from './identity-effects.ts';
import { createIssueSourceToken } from './issue-source-token.ts';
import { createLoginThrottle } from './login-throttle.ts';
import { createAccounts } from './new-account.ts';
import { createOrigins } from './origins.ts';
import { createPasswordAttempt } from './password-attempt.ts';
import { createRecordDenial } from './record-denial.ts';
import { createRecordRefusedCredential } from './record-refused-credential.ts';
import { createRefreshSession } from './refresh-session.ts';
import { createRefusalAggregator } from './refusal-aggregator.ts';
import { KNOWN_PLACE_MS, type SessionLifetimes, SOURCE_SESSION_KEPT_MS } from './session-limits.ts';
import { createSignIn } from './sign-in.ts';
import { createSignOut } from './sign-out.ts';
import { createUserAccess } from './user-access.ts';

export type IdentityDeps = IdentityTables & {
  readonly audit: Pick<AuditWriter, 'append' | 'state'>;
  readonly fields: Pick<FieldEncryption, 'blindIndexes'>;
  readonly passwords: Passwords;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly lifetimes: SessionLifetimes;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly newId: () => string;
};

/** How often counted refusals are looked through for minutes that are over. */
const FLUSH_MS = 5_000;

const sessionServices = (deps: IdentityDeps) => {
  const origins = createOrigins(deps);
  const refusals = createRefusalAggregator(deps);
  const shared = {
    ...deps,
    origins,
    refusals,
    throttle: createLoginThrottle(deps),
    recordDenial: createRecordDenial(deps),
    authenticate: createAuthenticate(deps),
  };
  return {
    refusals,
    recordDenial: shared.recordDenial,
    recordRefusedCredential: createRecordRefusedCredential(shared),
    authenticate: shared.authenticate,
    signIn: createSignIn({ ...shared, checkPassword: createPasswordAttempt(shared) }),
    refreshSession: createRefreshSession(shared),
    signOut: createSignOut(shared),
    issueSourceToken: createIssueSourceToken(shared),
    changePassword: createChangePassword(shared),
    describeActor: createDescribeActor(deps),
  };
};

const administration = (deps: IdentityDeps, recordDenial: ReturnType<typeof createRecordDenial>) => {
  const shared = { ...deps, newAccount: createAccounts(deps), authority: createAuthority({ recordDenial }) };
  return {
    organisations: createAdministerOrganisations(shared),
    units: createAdministerUnits(shared),
    users: createAdministerUsers(shared),
    userAccess: createUserAccess(shared),
    sources: createAdministerSources(shared),
    policies: createAdministerPolicies(shared),
    createFirstAdmin: createFirstAdmin(shared),
  };
};

/** Who may come in, and who decides about that. */
export const createIdentityServices = (deps: IdentityDeps) => {
  const { refusals, ...session } = sessionServices(deps);
  // A log that is away keeps the counts where they are; the next round tries again.
  const timer = setInterval(() => void refusals.flush().catch(() => undefined), FLUSH_MS);
  timer.unref();
  return {
    ...session,
    ...administration(deps, session.recordDenial),
    /** Forgets sessions that serve neither as a session nor as a known place; returns how many. */
    forgetOldSessions: (): Promise<number> =>
      deps.sessions.removeExpired({
        users: new Date(deps.now() - KNOWN_PLACE_MS),
        sources: new Date(deps.now() - SOURCE_SESSION_KEPT_MS),
      }),
    /** Writes what has been counted and stops counting; before the log closes. */
    closeIdentity: async (): Promise<void> => {
      clearInterval(timer);
      await refusals.close();
    },
  };
};

export type IdentityServices = ReturnType<typeof createIdentityServices>;
