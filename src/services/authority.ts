import { type Action, type ActorContext, decide, relationTo } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { RecordDenial } from './record-denial.ts';

/** Who asks, in which request, through which route (its pattern, never the URL). */
export type Caller = {
  readonly actor: ActorContext;
  readonly request: string;
  readonly route: string;
};

/** Whether callers may do what they ask; every refusal is an entry before it is an answer. */
export const createAuthority = ({ recordDenial }: { readonly recordDenial: RecordDenial }) => {
  /** Rejects with `forbidden` once the refusal is in the log. `reason` is a closed word of ours. */
  const refuse = async (caller: Caller, reason: string, sentence: string): Promise<never> => {
    await recordDenial({ ...caller, reason });
    throw new AppError('forbidden', sentence);
  };

  /**
   * The thing, if the caller may do this to it. Another organisation's thing and one that does not exist (null) are
   * refused alike, with `not_found`.
   */
  const over = async <T extends { readonly organisationId: string | null }>(
    caller: Caller,
    action: Action,
    thing: T | null,
  ): Promise<T> => {
    const { actor } = caller;
    const relation = thing === null ? 'foreign' : relationTo(actor, { organisation: thing.organisationId });
    const decision = decide(actor.role, action, relation);
    if (decision === 'forbidden')
      return refuse(caller, 'role', `Your role does not permit this (${action}).`);
    if (thing !== null && decision === 'allow') return thing;
    await recordDenial({ ...caller, reason: 'unknown' });
    throw new AppError('not_found', 'There is nothing by this id.');
  };

  /** The caller's own organisation (null: the installation), if the caller may do this there. */
  const athome = async (caller: Caller, action: Action): Promise<string | null> =>
    (await over(caller, action, { organisationId: caller.actor.organisation })).organisationId;

  /** As {@link athome}, for what only exists inside an organisation. */
  const inOrganisation = async (caller: Caller, action: Action): Promise<string> =>
    (await athome(caller, action)) ?? refuse(caller, 'role', `Your role does not permit this (${action}).`);

  return { refuse, over, athome, inOrganisation };
};

export type Authority = ReturnType<typeof createAuthority>;
