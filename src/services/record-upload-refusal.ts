import type { AuditWriter } from '../audit/writer.ts';
import type { SourceActor } from '../core/access.ts';
import type { AppError, ErrorCode } from '../core/errors.ts';
import { eventBase } from './event-base.ts';

export type UploadRefusal = {
  readonly actor: SourceActor;
  readonly request: string;
  readonly error: unknown;
  /** Of the audio, as far as it was read. */
  readonly bytes?: number;
};

/** What a source is refused: not what ails the vault, whose log may be what is away, and no connection that ended. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'invalid_request',
  'unauthenticated',
  'forbidden',
  'conflict',
  'not_acceptable_metadata',
  'number_in_name',
  'digest_mismatch',
  'length_mismatch',
  'too_large',
  'unsupported_media_type',
  'refused_content',
  'fetch_failed',
  'request_timeout',
  'storage_full',
]);

/** Without room each entry takes some of what is left for playback, so one of this long stands for all of a source. */
const NO_ROOM_MS = 60_000;

/**
 * A known source's upload that was refused before it had an intent, whose end would tell. The entry says who and why in a
 * closed word, and nothing of what was sent. Rejects with `log_unavailable` when it cannot be written.
 */
export const createRecordUploadRefusal = ({
  audit,
  now,
}: {
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly now: () => number;
}) => {
  /** When a source was last told that there is no room; as many as there are sources. */
  const noRoom = new Map<string, number>();

  const isToldAlready = (source: string, reason: ErrorCode): boolean => {
    if (reason !== 'storage_full') return false;
    if (now() - (noRoom.get(source) ?? Number.NEGATIVE_INFINITY) < NO_ROOM_MS) return true;
    noRoom.set(source, now());
    return false;
  };

  return async ({ actor, request, error, bytes = 0 }: UploadRefusal): Promise<void> => {
    const reason = (error as Partial<AppError> | null)?.code;
    if (reason === undefined || !refusals.has(reason) || isToldAlready(actor.id, reason)) return;
    await audit.append({
      ...eventBase(actor, request, now()),
      action: 'recording.refused',
      outcome: 'denied',
      detail: { reason, bytes },
    });
  };
};

export type RecordUploadRefusal = ReturnType<typeof createRecordUploadRefusal>;
