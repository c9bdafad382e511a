import type { AuditWriter } from '../audit/writer.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { integrityFaultOf } from '../crypto/integrity.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import { newEventId } from './new-event-id.ts';

/** Told once per recording and ten minutes, so that a player's retries do not flood the log. */
const QUIET_MS = 10 * 60_000;

type Damaged = Pick<RecordingRow, 'id' | 'organisationId' | 'unitId'>;

export type ReportDamageDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
  readonly alarm: (fields: { recording: string; fault: string }) => void;
};

/** Which seal was broken, as a closed word; the object is missing, or its row names a key that this vault does not have. */
const faultOf = (error: unknown): string => {
  if (isAppError(error, 'not_found')) return 'missing';
  if (isAppError(error, 'wrong_key')) return 'wrong_key';
  return integrityFaultOf(error)?.fault ?? 'row';
};

/**
 * What is stored and does not verify is an alarm: an entry of the log and a line for the operator, without any content.
 * Counts as told when the entry is committed; rejects when the log is away, and is told again at the next try. What was
 * erased while it was being read is no damage: `not_found`.
 */
export const createReportDamage = ({ recordings, audit, now, alarm }: ReportDamageDeps) => {
  const toldUntil = new Map<string, number>();
  const telling = new Map<string, Promise<void>>();

  const tell = async (row: Damaged, fault: string): Promise<void> => {
    if ((await recordings.find(row.id))?.status !== 'stored')
      throw new AppError('not_found', 'There is no such recording.');
    alarm({ recording: row.id, fault });
    await audit.append({
      id: newEventId(now()),
      at: now(),
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
    toldUntil.set(row.id, now() + QUIET_MS);
  };

  return async (row: Damaged, error: unknown): Promise<void> => {
    const at = now();
    for (const [id, until] of toldUntil) if (until <= at) toldUntil.delete(id);
    if (toldUntil.has(row.id)) return;
    // Pieces asked for at the same time are one finding.
    const running = telling.get(row.id) ?? tell(row, faultOf(error)).finally(() => telling.delete(row.id));
    telling.set(row.id, running);
    await running;
  };
};

export type ReportDamage = ReturnType<typeof createReportDamage>;

const damageCodes = ['integrity_failure', 'wrong_key', 'not_found'] as const;

/**
 * Opens something stored: an object, its envelope, a sealed field. Damage is told first and is `integrity_failure` for the
 * caller, never an ordinary 404; whatever else goes wrong passes unchanged.
 */
export const openOrReport = async <T>(
  reportDamage: ReportDamage,
  row: Damaged,
  open: () => T | Promise<T>,
): Promise<T> => {
  try {
    return await open();
  } catch (error) {
    if (!damageCodes.some((code) => isAppError(error, code))) throw error;
    await reportDamage(row, error);
    throw new AppError('integrity_failure', 'what is stored of a recording is missing or damaged', {
      cause: error,
    });
  }
};
