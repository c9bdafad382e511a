import type { Pool } from 'pg';

/** A message to one receiver, and what is needed to sign it. */
export type DueMessage = {
  readonly id: string;
  readonly payload: unknown;
  readonly createdAt: Date;
  /** This one included. */
  readonly attempts: number;
  readonly webhook: string;
  readonly organisation: string;
  readonly url: string;
  readonly secretSalt: Buffer;
  readonly secretVersion: number;
  /** Failures in a row before this. */
  readonly failures: number;
};

export type DeadMessage = {
  readonly id: string;
  readonly type: string;
  readonly payload: unknown;
  readonly createdAt: Date;
  readonly attempts: number;
  readonly fault: string | null;
};

export type Position = { readonly at: Date; readonly id: string };
const NOWHERE: Position = { at: new Date(0), id: '00000000-0000-0000-0000-000000000000' };

/**
 * Leased, so that a process that is killed holds nothing for long, and two processes never send the same message at once.
 * A receiver that fails is left alone until its pause is over; each has its share, however much waits for another.
 */
const claim = {
  name: 'webhook-claim',
  text: `WITH due AS (
           SELECT m.id FROM (
             SELECT w.id FROM webhook w
              WHERE w.disabled_at IS NULL AND (w.resume_at IS NULL OR w.resume_at <= $1) AND w.id <> ALL ($4::uuid[])
                AND EXISTS (SELECT FROM webhook_message m WHERE m.webhook_id = w.id AND m.state = 'waiting' AND m.next_at <= $1)
              ORDER BY random() LIMIT $5) w
            CROSS JOIN LATERAL (
             SELECT id FROM webhook_message m WHERE m.webhook_id = w.id AND m.state = 'waiting' AND m.next_at <= $1
              ORDER BY m.next_at LIMIT $3 FOR UPDATE SKIP LOCKED) m)
         UPDATE webhook_message m SET next_at = $2, attempts = m.attempts + 1 FROM due, webhook w
          WHERE m.id = due.id AND w.id = m.webhook_id
         RETURNING m.id::text AS id, m.payload, m.created_at AS "createdAt", m.attempts, w.id::text AS webhook,
                   w.organisation_id::text AS organisation, w.url, w.secret_salt AS "secretSalt",
                   w.secret_version AS "secretVersion", w.failures`,
};

/** Messages for webhooks: what is waiting and what was given up. What was delivered is gone. */
export const createWebhookMessageTable = (pool: Pick<Pool, 'query'>) => ({
  /** At most `each` messages of some receivers that are not `busy`, leased until `until`, each receiver's in order. */
  async claim(asked: {
    readonly at: Date;
    readonly until: Date;
    readonly each: number;
    readonly busy: readonly string[];
    readonly receivers: number;
  }): Promise<DueMessage[]> {
    const { at, until, each, busy, receivers } = asked;
    const { rows } = await pool.query<DueMessage>({ ...claim, values: [at, until, each, busy, receivers] });
    return rows.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  },

  async delivered(id: string, webhook: string): Promise<void> {
    await pool.query('DELETE FROM webhook_message WHERE id = $1', [id]);
    await pool.query('UPDATE webhook SET failures = 0, resume_at = NULL WHERE id = $1 AND failures > 0', [
      webhook,
    ]);
  },

  /** Tried again at `next`, or never by itself (null). The receiver is left alone until `resume`. */
  async failed(
    { id, webhook }: Pick<DueMessage, 'id' | 'webhook'>,
    { next, resume, fault }: { readonly next: Date | null; readonly resume: Date; readonly fault: string },
  ): Promise<void> {
    await pool.query(
      `UPDATE webhook_message SET fault = $3, next_at = coalesce($2, next_at),
              state = CASE WHEN $2::timestamptz IS NULL THEN 'dead' ELSE 'waiting' END WHERE id = $1`,
      [id, next, fault],
    );
    await pool.query('UPDATE webhook SET failures = failures + 1, resume_at = $2 WHERE id = $1', [
      webhook,
      resume,
    ]);
  },

  /** Claimed and not tried: they wait on, as if they had not been claimed. */
  async release(ids: readonly string[], at: Date): Promise<void> {
    await pool.query(
      `UPDATE webhook_message SET next_at = $2, attempts = greatest(attempts - 1, 0) WHERE id = ANY ($1::uuid[])`,
      [ids, at],
    );
  },

  /** Given up, oldest first. */
  async dead(
    webhook: string,
    { after, limit }: { readonly after: Position | null; readonly limit: number },
  ): Promise<DeadMessage[]> {
    const { at, id } = after ?? NOWHERE;
    const { rows } = await pool.query<DeadMessage>(
      `SELECT id::text AS id, payload->>'type' AS type, payload, created_at AS "createdAt", attempts, fault FROM webhook_message
        WHERE webhook_id = $1 AND state = 'dead' AND (created_at, id) > ($2, $3::uuid)
        ORDER BY created_at, id LIMIT $4`,
      [webhook, at, id, limit],
    );
    return rows;
  },

  /** Those that were given up before `at` wait again, for as long as a new one; of one message when it is named. Returns how many. */
  async revive(webhook: string, message: string | null, at: Date): Promise<number> {
    const { rowCount } = await pool.query(
      `UPDATE webhook_message SET state = 'waiting', attempts = 0, created_at = $3, next_at = $3
        WHERE webhook_id = $1 AND state = 'dead' AND created_at < $3 AND ($2::uuid IS NULL OR id = $2)`,
      [webhook, message, at],
    );
    await pool.query('UPDATE webhook SET failures = 0, resume_at = NULL WHERE id = $1', [webhook]);
    return rowCount ?? 0;
  },

  /** Removes what was given up before then, and what nobody will be told any more; returns how many. */
  async forget(before: Date): Promise<number> {
    const { rowCount } = await pool.query(
      `DELETE FROM webhook_message WHERE id IN (
         SELECT m.id FROM webhook w CROSS JOIN LATERAL (
           (SELECT id FROM webhook_message m WHERE m.webhook_id = w.id AND m.state = 'dead' AND m.created_at < $1
             ORDER BY m.created_at LIMIT 1000)
           UNION ALL
           (SELECT id FROM webhook_message m WHERE m.webhook_id = w.id AND m.state = 'waiting' AND m.next_at < $1
             AND w.disabled_at IS NOT NULL ORDER BY m.next_at LIMIT 1000)) m)`,
      [before],
    );
    return rowCount ?? 0;
  },

  /** How many wait and how many were given up, of all. */
  async counts(): Promise<{ readonly waiting: number; readonly dead: number }> {
    const { rows } = await pool.query<{ waiting: number; dead: number }>(
      `SELECT count(*) FILTER (WHERE state = 'waiting')::int AS waiting, count(*) FILTER (WHERE state = 'dead')::int AS dead
         FROM webhook_message`,
    );
    return rows[0] ?? { waiting: 0, dead: 0 };
  },
});

export type WebhookMessageTable = ReturnType<typeof createWebhookMessageTable>;
