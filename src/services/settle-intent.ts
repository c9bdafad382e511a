import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { isAppError } from '../core/errors.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import { intentEvent } from './intent-event.ts';
import { type RemoveObjectDeps, removeObject } from './remove-object.ts';

export type SettleIntentDeps = RemoveObjectDeps & {
  readonly recordings: Pick<RecordingTable, 'store' | 'removeIntent' | 'staleIntents'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly log: Pick<AuditReader, 'find'>;
  readonly now: () => number;
};

export type Settled = 'stored' | 'removed';

/**
 * Decides an upload that nobody is working on any more. The log is the judge: if the intent's entry says stored, the row is
 * completed; otherwise `recording.abandoned` is written under the intent's own id — so that a sleeper who wakes up cannot
 * store it after all — and object, copy and row are removed. Safe to run twice and by two processes at once.
 */
export const createSettleIntent = (deps: SettleIntentDeps) => {
  const { recordings, log, audit, now } = deps;

  const abandon = async (row: RecordingRow): Promise<void> => {
    try {
      await audit.append({
        ...intentEvent(row, now(), null),
        actor: { type: 'system', id: null, role: null },
        action: 'recording.abandoned',
        outcome: 'failed',
        detail: { reason: 'sweeper' },
      });
    } catch (error) {
      if (!isAppError(error, 'event_exists')) throw error;
    }
  };

  return async (row: RecordingRow): Promise<Settled> => {
    if ((await log.find(row.intentId)) === null) await abandon(row);
    const entry = await log.find(row.intentId);
    if (entry?.event.action === 'recording.stored') {
      await recordings.store(row.id, entry.seq, new Date(entry.event.at));
      return 'stored';
    }
    await removeObject(deps, row.organisationId, row.generation);
    await recordings.removeIntent(row.id);
    return 'removed';
  };
};

export type SettleIntent = ReturnType<typeof createSettleIntent>;
