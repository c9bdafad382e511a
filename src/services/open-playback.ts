import type { AuditWriter } from '../audit/writer.ts';
import { decide, relationTo, type UserActor } from '../core/access.ts';
import type { Playable } from '../core/audio/playable.ts';
import { AppError } from '../core/errors.ts';
import type { AuditEvent, Purpose } from '../core/events.ts';
import { hasUnseen, noteMayHoldNumber } from '../core/number-like.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import { eventBase } from './event-base.ts';
import { playbackOf } from './served-sound.ts';

export type OpenPlaybackDeps = {
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly playbacks: Pick<PlaybackTable, 'insert'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
};

export type OpenPlaybackRequest = {
  readonly actor: UserActor;
  readonly recordingId: string;
  /** Null: none was given, which is refused. */
  readonly purpose: Purpose | null;
  readonly reason: string | null;
  readonly request: string;
};

export type OpenedPlayback = {
  readonly playbackId: string;
  readonly expiresAt: Date;
  readonly playable: Playable;
  /** Of what is served. */
  readonly mediaType: string;
  readonly durationMs: number | null;
  readonly hasPeaks: boolean;
};

/** A permission to listen lasts as long as a long call with interruptions; each piece is decided again meanwhile. */
const PLAYBACK_LIFETIME_MS = 60 * 60_000;

const notFound = (): AppError => new AppError('not_found', 'There is no such recording.');

/** Kept in the log for years, and written by whoever may listen. */
const assertNote = (note: string | null): void => {
  if (note === null) return;
  const fault = hasUnseen(note)
    ? 'holds control or invisible characters: type it anew'
    : noteMayHoldNumber(note)
      ? 'may hold a number; the access log holds none: say it in words'
      : null;
  if (fault !== null)
    throw new AppError('invalid_request', 'The note cannot be kept.', {
      faults: [{ where: 'reason', fault }],
    });
};

/**
 * Decide → entry committed → permission. The playback's id is the id of its entry, so no playback exists that the log does
 * not know. Another unit's or organisation's recording answers like one that does not exist, and leaves the same entry.
 */
export const createOpenPlayback = (deps: OpenPlaybackDeps) => {
  const base = (asked: OpenPlaybackRequest, row: RecordingRow | null) =>
    eventBase(asked.actor, asked.request, deps.now(), {
      recording: asked.recordingId,
      row,
      purpose: asked.purpose,
    });

  const refuse = async (
    asked: OpenPlaybackRequest,
    row: RecordingRow | null,
    reason: string,
  ): Promise<void> => {
    const denied: AuditEvent = {
      ...base(asked, row),
      action: 'playback.denied',
      outcome: 'denied',
      detail: { reason },
    };
    await deps.audit.append(denied);
  };

  return async (asked: OpenPlaybackRequest): Promise<OpenedPlayback> => {
    const found = await deps.recordings.find(asked.recordingId);
    const relation =
      found === null
        ? 'foreign'
        : relationTo(asked.actor, { organisation: found.organisationId, unit: found.unitId });
    const row = relation === 'foreign' ? null : found;
    if (row === null || decide(asked.actor.role, 'recording.play', relation) !== 'allow') {
      await refuse(asked, row, row === null ? 'unknown' : 'other_unit');
      throw notFound();
    }
    if (row.status !== 'stored' || row.mediaType === null) {
      await refuse(asked, row, row.status);
      if (row.status === 'erased') throw new AppError('erased', 'This recording has been erased.');
      throw notFound();
    }
    if (asked.purpose === null) {
      await refuse(asked, row, 'no_purpose');
      throw new AppError('forbidden', 'Say why: a playback needs a purpose (care, quality, complaint, …).');
    }
    assertNote(asked.reason);
    const opened = base(asked, row);
    const playbackId = opened.id;
    const expiresAt = opened.at + PLAYBACK_LIFETIME_MS;
    await deps.audit.append({
      ...opened,
      action: 'playback.opened',
      outcome: 'success',
      detail: { playback: playbackId, reason: asked.reason, expiresAt },
    });
    await deps.playbacks.insert({
      id: playbackId,
      recordingId: row.id,
      userId: asked.actor.id,
      sessionId: asked.actor.session,
      purpose: asked.purpose,
      createdAt: new Date(opened.at),
      expiresAt: new Date(expiresAt),
    });
    const { playable, mediaType } = playbackOf(row);
    return {
      playbackId,
      expiresAt: new Date(expiresAt),
      playable,
      mediaType: mediaType ?? row.mediaType,
      durationMs: row.durationMs,
      hasPeaks: row.peaksSealed !== null,
    };
  };
};

export type OpenPlayback = ReturnType<typeof createOpenPlayback>;
