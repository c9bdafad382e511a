import type { AuditWriter } from '../audit/writer.ts';
import { decide, relationTo, type UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import { eventBase } from './event-base.ts';
import type { RecordDenial } from './record-denial.ts';

export type ReportHeardDeps = {
  readonly playbacks: Pick<PlaybackTable, 'find'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly recordDenial: RecordDenial;
  readonly now: () => number;
};

/** Players round, and estimate the length of what has no exact one. */
const TOLERANCE_MS = 1_000;

/** What the player says was heard, kept apart from what the vault knows was opened: the client's statement, no more. */
export const createReportHeard =
  (deps: ReportHeardDeps) =>
  async (asked: {
    readonly actor: UserActor;
    readonly playbackId: string;
    /** Milliseconds of the recording, [from, to]. */
    readonly spans: readonly (readonly [number, number])[];
    readonly request: string;
  }): Promise<void> => {
    const { actor, spans, playbackId } = asked;
    const playback = await deps.playbacks.find(playbackId);
    const relation =
      playback === null
        ? 'foreign'
        : playback.userId === actor.id && playback.sessionId === actor.session
          ? 'self'
          : relationTo(actor, { organisation: playback.organisationId, unit: null });
    if (playback === null || decide(actor.role, 'playback.listen', relation) !== 'allow') {
      const route = '/v1/playbacks/:id/heard';
      await deps.recordDenial({ actor, request: asked.request, route, reason: 'unknown' });
      throw new AppError('not_found', 'There is no such playback.');
    }
    if (spans.some(([from, to]) => from > to))
      throw new AppError(
        'invalid_request',
        'A span ends before it begins: write [from, to] in milliseconds.',
      );
    const { durationMs } = playback;
    if (durationMs !== null && spans.some(([, to]) => to > durationMs + TOLERANCE_MS))
      throw new AppError(
        'invalid_request',
        `A span ends after the recording does, which has ${durationMs} milliseconds.`,
      );
    await deps.audit.append({
      ...eventBase(actor, asked.request, deps.now(), {
        recording: playback.recordingId,
        row: playback,
        purpose: playback.purpose,
      }),
      action: 'playback.heard',
      outcome: 'success',
      detail: { playback: playbackId, spans },
    });
  };

export type ReportHeard = ReturnType<typeof createReportHeard>;
