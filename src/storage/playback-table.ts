import type { Pool } from 'pg';
import type { Purpose } from '../core/events.ts';
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

const pieceStatement = (sessionCondition: string): string => `
  SELECT s.ended_at IS NULL AND s.expires_at > $3 AND u.disabled_at IS NULL AND o.disabled_at IS NULL AS "sessionValid",
         u.role,
         coalesce(p.expires_at > $3, false) AS "playbackValid",
         p.recording_id AS "recordingId", r.generation, coalesce(r.status = 'stored', false) AS stored,
         EXISTS (SELECT FROM membership m JOIN care_unit c ON c.id = m.unit_id
                 WHERE m.user_id = u.id AND m.unit_id = r.unit_id AND c.disabled_at IS NULL) AS "inUnit"
    FROM session s
    JOIN app_user u ON u.id = s.user_id
    LEFT JOIN organisation o ON o.id = u.organisation_id
    LEFT JOIN playback p ON p.id = $1 AND p.session_id = s.id AND p.user_id = u.id
    LEFT JOIN recording r ON r.id = p.recording_id AND r.organisation_id = u.organisation_id
   WHERE ${sessionCondition}`;

const bySession = { name: 'piece-by-session', text: pieceStatement('s.id = $2') };
const byCookie = { name: 'piece-by-cookie', text: pieceStatement(currentCookie('$2', '$3')) };

/** Playbacks: made through Prisma, checked per piece in one prepared statement on the given pool. */
export const createPlaybackTable = ({
  prisma,
  pool,
}: {
  prisma: PrismaClient;
  pool: Pick<Pool, 'query'>;
}) => ({
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
    readonly purpose: Purpose;
  } | null> {
    const row = await prisma.playback.findUnique({
      where: { id },
      include: { recording: { select: { organisationId: true, unitId: true, subject: true } } },
    });
    if (row === null) return null;
    const { userId, sessionId, recordingId, recording } = row;
    return { userId, sessionId, recordingId, ...recording, purpose: row.purpose as Purpose };
  },

  /** Session, user, organisation, unit, recording and playback in one round trip; null when there is no such session. */
  async checkPiece(
    playbackId: string,
    session: { readonly id: string } | { readonly cookieHash: Buffer },
    at: Date,
  ): Promise<PieceCheck | null> {
    const { rows } = await pool.query<PieceCheck>(
      'id' in session
        ? { ...bySession, values: [playbackId, session.id, at] }
        : { ...byCookie, values: [playbackId, session.cookieHash, at] },
    );
    return rows[0] ?? null;
  },

  /** Forgets permissions that ended before `before`; their entries stay in the log. */
  async removeExpired(before: Date): Promise<number> {
    const { count } = await prisma.playback.deleteMany({ where: { expiresAt: { lt: before } } });
    return count;
  },
});

export type PlaybackTable = ReturnType<typeof createPlaybackTable>;
