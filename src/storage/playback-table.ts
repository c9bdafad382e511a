import type { Pool } from 'pg';
import type { Purpose } from '../core/events.ts';
import { createBatchedQuery } from './batched-query.ts';
import type { PrismaClient } from './prisma/client.ts';
import { currentCookie } from './session-check.ts';

/** What the database says about one piece of one playback, at this moment. */
export type PieceCheck = {
  /** The session exists, has not ended or expired, and neither its user nor the organisation is disabled. */
  readonly sessionValid: boolean;
  readonly role: string;
  /** The playback belongs to this very session and user and has not expired. */
  readonly playbackValid: boolean;
  readonly recordingId: string | null;
  readonly generation: string | null;
  readonly stored: boolean;
  /** The user still belongs to the recording's care unit, and the unit is not disabled. */
  readonly inUnit: boolean;
};

/** `session` is the type of what the caller knows of the session, `condition` how it is found by it. */
const pieceStatement = (name: string, session: string, condition: string) => ({
  name,
  text: `
  SELECT a.n::int AS n,
         s.ended_at IS NULL AND s.expires_at > $3 AND u.disabled_at IS NULL AND o.disabled_at IS NULL AS "sessionValid",
         u.role,
         coalesce(p.expires_at > $3, false) AS "playbackValid",
         p.recording_id AS "recordingId", r.generation, coalesce(r.status = 'stored', false) AS stored,
         EXISTS (SELECT FROM membership m JOIN care_unit c ON c.id = m.unit_id
                 WHERE m.user_id = u.id AND m.unit_id = r.unit_id AND c.disabled_at IS NULL) AS "inUnit"
    FROM unnest($1::uuid[], $2::${session}[]) WITH ORDINALITY AS a (playback, session, n)
    JOIN session s ON ${condition}
    JOIN app_user u ON u.id = s.user_id
    LEFT JOIN organisation o ON o.id = u.organisation_id
    LEFT JOIN playback p ON p.id = a.playback AND p.session_id = s.id AND p.user_id = u.id
    LEFT JOIN recording r ON r.id = p.recording_id AND r.organisation_id = u.organisation_id`,
});

const bySession = pieceStatement('piece-by-session', 'uuid', 's.id = a.session');
const byCookie = pieceStatement('piece-by-cookie', 'bytea', currentCookie('a.session', '$3'));

type PieceKey<S> = { readonly playbackId: string; readonly session: S; readonly at: Date };

const createPieceCheck = <S>(pool: Pick<Pool, 'query'>, statement: { name: string; text: string }) =>
  createBatchedQuery(async (keys: readonly PieceKey<S>[]): Promise<readonly (PieceCheck | null)[]> => {
    // The latest of their clocks judges all: nothing that has expired for one of them is valid for another.
    const at = new Date(Math.max(...keys.map((key) => key.at.getTime())));
    const values = [keys.map((key) => key.playbackId), keys.map((key) => key.session), at];
    const { rows } = await pool.query<PieceCheck & { n: number }>({ ...statement, values });
    const found = new Map(rows.map((row) => [row.n, row]));
    return keys.map((_, n) => found.get(n + 1) ?? null);
  });

/** Playbacks: made through Prisma, checked per piece in one prepared statement on the given pool. */
export const createPlaybackTable = ({
  prisma,
  pool,
}: {
  prisma: PrismaClient;
  pool: Pick<Pool, 'query'>;
}) => {
  const checkBySession = createPieceCheck<string>(pool, bySession);
  const checkByCookie = createPieceCheck<Buffer>(pool, byCookie);
  return {
    async insert(playback: {
      readonly id: string;
      readonly recordingId: string;
      readonly userId: string;
      readonly sessionId: string;
      readonly purpose: string;
      readonly createdAt: Date;
      readonly expiresAt: Date;
    }): Promise<void> {
      await prisma.playback.create({ data: playback, select: { id: true } });
    },

    /** A playback with what its log entries name; null when there is none. */
    async find(id: string): Promise<{
      readonly userId: string;
      readonly sessionId: string;
      readonly recordingId: string;
      readonly organisationId: string;
      readonly unitId: string | null;
      readonly subject: string | null;
      readonly durationMs: number | null;
      readonly purpose: Purpose;
    } | null> {
      const row = await prisma.playback.findUnique({
        where: { id },
        include: {
          recording: { select: { organisationId: true, unitId: true, subject: true, durationMs: true } },
        },
      });
      if (row === null) return null;
      const { userId, sessionId, recordingId, recording } = row;
      return { userId, sessionId, recordingId, ...recording, purpose: row.purpose as Purpose };
    },

    /** Session, user, organisation, unit, recording and playback in one round trip; null when there is no such session. */
    checkPiece: (
      playbackId: string,
      session: { readonly id: string } | { readonly cookieHash: Buffer },
      at: Date,
    ): Promise<PieceCheck | null> =>
      'id' in session
        ? checkBySession({ playbackId, session: session.id, at })
        : checkByCookie({ playbackId, session: session.cookieHash, at }),

    /** Forgets permissions that ended before `before`; their entries stay in the log. */
    async removeExpired(before: Date): Promise<number> {
      const { count } = await prisma.playback.deleteMany({ where: { expiresAt: { lt: before } } });
      return count;
    },
  };
};

export type PlaybackTable = ReturnType<typeof createPlaybackTable>;
