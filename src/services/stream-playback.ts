import { LRUCache } from 'lru-cache';
import type { AuditReader } from '../audit/reader.ts';
import type { Receipt } from '../audit/receipt.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { MAX_PIECE_BYTES } from '../core/range.ts';
import type { ByteRange } from '../core/sealed-layout.ts';
import type { Envelope } from '../crypto/envelope.ts';
import type { FieldEncryption } from '../crypto/field-encryption.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import type { RecordingRow, RecordingTable } from '../storage/recording-table.ts';
import type { AuthorisePiece, PieceRequest } from './authorise-piece.ts';
import { newEventId } from './new-event-id.ts';
import { pacer } from './playback-pace.ts';
import type { ReadVerified } from './read-verified.ts';
import { envelopeOf } from './recording-envelope.ts';
import { peaksPlace } from './recording-facts.ts';
import { openOrReport, type ReportDamage } from './report-damage.ts';
import { type ServedSound, servedSound } from './served-sound.ts';

export type StreamPlaybackDeps = {
  readonly authorisePiece: AuthorisePiece;
  readonly readVerified: ReadVerified;
  readonly recordings: Pick<RecordingTable, 'find'>;
  readonly playbacks: Pick<PlaybackTable, 'find'>;
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly fields: Pick<FieldEncryption, 'openField'>;
  readonly log: Pick<AuditReader, 'receiptOf'>;
  readonly reportDamage: ReportDamage;
  readonly now: () => number;
};

export type OpenedRecording = {
  readonly row: RecordingRow;
  readonly envelope: Envelope;
  readonly receipt: Receipt;
};
type Asked = PieceRequest & {
  /** The original even where a player is given what is derived from it. */
  readonly asOriginal: boolean;
  readonly signal: AbortSignal;
};

/** Something a listener may hear now. Every read opens the key again, with the receipt. */
export type Listening = {
  readonly mediaType: string;
  readonly totalBytes: number;
  /** Names this very sealed object, or what is derived from it (RFC 9110 strong validator). */
  readonly etag: string;
  /** One piece, at most {@link MAX_PIECE_BYTES} wide, verified whole; belongs to the caller. */
  readonly readPiece: (range: ByteRange) => Promise<Buffer>;
  /** Where a part from `start` that may be {@link MAX_PIECE_BYTES} wide had best end. */
  readonly partEnd: (start: number) => number;
  /** Everything, in pieces; resolves when the first has verified; paced after a burst, decided again before each. */
  readonly readAll: () => Promise<AsyncIterable<Buffer>>;
};

/** A permission that the log does not know was not given by the vault. */
const unlogged = (): AppError => new AppError('integrity_failure', 'a playback without its log entry');

/**
 * What a playback is of. Row and receipt do not change while it lives, so they are kept; whether it may still be heard is
 * asked every time.
 */
const createOpenedRecordings = ({
  recordings,
  log,
  reportDamage,
}: Pick<StreamPlaybackDeps, 'recordings' | 'log' | 'reportDamage'>) => {
  const opened = new LRUCache<string, OpenedRecording>({ max: 2000, ttl: 5 * 60_000 });
  return {
    async get(playbackId: string, recordingId: string, generation: string): Promise<OpenedRecording> {
      const known = opened.get(playbackId);
      if (known?.envelope.generation === generation) return known;
      const [row, receipt] = await Promise.all([recordings.find(recordingId), log.receiptOf(playbackId)]);
      // Erased since it was asked about.
      if (row?.status !== 'stored') throw new AppError('not_found', 'There is no such recording.');
      const fresh = await openOrReport(reportDamage, row, () => {
        if (receipt === null) throw unlogged();
        return { row, receipt, envelope: envelopeOf(row) };
      });
      opened.set(playbackId, fresh);
      return fresh;
    },
    forget(recordingId: string): void {
      for (const [playbackId, { row }] of opened.entries())
        if (row.id === recordingId) opened.delete(playbackId);
    },
  };
};

/** Decides before each further piece of an answer that runs already. Whose session ended meanwhile is known here: an entry. */
const createAuthoriseNext =
  ({ authorisePiece, playbacks, audit, now }: StreamPlaybackDeps) =>
  async (asked: PieceRequest): Promise<{ readonly generation: string }> => {
    try {
      return await authorisePiece(asked);
    } catch (error) {
      const playback = isAppError(error, 'unauthenticated') ? await playbacks.find(asked.playbackId) : null;
      if (playback === null) throw error;
      await audit.append({
        id: newEventId(now()),
        at: now(),
        action: 'access.denied',
        outcome: 'denied',
        actor: { type: 'user', id: playback.userId, role: null },
        organisation: playback.organisationId,
        unit: playback.unitId,
        recording: playback.recordingId,
        subject: playback.subject,
        purpose: playback.purpose,
        session: playback.sessionId,
        request: asked.request,
        detail: { route: asked.route, reason: 'session_ended' },
      });
      throw error;
    }
  };

/** Audio and peaks of an opened playback: no log, no sound. */
export const createStreamPlayback = (deps: StreamPlaybackDeps) => {
  const opened = createOpenedRecordings(deps);
  const authoriseNext = createAuthoriseNext(deps);

  async function* rest(
    asked: Asked,
    known: OpenedRecording,
    sound: ServedSound,
    first: number,
  ): AsyncGenerator<Buffer> {
    const { totalBytes } = sound;
    const { durationMs } = known.row;
    const plainBytes = BigInt(totalBytes);
    const pace = pacer({ plainBytes, durationMs, now: deps.now, signal: asked.signal });
    for (let start = first; start < totalBytes; ) {
      await pace(start);
      const { generation } = await authoriseNext(asked);
      if (generation !== known.envelope.generation) throw new AppError('not_found', 'The recording changed.');
      const end = sound.partEnd(start, sound.flowBytes);
      yield await sound.read({ start, end }, asked.signal);
      start = end;
    }
  }

  const listening = (asked: Asked, known: OpenedRecording): Listening => {
    const sound = servedSound(known, asked.asOriginal, deps.readVerified);
    const { mediaType, totalBytes, etag } = sound;
    return {
      ...{ mediaType, totalBytes, etag },
      readPiece: (range) => {
        if (range.end - range.start > MAX_PIECE_BYTES) throw new RangeError('wider than one piece');
        return sound.read(range, asked.signal);
      },
      partEnd: (start) => sound.partEnd(start, MAX_PIECE_BYTES),
      async readAll() {
        const end = sound.partEnd(0, sound.flowBytes);
        const first = await sound.read({ start: 0, end }, asked.signal);
        return (async function* () {
          if (first.length > 0) yield first;
          yield* rest(asked, known, sound, end);
        })();
      },
    };
  };

  const open = async (asked: PieceRequest): Promise<OpenedRecording> => {
    const { recordingId, generation } = await deps.authorisePiece(asked);
    return opened.get(asked.playbackId, recordingId, generation);
  };

  return {
    audio: async (asked: Asked): Promise<Listening> => listening(asked, await open(asked)),

    /** Waveform of the recording, opened with the same receipt; null when it has none. */
    async peaks(asked: PieceRequest): Promise<Buffer | null> {
      const { row, receipt } = await open(asked);
      const { peaksSealed } = row;
      if (peaksSealed === null) return null;
      return openOrReport(deps.reportDamage, row, () =>
        deps.fields.openField(peaksPlace(row), peaksSealed, receipt),
      );
    },

    /** Drops what is remembered of a recording, when it is erased. */
    forget: opened.forget,
  };
};

export type StreamPlayback = ReturnType<typeof createStreamPlayback>;
