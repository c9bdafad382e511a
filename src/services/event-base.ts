import type { ActorContext } from '../core/access.ts';
import type { Purpose } from '../core/events.ts';
import { newEventId } from './new-event-id.ts';

type About = {
  readonly recording?: string | null;
  /** The row, when the actor may know that it exists. */
  readonly row?: { readonly unitId: string | null; readonly subject: string | null } | null;
  readonly purpose?: Purpose | null;
};

/** The common fields of an entry about what an actor did or tried in one request. */
export const eventBase = (actor: ActorContext, request: string, at: number, about: About = {}) => ({
  id: newEventId(at),
  at,
  actor: { type: actor.type, id: actor.id, role: actor.role },
  organisation: actor.organisation,
  unit: about.row?.unitId ?? null,
  recording: about.recording ?? null,
  subject: about.row?.subject ?? null,
  purpose: about.purpose ?? null,
  session: actor.session,
  request,
});
