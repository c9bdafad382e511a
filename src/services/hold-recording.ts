import type { AuditWriter } from '../audit/writer.ts';
import { decide, relationTo, type UserActor } from '../core/access.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { noteMayHoldNumber } from '../core/number-like.ts';
import type { HoldTable } from '../storage/hold-table.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import type { AuditedChanges, Effect } from './audited-change.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';
import type { RecordDenial } from './record-denial.ts';

type Placement = {
  readonly id: string;
  readonly recordingId: string;
  readonly placedBy: string;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly placedAt: number;
};
type Release = { readonly id: string; readonly at: number };
export type HoldChanges = { 'hold.place': Placement; 'hold.release': Release };

export const createHoldEffects = ({
  holds,
}: {
  readonly holds: Pick<HoldTable, 'place' | 'release'>;
}): { readonly [K in keyof HoldChanges]: Effect<HoldChanges[K]> } => {
  const place = async (hold: Placement): Promise<void> => {
    const placed = await holds.place({ ...hold, placedAt: new Date(hold.placedAt) });
    if (placed === 'gone')
      throw new AppError('conflict', 'This recording is being erased and cannot be held.');
  };
  return {
    // Holding is the safe direction, so it takes effect before its entry; without the entry it is undone.
    'hold.place': {
      claim: place,
      apply: place,
      release: ({ id, placedAt }) => holds.release(id, new Date(placedAt)),
    },
    'hold.release': { apply: ({ id, at }) => holds.release(id, new Date(at)) },
  };
};

export type HoldRecordingDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly holds: Pick<HoldTable, 'findOpen'>;
  readonly changes: Pick<AuditedChanges<HoldChanges>, 'perform'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly recordDenial: RecordDenial;
  readonly now: () => number;
  readonly newId: () => string;
};

type Asked = { readonly actor: UserActor; readonly recordingId: string; readonly request: string };

/** A hold wins over every deletion; placed and released by compliance, each time with an entry. */
export const createHoldRecording = (deps: HoldRecordingDeps) => {
  const refused = async ({ actor, recordingId, request }: Asked, reason: string): Promise<void> => {
    await deps.audit.append({
      ...eventBase(actor, request, deps.now(), { recording: recordingId }),
      action: 'access.denied',
      outcome: 'denied',
      detail: { route: '/v1/recordings/:id/holds', reason },
    });
  };

  const find = async ({ actor, recordingId, request }: Asked): Promise<RecordingRow> => {
    const row = await deps.recordings.find(recordingId);
    const relation =
      row === null ? 'foreign' : relationTo(actor, { organisation: row.organisationId, unit: row.unitId });
    if (row !== null && row.status === 'stored' && decide(actor.role, 'recording.hold', relation) === 'allow')
      return row;
    await refused({ actor, recordingId, request }, 'unknown');
    throw new AppError('not_found', 'There is no such recording.');
  };

  return {
    async place(
      asked: Asked & { readonly reason: string },
    ): Promise<{ readonly id: string; readonly placedAt: Date }> {
      const row = await find(asked);
      const hold = deps.newId();
      const base = eventBase(asked.actor, asked.request, deps.now(), { recording: row.id, row });
      const event = { ...base, action: 'hold.placed', outcome: 'success' } as const;
      const { reason } = asked;
      if (noteMayHoldNumber(reason))
        throw invalid('body/reason', 'may hold a number; the access log holds none: say it in words');
      const placement = {
        id: hold,
        recordingId: row.id,
        placedBy: asked.actor.id,
        reason,
        placedAt: base.at,
      };
      try {
        await deps.changes.perform({ ...event, detail: { hold, reason } }, 'hold.place', placement);
      } catch (error) {
        // Taken by an erasure between the decision and the claim.
        if (isAppError(error, 'conflict')) await refused(asked, 'erasing');
        throw error;
      }
      return { id: hold, placedAt: new Date(base.at) };
    },

    async release(asked: Asked & { readonly holdId: string }): Promise<void> {
      const row = await find(asked);
      const hold = await deps.holds.findOpen(row.id, asked.holdId);
      if (hold === null) {
        const route = '/v1/recordings/:id/holds/:holdId';
        await deps.recordDenial({ actor: asked.actor, request: asked.request, route, reason: 'unknown' });
        throw new AppError('not_found', 'There is no such open hold on this recording.');
      }
      const base = eventBase(asked.actor, asked.request, deps.now(), { recording: row.id, row });
      await deps.changes.perform(
        { ...base, action: 'hold.released', outcome: 'success', detail: { hold: hold.id } },
        'hold.release',
        { id: hold.id, at: base.at },
      );
    },
  };
};

export type HoldRecording = ReturnType<typeof createHoldRecording>;
