import type { ActorContext } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { bearerSecretHash } from '../crypto/bearer-secrets.ts';
import type { SessionCheck } from '../storage/session-check.ts';

/** Proof of identity as presented; not yet looked up. Attacker-controlled. */
export type Credential =
  | { readonly kind: 'session'; readonly sessionId: string }
  | { readonly kind: 'cookie'; readonly value: string }
  | { readonly kind: 'api_key'; readonly value: string };

/**
 * Who presents this credential, as the database knows them now: a session that ended, a user, source or organisation that
 * was disabled, or a unit that was taken away counts from the next request. Rejects with `unauthenticated`.
 */
export type Authenticate = (credential: Credential) => Promise<ActorContext>;

type Deps = { readonly sessionCheck: SessionCheck; readonly now: () => number };

/** Secrets that are not even spelled like ours are refused without asking the database. */
const find = async (credential: Credential, { sessionCheck, now }: Deps): Promise<ActorContext | null> => {
  if (credential.kind === 'session') return sessionCheck.bySession(credential.sessionId, new Date(now()));
  const cookie = credential.kind === 'cookie';
  const hash = bearerSecretHash(credential.value, cookie ? 'refresh' : 'key');
  if (hash === null) return null;
  return cookie ? sessionCheck.byCookie(hash, new Date(now())) : sessionCheck.byApiKey(hash);
};

export const createAuthenticate =
  (deps: Deps): Authenticate =>
  async (credential) => {
    const actor = await find(credential, deps);
    if (actor === null)
      throw new AppError('unauthenticated', 'Sign in again: this credential is not, or no longer, valid.');
    return actor;
  };
