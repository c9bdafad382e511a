import type { ActorContext } from '../core/access.ts';

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
