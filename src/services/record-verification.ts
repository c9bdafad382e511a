import type { AuditWriter } from '../audit/writer.ts';
import { newEventId } from './new-event-id.ts';

/**
 * The entry that the log was verified, at the command line or by the vault itself, and with what result; it follows what
 * was looked at. Resolves to its place. Rejects with `log_unavailable` or `log_halted`, as a log that does not agree may well be.
 */
export const createRecordVerification =
  ({ audit, now }: { readonly audit: Pick<AuditWriter, 'append'>; readonly now: () => number }) =>
  async (
    { size, ok }: { readonly size: number; readonly ok: boolean },
    by: 'operator' | 'system' = 'operator',
  ): Promise<number> => {
    const { seq } = await audit.append({
      id: newEventId(now()),
      at: now(),
      action: 'log.verified',
      outcome: ok ? 'success' : 'failed',
      actor: { type: by, id: null, role: null },
      organisation: null,
      unit: null,
      recording: null,
      subject: null,
      purpose: null,
      session: null,
      request: null,
      detail: { size, ok },
    });
    return seq;
  };

export type RecordVerification = ReturnType<typeof createRecordVerification>;
