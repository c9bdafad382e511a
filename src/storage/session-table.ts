import type { UserActor } from '../core/access.ts';
import { bytes } from './columns.ts';
import type { PrismaClient } from './prisma/client.ts';

/** A tab that refreshes every ten minutes for twelve hours makes 72. */
const MOST_REPLACED = 1000;

export type SessionEnd = 'logout' | 'reuse_detected' | 'disabled' | 'password_changed';

type NewSession = {
  readonly id: string;
  readonly at: Date;
  readonly expiresAt: Date;
};

export type UserSession = NewSession & {
  readonly userId: string;
  /** The hash the password was checked against: if it has changed meanwhile, there is no session. */
  readonly passwordHash: string;
  readonly refreshHash: Buffer;
  readonly addressIndex: Buffer;
};

export type SourceSession = NewSession & {
  readonly sourceId: string;
  readonly clientSecretHash: Buffer;
};

export type Rotation = {
  readonly hash: Buffer;
  readonly next: Buffer;
  readonly at: Date;
  readonly idleMs: number;
  readonly lifetimeMs: number;
};

export type ReplacedCookie = {
  readonly sessionId: string;
  readonly userId: string;
  readonly role: UserActor['role'];
  readonly organisationId: string | null;
  /** When the latest was replaced. */
  readonly refreshedAt: Date;
};

/**
 * Sessions. Opening one locks the row of whoever opens it, and so does a change of the password: of the two, the later
 * sees the earlier, and no session opened with an old password outlives it.
 */
export const createSessionTable = (prisma: PrismaClient) => ({
  /** False: the password was changed, or the user or organisation disabled, since it was checked. */
  async openForUser(session: UserSession): Promise<boolean> {
    const count = await prisma.$executeRaw`
      INSERT INTO session (id, user_id, refresh_hash, created_at, refreshed_at, expires_at, address_index)
      SELECT ${session.id}::uuid, u.id, ${bytes(session.refreshHash)}, ${session.at}, ${session.at},
             ${session.expiresAt}, ${bytes(session.addressIndex)}
        FROM app_user u
       WHERE u.id = ${session.userId}::uuid AND u.password_hash = ${session.passwordHash} AND u.disabled_at IS NULL
         AND NOT EXISTS (SELECT FROM organisation o WHERE o.id = u.organisation_id AND o.disabled_at IS NOT NULL)
         FOR SHARE OF u`;
    return count === 1;
  },

  /** False: the secret was replaced, or the source or organisation disabled, since it was checked. */
  async openForSource(session: SourceSession): Promise<boolean> {
    const count = await prisma.$executeRaw`
      INSERT INTO session (id, source_id, created_at, refreshed_at, expires_at)
      SELECT ${session.id}::uuid, c.id, ${session.at}, ${session.at}, ${session.expiresAt}
        FROM source c
       WHERE c.id = ${session.sourceId}::uuid AND c.client_secret_hash = ${bytes(session.clientSecretHash)}
         AND c.disabled_at IS NULL
         AND NOT EXISTS (SELECT FROM organisation o WHERE o.id = c.organisation_id AND o.disabled_at IS NOT NULL)
         FOR SHARE OF c`;
    return count === 1;
  },

  /**
   * Replaces the cookie value and moves the expiry forward, to the idle limit or the end of the session's life, whichever
   * is sooner. Of two requests with one value, one wins. Null: there is no live session with this value.
   */
  async rotate(rotation: Rotation): Promise<{ id: string; userId: string; expiresAt: Date } | null> {
    const { hash, next, at, idleMs, lifetimeMs } = rotation;
    const rows = await prisma.$queryRaw<{ id: string; userId: string; expiresAt: Date }[]>`
      UPDATE session s SET
             replaced_hashes = (array_remove(array_append(s.replaced_hashes, s.previous_refresh_hash), NULL))[
               greatest(1, cardinality(s.replaced_hashes) + 2 - ${MOST_REPLACED}::int):],
             previous_refresh_hash = s.refresh_hash,
             refresh_hash = ${bytes(next)}, refreshed_at = ${at},
             expires_at = least(s.created_at + ${lifetimeMs} * interval '1 ms', ${at}::timestamptz + ${idleMs} * interval '1 ms')
        FROM app_user u LEFT JOIN organisation o ON o.id = u.organisation_id
       WHERE s.refresh_hash = ${bytes(hash)} AND s.ended_at IS NULL AND s.expires_at > ${at}
         AND s.created_at + ${lifetimeMs} * interval '1 ms' > ${at}::timestamptz
         AND u.id = s.user_id AND u.disabled_at IS NULL AND o.disabled_at IS NULL
   RETURNING s.id::text AS id, s.user_id::text AS "userId", s.expires_at AS "expiresAt"`;
    return rows[0] ?? null;
  },

  /** The live session in which this value has been replaced, however long ago; null when there is none. */
  async findReplaced(hash: Buffer, at: Date): Promise<ReplacedCookie | null> {
    const rows = await prisma.$queryRaw<ReplacedCookie[]>`
      SELECT s.id::text AS "sessionId", u.id::text AS "userId", u.role, u.organisation_id::text AS "organisationId",
             s.refreshed_at AS "refreshedAt"
        FROM session s JOIN app_user u ON u.id = s.user_id
       WHERE (s.previous_refresh_hash = ${bytes(hash)} OR s.replaced_hashes @> ARRAY[${bytes(hash)}]::bytea[]) AND s.ended_at IS NULL AND s.expires_at > ${at} LIMIT 1`;
    return rows[0] ?? null;
  },

  /** A session ends once, and for one reason: false when it had ended before. */
  async end(id: string, reason: SessionEnd, at: Date): Promise<boolean> {
    const { count } = await prisma.session.updateMany({
      where: { id, endedAt: null },
      data: { endedAt: at, endReason: reason },
    });
    return count === 1;
  },

  /** Sessions of a user that still count, but for one. */
  async openOf(userId: string, except: string | null, at: Date): Promise<string[]> {
    const rows = await prisma.session.findMany({
      where: {
        userId,
        endedAt: null,
        expiresAt: { gt: at },
        ...(except === null ? {} : { id: { not: except } }),
      },
      select: { id: true },
      orderBy: { createdAt: 'asc' },
    });
    return rows.map(({ id }) => id);
  },

  /** Ends every session of a source, or of all people and sources of an organisation. */
  async endAll(
    of: { readonly sourceId: string } | { readonly organisationId: string },
    reason: SessionEnd,
    at: Date,
  ): Promise<void> {
    const owner = 'sourceId' in of ? of : { OR: [{ user: of }, { source: of }] };
    await prisma.session.updateMany({
      where: { ...owner, endedAt: null },
      data: { endedAt: at, endReason: reason },
    });
  },

  /** Whether this user has signed in from a place with one of these indexes since then. */
  async hasSignedInFrom(userId: string, places: readonly Buffer[], since: Date): Promise<boolean> {
    const row = await prisma.session.findFirst({
      where: { userId, addressIndex: { in: places.map(bytes) }, createdAt: { gt: since } },
      select: { id: true },
    });
    return row !== null;
  },

  /** Forgets sessions that expired before then, once no playback needs them. Entries in the log stay. */
  async removeExpired(limits: { readonly users: Date; readonly sources: Date }): Promise<number> {
    const { count } = await prisma.session.deleteMany({
      where: {
        playbacks: { none: {} },
        OR: [
          { userId: { not: null }, expiresAt: { lt: limits.users } },
          { sourceId: { not: null }, expiresAt: { lt: limits.sources } },
        ],
      },
    });
    return count;
  },
});

export type SessionTable = ReturnType<typeof createSessionTable>;
