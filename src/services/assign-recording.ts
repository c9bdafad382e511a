import { decide, relationTo, type UserActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { isUuid } from '../core/ids.ts';
import type { AssignmentTable, UnassignedRow } from '../storage/assignment-table.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import type { UnitTable } from '../storage/unit-table.ts';
import type { AuditedChanges, Effect } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import { DEFAULT_LIMIT, type ListQuery, MAX_LIMIT, type Page } from './page.ts';
import type { RecordDenial } from './record-denial.ts';

/** `id` tells one assignment from another of the same recording. */
type Assignment = { readonly id: string; readonly recording: string; readonly unit: string };
export type AssignChange = { 'recording.assign': Assignment };

const hasUnit = (): AppError =>
  new AppError('conflict', 'This recording has a care unit already: it is not given to another one.');
const notFound = (): AppError => new AppError('not_found', 'There is no such recording.');

export const createAssignEffect = ({
  assignments,
}: {
  readonly assignments: Pick<AssignmentTable, 'claim' | 'assign'>;
}): Effect<Assignment> => ({
  // Nothing is reserved but the announcement itself: of two who announce, none takes it from the other.
  async claim({ recording, id }) {
    const claim = await assignments.claim(recording, id);
    if (claim === 'gone') throw notFound();
    if (claim === 'taken') throw hasUnit();
  },
  apply: ({ recording, unit }, { seq }) => assignments.assign(recording, unit, seq),
});

export type AssignRecordingDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly assignments: Pick<AssignmentTable, 'position' | 'unassigned'>;
  readonly units: Pick<UnitTable, 'find' | 'usable'>;
  readonly authority: Pick<Authority, 'inOrganisation'>;
  readonly changes: Pick<AuditedChanges<AssignChange>, 'perform'>;
  readonly recordDenial: RecordDenial;
  readonly now: () => number;
  readonly newId: () => string;
};

type Asked = {
  readonly actor: UserActor;
  readonly recordingId: string;
  /** Attacker-controlled; the form of an id has been checked. */
  readonly unit: string;
  readonly request: string;
};

/** Recordings that nobody can hear, and whose they are to be. The administrator who decides it hears and sees nothing of them. */
export const createAssignRecording = (deps: AssignRecordingDeps) => {
  const { assignments, units } = deps;

  const refuse = async (
    { actor, recordingId, request }: Asked,
    reason: string,
    error: AppError,
  ): Promise<never> => {
    const route = '/v1/recordings/:id/care-unit';
    await deps.recordDenial({ actor, request, route, reason, recording: recordingId });
    throw error;
  };

  const find = async (asked: Asked): Promise<RecordingRow> => {
    const row = await deps.recordings.find(asked.recordingId);
    if (row === null) return refuse(asked, 'unknown', notFound());
    const relation = relationTo(asked.actor, { organisation: row.organisationId, unit: row.unitId });
    const allowed = decide(asked.actor.role, 'recording.assign', relation) === 'allow';
    if (allowed && row.status === 'stored') return row;
    if (allowed && row.status === 'erased')
      return refuse(asked, 'erased', new AppError('erased', 'This recording has been erased.'));
    return refuse(asked, 'unknown', notFound());
  };

  const isActive = async (unit: string): Promise<boolean> => (await units.find(unit))?.disabledAt === null;

  const assertAssignable = async (asked: Asked, row: RecordingRow): Promise<void> => {
    if (row.unitId !== null && (await isActive(row.unitId))) await refuse(asked, 'has_unit', hasUnit());
    if ((await units.usable(row.organisationId, [asked.unit])).length === 0)
      throw invalid('body/unit', 'names a unit that is not there or is disabled');
  };

  return {
    /**
     * Gives a recording without care unit, or with a disabled one, to a unit of the organisation: its nurses find and hear it
     * from the next request on. Giving it again to the unit that it has changes nothing. Rejects with `not_found`, `erased`,
     * `conflict` (another unit has it) and `invalid_request` (no such unit); nothing has changed then.
     */
    async assign(asked: Asked): Promise<void> {
      const row = await find(asked);
      if (row.unitId === asked.unit && (await isActive(asked.unit))) return;
      await assertAssignable(asked, row);
      const { actor, request, unit } = asked;
      const base = eventBase(actor, request, deps.now(), { recording: row.id, row });
      const detail = { unit, before: row.unitId };
      const event = { ...base, unit, action: 'recording.assigned', outcome: 'success', detail } as const;
      const assignment = { id: deps.newId(), recording: row.id, unit };
      try {
        await deps.changes.perform(event, 'recording.assign', assignment);
      } catch (error) {
        // Given to another unit, or taken by an erasure, between the decision and the claim.
        if (isAppError(error, 'conflict')) await refuse(asked, 'has_unit', error);
        if (isAppError(error, 'not_found')) await refuse(asked, 'erasing', error);
        throw error;
      }
    },

    /** Which they are, newest call first; ids and the vault's own facts alone. */
    async list(caller: Caller, query: ListQuery): Promise<Page<UnassignedRow>> {
      const organisation = await deps.authority.inOrganisation(caller, 'recording.assign');
      const limit = Math.min(query.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
      const { cursor } = query;
      // The last id shown: an answer says nothing about the time of a call, so its cursor does not either.
      const after =
        cursor === undefined || !isUuid(cursor) ? null : await assignments.position(organisation, cursor);
      if (cursor !== undefined && after === null)
        throw invalid('querystring/cursor', 'is not one that an earlier answer gave');
      const rows = await assignments.unassigned(organisation, { after, limit: limit + 1 });
      const items = rows.slice(0, limit);
      return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
    },
  };
};

export type AssignRecording = ReturnType<typeof createAssignRecording>;
