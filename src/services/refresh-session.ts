import type { UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { OrganisationId, SessionId, UserId } from '../core/ids.ts';
import { bearerSecretHash, newBearerSecret } from '../crypto/bearer-secrets.ts';
import type { ReplacedCookie, SessionTable } from '../storage/session-table.ts';
import type { AuditedChanges } from './audited-change.ts';
import type { Credential } from './authenticate.ts';
import { eventBase } from './event-base.ts';
import type { IdentityChanges } from './identity-changes.ts';
import { IDLE_MS, type OpenedSession, ROTATION_GRACE_MS, type SessionLifetimes } from './session-limits.ts';

export type RefreshSessionDeps = {
  readonly sessions: Pick<SessionTable, 'rotate' | 'findReplaced'>;
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly lifetimes: Pick<SessionLifetimes, 'userMs'>;
  readonly now: () => number;
};

const signInAgain = (): AppError => new AppError('unauthenticated', 'Sign in again: the session has ended.');

/**
 * A new cookie value for the current one. Every value works once: whoever presents one that was replaced holds a stolen
 * copy, or was robbed, and the session ends for both, however often it was replaced since. Within ten seconds it may be a second tab of the same browser; that
 * gets no token, and is told to try again with the cookie the first one has received.
 */
export const createRefreshSession = (deps: RefreshSessionDeps) => {
  const { sessions, changes, now } = deps;

  const endAsStolen = async (stolen: ReplacedCookie, at: number, request: string): Promise<void> => {
    const owner: UserActor = {
      type: 'user',
      id: stolen.userId as UserId,
      role: stolen.role,
      organisation: stolen.organisationId as OrganisationId | null,
      units: [],
      session: stolen.sessionId as SessionId,
    };
    const base = eventBase(owner, request, at);
    await changes.perform(
      { ...base, action: 'session.closed', outcome: 'denied', detail: { reason: 'reuse_detected' } },
      'session.end',
      { id: stolen.sessionId, reason: 'reuse_detected', at },
    );
  };

  return async ({
    credential,
    request,
  }: {
    readonly credential: Credential;
    readonly request: string;
  }): Promise<{ readonly session: OpenedSession; readonly cookie: string }> => {
    const hash = credential.kind === 'cookie' ? bearerSecretHash(credential.value, 'refresh') : null;
    if (hash === null) throw signInAgain();
    const next = newBearerSecret('refresh');
    const at = now();
    const limits = { idleMs: IDLE_MS, lifetimeMs: deps.lifetimes.userMs };
    const rotated = await sessions.rotate({ hash, next: next.hash, at: new Date(at), ...limits });
    if (rotated !== null) {
      const { id, userId, expiresAt } = rotated;
      return { session: { id, subject: userId, expiresAt }, cookie: next.text };
    }
    const replaced = await sessions.findReplaced(hash, new Date(at));
    if (replaced === null) throw signInAgain();
    if (at - replaced.refreshedAt.getTime() <= ROTATION_GRACE_MS)
      throw new AppError('conflict', 'This session has just been refreshed. Try again with the new cookie.', {
        retryAfter: 1,
      });
    await endAsStolen(replaced, at, request);
    throw signInAgain();
  };
};

export type RefreshSession = ReturnType<typeof createRefreshSession>;
