import { randomUUID } from 'node:crypto';
import type { AuditWriter } from '../audit/writer.ts';
import { integrityFaultOf } from '../crypto/integrity.ts';
import type { RecordingRow } from '../storage/recording-table.ts';

/** Told once per recording and ten minutes, so that a player's retries do not flood the log. */
const QUIET_MS = 10 * 60_000;

/** A stored object that does not verify is an alarm: an entry of the log and a line for the operator, without any content. */
export const createReportDamage = ({
  audit,
  now,
  alarm,
}: {
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
  readonly alarm: (fields: { recording: string; fault: string }) => void;
}) => {
  const told = new Map<string, number>();
  return async (
    row: Pick<RecordingRow, 'id' | 'organisationId' | 'unitId'>,
    error: unknown,
  ): Promise<void> => {
    const at = now();
    for (const [id, until] of told) if (until <= at) told.delete(id);
    if (told.has(row.id)) return;
    told.set(row.id, at + QUIET_MS);
    const fault = integrityFaultOf(error)?.fault ?? 'missing';
    alarm({ recording: row.id, fault });
    await audit.append({
      id: randomUUID(),
      at,
      action: 'recording.damaged',
      outcome: 'failed',
      actor: { type: 'system', id: null, role: null },
      organisation: row.organisationId,
      unit: row.unitId,
      recording: row.id,
      subject: null,
      purpose: null,
      session: null,
      request: null,
      detail: { fault },
    });
  };
};

export type ReportDamage = ReturnType<typeof createReportDamage>;
