import type { AuditWriter } from '../audit/writer.ts';
import type { ActorContext, UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { OrganisationId, SessionId, UserId } from '../core/ids.ts';
import { canonicalEmail } from '../core/names.ts';
import { newBearerSecret } from '../crypto/bearer-secrets.ts';
import type { Passwords } from '../crypto/passwords.ts';
import type { SessionTable } from '../storage/session-table.ts';
import type { SignInUser, UserTable } from '../storage/user-table.ts';
import type { Authenticate } from './authenticate.ts';
import { eventBase } from './event-base.ts';
import type { Origin, Origins } from './origins.ts';
import type { CheckPassword } from './password-attempt.ts';
import { IDLE_MS, type OpenedSession } from './session-limits.ts';

export type SignInDeps = {
  readonly users: Pick<UserTable, 'findForSignIn' | 'renewHash'>;
  readonly sessions: Pick<SessionTable, 'openForUser'>;
  readonly passwords: Pick<Passwords, 'hash'>;
  readonly origins: Origins;
  readonly checkPassword: CheckPassword;
  readonly authenticate: Authenticate;
  readonly audit: Pick<AuditWriter, 'append' | 'state'>;
  readonly now: () => number;
  readonly newId: () => string;
};

/** Everything here is attacker-controlled but `request`, our own id. */
export type SignInRequest = {
  readonly email: string;
  readonly password: string;
  /** Of the socket, or as a trusted proxy tells it. */
  readonly address: string;
  readonly request: string;
};

export type SignedIn = {
  readonly session: OpenedSession;
  /** For the web: 256 random bits that stand for the session until the next refresh. */
  readonly cookie: string;
  readonly actor: ActorContext;
};

const actorOf = (user: SignInUser, session: string): UserActor => ({
  type: 'user',
  id: user.id as UserId,
  role: user.role,
  organisation: user.organisationId as OrganisationId | null,
  units: [],
  session: session as SessionId,
});

/** One sentence for every reason, so that none can be told from another. */
const refused = (): AppError =>
  new AppError(
    'unauthenticated',
    'The e-mail address or the password is not right, or the account is disabled.',
  );

/**
 * A password for a session. Unknown user, wrong password and disabled account take the same steps and get the same answer.
 * The entry is committed before the session exists; while the log is known to be away no password is looked at.
 */
export const createSignIn = (deps: SignInDeps) => {
  const { users, sessions, passwords, audit, now } = deps;

  /** The hash the session is tied to, brought to today's cost when it was made under an older one. */
  const currentHash = async (user: SignInUser, password: string, outdated: boolean): Promise<string> => {
    if (!outdated) return user.passwordHash;
    const renewed = await passwords.hash(password);
    return (await users.renewHash(user.id, user.passwordHash, renewed)) ? renewed : user.passwordHash;
  };

  const open = async (
    user: SignInUser,
    passwordHash: string,
    place: Origin,
    request: string,
  ): Promise<SignedIn> => {
    const { text: cookie, hash: refreshHash } = newBearerSecret('refresh');
    const [addressIndex] = place.indexes;
    if (addressIndex === undefined) throw new AppError('keys_unavailable', 'no index key for addresses');
    const id = deps.newId();
    const at = now();
    const expiresAt = new Date(at + IDLE_MS);
    await audit.append({
      ...eventBase(actorOf(user, id), request, at),
      action: 'session.opened',
      outcome: 'success',
      detail: { method: 'password' },
    });
    const opened = {
      id,
      userId: user.id,
      passwordHash,
      refreshHash,
      addressIndex,
      at: new Date(at),
      expiresAt,
    };
    if (!(await sessions.openForUser(opened))) throw refused();
    const actor = await deps.authenticate({ kind: 'session', sessionId: id });
    return { session: { id, subject: user.id, expiresAt }, cookie, actor };
  };

  return async ({ password, address, request, ...asked }: SignInRequest): Promise<SignedIn> => {
    if (audit.state() !== 'ready')
      throw new AppError('log_unavailable', 'Nobody can sign in while the access log is away.', {
        retryAfter: 5,
      });
    const email = canonicalEmail(asked.email);
    const [place, account] = await Promise.all([
      deps.origins.place(address),
      deps.origins.account(email ?? asked.email),
    ]);
    // What is no address is looked up all the same, as one that nobody has.
    const user = await users.findForSignIn(email ?? '');
    const verdict = await deps.checkPassword({ user, password, place, account, request });
    if (verdict === null || user === null) throw refused();
    return open(user, await currentHash(user, password, verdict.outdated), place, request);
  };
};

export type SignIn = ReturnType<typeof createSignIn>;
