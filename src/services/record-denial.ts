import type { AuditWriter } from '../audit/writer.ts';
import type { ActorContext } from '../core/access.ts';
import { isUuid } from '../core/ids.ts';
import { eventBase } from './event-base.ts';

export type Denial = {
  readonly actor: ActorContext;
  readonly request: string;
  /** Route pattern, never the URL. */
  readonly route: string;
  /** A closed word of ours. */
  readonly reason: string;
  /** What the address names as a recording. Attacker-controlled. */
  readonly recording?: string | undefined;
};

type Deps = {
  readonly audit: Pick<AuditWriter, 'append'>;
  /** Absent where nothing that is refused is about a recording. */
  readonly recordings?: {
    find(id: string): Promise<{ readonly organisationId: string } | null>;
  };
  readonly now: () => number;
};

/** The id, when it is of a recording of the actor's own organisation: nothing else that was sent belongs into the log. */
const ownRecording = async ({ actor, recording }: Denial, { recordings }: Deps): Promise<string | null> => {
  if (recording === undefined || recordings === undefined || !isUuid(recording)) return null;
  // A refusal that cannot look it up is an entry all the same.
  const row = await recordings.find(recording).catch(() => null);
  return row !== null && row.organisationId === actor.organisation ? recording : null;
};

/** Refusals of known actors are single entries of the access log. Rejects with `log_unavailable` when it cannot be written. */
export const createRecordDenial =
  (deps: Deps) =>
  async (denial: Denial): Promise<void> => {
    const { actor, request, route, reason } = denial;
    const recording = await ownRecording(denial, deps);
    await deps.audit.append({
      ...eventBase(actor, request, deps.now(), { recording }),
      action: 'access.denied',
      outcome: 'denied',
      detail: { route, reason },
    });
  };

export type RecordDenial = ReturnType<typeof createRecordDenial>;
