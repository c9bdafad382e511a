import type { AuditWriter } from '../audit/writer.ts';
import type { ActorContext } from '../core/access.ts';
import { eventBase } from './event-base.ts';

export type Denial = {
  readonly actor: ActorContext;
  readonly request: string;
  /** Route pattern, never the URL. */
  readonly route: string;
  /** A closed word of ours. */
  readonly reason: string;
};

/** Refusals of known actors are single entries of the access log. Rejects with `log_unavailable` when it cannot be written. */
export const createRecordDenial =
  ({ audit, now }: { readonly audit: Pick<AuditWriter, 'append'>; readonly now: () => number }) =>
  async ({ actor, request, route, reason }: Denial): Promise<void> => {
    await audit.append({
      ...eventBase(actor, request, now()),
      action: 'access.denied',
      outcome: 'denied',
      detail: { route, reason },
    });
  };

export type RecordDenial = ReturnType<typeof createRecordDenial>;
