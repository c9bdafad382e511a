import type { ActorContext } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { AuditedChanges } from './audited-change.ts';
import { eventBase } from './event-base.ts';
import type { IdentityChanges } from './identity-changes.ts';

export type SignOutDeps = {
  readonly changes: Pick<AuditedChanges<IdentityChanges>, 'perform'>;
  readonly now: () => number;
};

/** Ends the session: its cookie and every token made from it. It ends even when the log is away; the answer is 503 then. */
export const createSignOut =
  ({ changes, now }: SignOutDeps) =>
  async ({ actor, request }: { readonly actor: ActorContext; readonly request: string }): Promise<void> => {
    if (actor.session === null)
      throw new AppError(
        'invalid_request',
        'An API key has no session. An administrator can replace or disable it.',
      );
    const base = eventBase(actor, request, now());
    await changes.perform(
      { ...base, action: 'session.closed', outcome: 'success', detail: { reason: 'logout' } },
      'session.end',
      { id: actor.session, reason: 'logout', at: base.at },
    );
  };

export type SignOut = ReturnType<typeof createSignOut>;
