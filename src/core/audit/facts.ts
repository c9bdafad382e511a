import type { AuditEvent } from '../events.ts';

/** What an entry is searched by: the columns that the database derives from a body. */
export type EntryFacts = {
  readonly eventId: string;
  readonly at: number;
  readonly action: string;
  readonly outcome: string;
  readonly actor: string | null;
  readonly organisation: string | null;
  readonly unit: string | null;
  readonly recording: string | null;
  readonly subject: string | null;
  readonly purpose: string | null;
  readonly session: string | null;
};

export const factsOf = (event: AuditEvent): EntryFacts => ({
  eventId: event.id,
  at: event.at,
  action: event.action,
  outcome: event.outcome,
  actor: event.actor.id,
  organisation: event.organisation,
  unit: event.unit,
  recording: event.recording,
  subject: event.subject,
  purpose: event.purpose,
  session: event.session,
});

/** Names of the columns that are not what the body says. */
export const differingFacts = (stored: EntryFacts, event: AuditEvent): readonly string[] => {
  const expected = factsOf(event);
  return (Object.keys(expected) as (keyof EntryFacts)[]).filter((name) => stored[name] !== expected[name]);
};
