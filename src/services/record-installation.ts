import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { isAppError } from '../core/errors.ts';

export type RecordInstallationDeps = {
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly log: Pick<AuditReader, 'find'>;
  readonly now: () => number;
};

/**
 * The entry that the vault was set up, under the installation's own id: written when its row was made, or, where a crash
 * came in between, at the next start. Safe to run again. Rejects with `log_unavailable`: a vault whose log takes nothing
 * does not begin.
 */
export const recordInstallation = async (
  { audit, log, now }: RecordInstallationDeps,
  installation: { readonly id: string; readonly schema: number },
): Promise<void> => {
  if ((await log.find(installation.id)) !== null) return;
  try {
    await audit.append({
      id: installation.id,
      at: now(),
      action: 'installation.created',
      outcome: 'success',
      actor: { type: 'system', id: null, role: null },
      organisation: null,
      unit: null,
      recording: null,
      subject: null,
      purpose: null,
      session: null,
      request: null,
      detail: { schema: installation.schema },
    });
  } catch (error) {
    // Another process was first.
    if (!isAppError(error, 'event_exists')) throw error;
  }
};
