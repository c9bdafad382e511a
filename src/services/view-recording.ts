import type { AuditWriter } from '../audit/writer.ts';
import { type ActorContext, decide, relationTo } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import { eventBase } from './event-base.ts';
import type { RecordDenial } from './record-denial.ts';
import { decodeFacts, factsPlace, type PersonalFacts } from './recording-facts.ts';
import { openOrReport, type ReportDamage } from './report-damage.ts';

export type ViewRecordingDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly fields: Pick<FieldEncryption, 'openField'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly reportDamage: ReportDamage;
  readonly now: () => number;
};

type Asked = { readonly actor: ActorContext; readonly recordingId: string; readonly request: string };

/** A recording as a nurse sees it, or the tombstone of an erased one (facts null). */
export type ViewedRecording = { readonly row: RecordingRow; readonly facts: PersonalFacts | null };

const notFound = (): AppError => new AppError('not_found', 'There is no such recording.');

/**
 * Facts of one recording. The entry is committed before a sealed number is opened; refusals are entries too. Facts that do
 * not verify are an alarm and `integrity_failure`.
 */
export const createViewRecording = (deps: ViewRecordingDeps) => {
  const base = ({ actor, request, recordingId }: Asked, row: RecordingRow | null) =>
    eventBase(actor, request, deps.now(), { recording: recordingId, row });

  const find = async (asked: Asked): Promise<RecordingRow> => {
    const found = await deps.recordings.find(asked.recordingId);
    const relation =
      found === null
        ? 'foreign'
        : relationTo(asked.actor, { organisation: found.organisationId, unit: found.unitId });
    const visible = found?.status === 'stored' || found?.status === 'erased';
    if (found !== null && visible && decide(asked.actor.role, 'recording.view', relation) === 'allow')
      return found;
    await deps.audit.append({
      ...base(asked, relation === 'foreign' ? null : found),
      action: 'access.denied',
      outcome: 'denied',
      detail: { route: '/v1/recordings/:id', reason: relation === 'foreign' ? 'unknown' : 'other_unit' },
    });
    throw notFound();
  };

  return async (asked: Asked): Promise<ViewedRecording> => {
    const row = await find(asked);
    const receipt = await deps.audit.append({
      ...base(asked, row),
      action: 'recording.viewed',
      outcome: 'success',
      detail: {},
    });
    const { factsSealed } = row;
    if (factsSealed === null) return { row, facts: null };
    const bytes = await openOrReport(deps.reportDamage, row, () =>
      deps.fields.openField(factsPlace(row), factsSealed, receipt),
    );
    return { row, facts: decodeFacts(bytes) };
  };
};

export type ViewRecording = ReturnType<typeof createViewRecording>;

export type UploadStatusDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly recordDenial: RecordDenial;
};

/** What became of an upload, for the source that made it and nobody else. Says nothing that the source did not send. */
export const createUploadStatus =
  ({ recordings, recordDenial }: UploadStatusDeps) =>
  async ({ actor, recordingId, request }: Asked) => {
    const row = await recordings.find(recordingId);
    const relation = row !== null && row.sourceId === actor.id ? 'self' : 'foreign';
    if (row === null || decide(actor.role, 'recording.status', relation) !== 'allow') {
      await recordDenial({ actor, request, route: '/v1/recordings/:id/status', reason: 'unknown' });
      throw notFound();
    }
    const status = row.status === 'stored' || row.status === 'erased' ? row.status : 'receiving';
    return { id: row.id, status } as const;
  };

export type UploadStatus = ReturnType<typeof createUploadStatus>;
