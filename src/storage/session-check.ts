import type { Pool } from 'pg';
import type { ActorContext, UserActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { OrganisationId, SessionId, SourceId, UnitId, UserId } from '../core/ids.ts';

/**
 * Condition on `session s`: the cookie is the current one, or the one replaced less than ten seconds ago, which a request
 * that left the browser while its page was refreshing still carries. `hash` and `at` name parameters of the statement.
 */
export const currentCookie = (hash: string, at: string): string =>
  `(s.refresh_hash = ${hash} OR (s.previous_refresh_hash = ${hash}
     AND s.refreshed_at > ${at}::timestamptz - interval '10 seconds'))`;

/** A session counts while it has not ended or expired and whoever made it, and the organisation, are not disabled. */
const sessionStatement = (condition: string): string => `
  SELECT s.id AS session, u.id AS "userId", u.role, u.password_initial AS "passwordInitial", u.organisation_id AS "userOrganisation",
         c.id AS "sourceId", c.organisation_id AS "sourceOrganisation",
         ARRAY(SELECT m.unit_id::text FROM membership m JOIN care_unit n ON n.id = m.unit_id
                WHERE m.user_id = u.id AND n.organisation_id = u.organisation_id AND n.disabled_at IS NULL
                ORDER BY 1) AS units
    FROM session s
    LEFT JOIN app_user u ON u.id = s.user_id
    LEFT JOIN source c ON c.id = s.source_id
    LEFT JOIN organisation o ON o.id = coalesce(u.organisation_id, c.organisation_id)
   WHERE ${condition} AND s.ended_at IS NULL AND s.expires_at > $2
     AND u.disabled_at IS NULL AND c.disabled_at IS NULL AND o.disabled_at IS NULL`;

const bySession = { name: 'session-by-id', text: sessionStatement('s.id = $1') };
const byCookie = { name: 'session-by-cookie', text: sessionStatement(currentCookie('$1', '$2')) };
const byApiKey = {
  name: 'source-by-api-key',
  text: `SELECT c.id AS "sourceId", c.organisation_id AS "sourceOrganisation"
           FROM source c JOIN organisation o ON o.id = c.organisation_id
          WHERE c.api_key_hash = $1 AND c.disabled_at IS NULL AND o.disabled_at IS NULL`,
};

type SourceRow = { readonly sourceId: SourceId; readonly sourceOrganisation: OrganisationId };
type SessionRow = {
  readonly session: SessionId;
  readonly userId: UserId | null;
  readonly role: UserActor['role'] | null;
  readonly passwordInitial: boolean | null;
  readonly userOrganisation: OrganisationId | null;
  readonly sourceId: SourceId | null;
  readonly sourceOrganisation: OrganisationId | null;
  readonly units: readonly UnitId[];
};

const sourceActor = (row: SourceRow, session: SessionId | null): ActorContext => ({
  type: 'source',
  id: row.sourceId,
  role: 'source',
  organisation: row.sourceOrganisation,
  session,
});

const actorOf = (row: SessionRow): ActorContext => {
  const { session, userId, role, userOrganisation, sourceId, sourceOrganisation, units } = row;
  if (userId !== null && role !== null)
    return {
      type: 'user',
      id: userId,
      role,
      organisation: userOrganisation,
      units,
      session,
      ...(row.passwordInitial === true ? { passwordInitial: true } : {}),
    };
  if (sourceId !== null && sourceOrganisation !== null)
    return sourceActor({ sourceId, sourceOrganisation }, session);
  throw new AppError('internal', 'a session of nobody');
};

/**
 * Who a session, cookie or API key stands for at this moment, in one prepared statement: it is asked on every request, so
 * whatever was taken away counts from the next one. Null: nobody, or nobody any more.
 */
export const createSessionCheck = (pool: Pick<Pool, 'query'>) => {
  const bySessionRow = async (
    statement: { name: string; text: string },
    key: string | Buffer,
    at: Date,
  ): Promise<ActorContext | null> => {
    const { rows } = await pool.query<SessionRow>({ ...statement, values: [key, at] });
    return rows[0] === undefined ? null : actorOf(rows[0]);
  };
  return {
    bySession: (id: string, at: Date) => bySessionRow(bySession, id, at),
    byCookie: (hash: Buffer, at: Date) => bySessionRow(byCookie, hash, at),
    byApiKey: async (hash: Buffer): Promise<ActorContext | null> => {
      const { rows } = await pool.query<SourceRow>({ ...byApiKey, values: [hash] });
      return rows[0] === undefined ? null : sourceActor(rows[0], null);
    },
  };
};

export type SessionCheck = ReturnType<typeof createSessionCheck>;
