import type { Pool } from 'pg';
import { AppError } from '../core/errors.ts';

/** A recording that is to be fetched, as whoever has claimed it sees it. */
export type ClaimedFetch = {
  readonly id: string;
  readonly organisation: string;
  readonly source: string;
  readonly callbackSealed: Buffer;
  /** The announced call; null when it is not announced yet. */
  readonly call: string | null;
  /** When its callback came. */
  readonly createdAt: Date;
  /** This one included. */
  readonly attempts: number;
  /** How often in a row its provider had no such recording, before this. */
  readonly noSuch: number;
};

/** A recording that is asked for no longer; `call` is the announced call. */
export type GivenUpFetch = {
  readonly id: string;
  readonly call: string | null;
  readonly fault: string | null;
};

/** Whoever has claimed it, until then; were it to die, it is asked for again after one of `pauses` (milliseconds). */
type Claim = {
  readonly at: Date;
  readonly until: Date;
  readonly claim: string;
  readonly pauses: readonly number[];
};

export type NewFetch = {
  readonly id: string;
  readonly organisation: string;
  readonly source: string;
  /** Keyed indexes of the delivery, newest first. */
  readonly deliveries: readonly Buffer[];
  readonly callbackSealed: Buffer;
};

const CLAIMED = `f.id::text AS id, f.organisation_id::text AS organisation, f.source_id::text AS source,
  f.callback_sealed AS "callbackSealed", f.call_id::text AS call, f.created_at AS "createdAt", f.attempts,
  f.no_such AS "noSuch"`;
const FREE = '(f.claimed_until IS NULL OR f.claimed_until <= $1)';
const DUE = `f.state = 'waiting' AND f.next_at <= $1 AND ${FREE}`;
/** The pause after attempt `n` of the list `pauses`, of which the last one is taken again and again. */
const pauseAfter = (n: string, pauses: string): string =>
  `(${pauses}::float8[])[least(${n}, cardinality(${pauses}::float8[]))] * interval '1 millisecond'`;

/** Of what was given up, and begins anew, the first; else the second. */
const anew = (renewed: string, kept: string): string =>
  `(CASE WHEN f.state = 'given_up' THEN ${renewed} ELSE ${kept} END)`;

/**
 * One statement, for a callback is either remembered or not. What another process fetches now is left to it, and is due again
 * when that fails; what was given up begins anew.
 */
const remember = {
  name: 'fetch-remember',
  text: `WITH known AS (
           SELECT id FROM recording_fetch WHERE source_id = $5 AND delivery_index = ANY ($7::bytea[]) LIMIT 1),
         taken AS (
           UPDATE recording_fetch f SET state = 'waiting', callback_sealed = $8, claim = $3, claimed_until = $2,
                  attempts = ${anew('0', 'f.attempts')} + 1, no_such = ${anew('0', 'f.no_such')}, fault = ${anew('NULL', 'f.fault')},
                  created_at = ${anew('$1', 'f.created_at')}, next_at = $1 + ${pauseAfter(`${anew('0', 'f.attempts')} + 1`, '$9')}
             FROM known WHERE f.id = known.id AND ${FREE}
           RETURNING ${CLAIMED}, true AS mine),
         woken AS (
           UPDATE recording_fetch f SET next_at = least(f.next_at, $1) FROM known WHERE f.id = known.id AND NOT ${FREE}
           RETURNING ${CLAIMED}, false AS mine),
         made AS (
           INSERT INTO recording_fetch AS f (id, organisation_id, source_id, delivery_index, callback_sealed, created_at, next_at,
                  attempts, claim, claimed_until)
           SELECT $4, $6, $5, ($7::bytea[])[1], $8, $1, $1 + ${pauseAfter('1', '$9')}, 1, $3, $2
            WHERE NOT EXISTS (SELECT FROM known)
           ON CONFLICT (source_id, delivery_index) DO NOTHING
           RETURNING ${CLAIMED}, true AS mine)
         SELECT * FROM taken UNION ALL SELECT * FROM woken UNION ALL SELECT * FROM made`,
};

/**
 * Leased, so that a process that is killed holds nothing for long, and no two fetch the same at once. A source whose provider
 * does not answer keeps no other waiting, and is not asked for while it is disabled or has no account.
 */
const claimDue = {
  name: 'fetch-claim',
  text: `WITH due AS (
           SELECT f.id FROM (
             SELECT t.source_id AS id FROM twilio_account t JOIN source s ON s.id = t.source_id
               JOIN organisation o ON o.id = s.organisation_id
              WHERE s.disabled_at IS NULL AND o.disabled_at IS NULL AND t.source_id <> ALL ($5::uuid[])
                AND EXISTS (SELECT FROM recording_fetch f WHERE f.source_id = t.source_id AND ${DUE})
              ORDER BY random() LIMIT $6) s
            CROSS JOIN LATERAL (
             SELECT id FROM recording_fetch f WHERE f.source_id = s.id AND ${DUE}
              ORDER BY f.next_at LIMIT $4 FOR UPDATE SKIP LOCKED) f)
         UPDATE recording_fetch f SET claim = $3, claimed_until = $2, attempts = f.attempts + 1,
                next_at = $1 + ${pauseAfter('f.attempts + 1', '$7')}
           FROM due WHERE f.id = due.id
         RETURNING ${CLAIMED}`,
};

/** More than two processes that remember the same at one moment need. */
const LOOKS = 5;

type Queries = Pick<Pool, 'query'>;

const claiming = (pool: Queries) => ({
  /** Remembers what a callback asks for, and claims it; null: another process fetches it now. */
  async remember(fetch: NewFetch, { at, until, claim, pauses }: Claim): Promise<ClaimedFetch | null> {
    const { id, organisation, source, deliveries, callbackSealed } = fetch;
    const values = [at, until, claim, id, source, organisation, deliveries, callbackSealed, pauses];
    for (let look = 0; look < LOOKS; look += 1) {
      const { rows } = await pool.query<ClaimedFetch & { mine: boolean }>({ ...remember, values });
      const [row] = rows;
      // Nothing: somebody else remembered or forgot it at this moment, which the next look sees.
      if (row === undefined) continue;
      const { mine, ...claimed } = row;
      return mine ? claimed : null;
    }
    throw new AppError('in_progress', 'The same callback is being taken right now.', { retryAfter: 1 });
  },

  /** At most `each` of some sources that are not `busy`, the longest due first. */
  async claim(
    asked: Claim & { readonly each: number; readonly busy: readonly string[]; readonly sources: number },
  ): Promise<ClaimedFetch[]> {
    const { at, until, claim, pauses, each, busy, sources } = asked;
    const values = [at, until, claim, each, busy, sources, pauses];
    return (await pool.query<ClaimedFetch>({ ...claimDue, values })).rows;
  },

  /** False: the claim has been lost. */
  async extendClaim(id: string, claim: string, until: Date): Promise<boolean> {
    const text = 'UPDATE recording_fetch SET claimed_until = $3 WHERE id = $1 AND claim = $2';
    return (await pool.query(text, [id, claim, until])).rowCount === 1;
  },
});

/** How an attempt ends. What a claim no longer holds, it no longer changes. */
const ending = (pool: Queries) => ({
  /** The call is announced, under this id. */
  async announced(id: string, call: string): Promise<void> {
    await pool.query('UPDATE recording_fetch SET call_id = $2 WHERE id = $1', [id, call]);
  },

  /** It came to nothing, and is asked for again at `next`. */
  async failed(
    id: string,
    claim: string,
    { next, fault, noSuch }: { readonly next: Date; readonly fault: string; readonly noSuch: number },
  ): Promise<void> {
    await pool.query(
      `UPDATE recording_fetch SET claim = NULL, claimed_until = NULL, next_at = $3, fault = $4, no_such = $5
        WHERE id = $1 AND claim = $2`,
      [id, claim, next, fault, noSuch],
    );
  },

  /** Nothing was asked of the provider, or what was is of no account: due at once. */
  async release(id: string, claim: string, at: Date): Promise<void> {
    await pool.query(
      `UPDATE recording_fetch SET claim = NULL, claimed_until = NULL, next_at = $3, attempts = greatest(attempts - 1, 0)
        WHERE id = $1 AND claim = $2`,
      [id, claim, at],
    );
  },

  /** It is asked for no longer; what its callback said is forgotten. False: the claim has been lost. */
  async giveUp(id: string, claim: string, fault: string, at: Date): Promise<boolean> {
    const { rowCount } = await pool.query(
      `UPDATE recording_fetch SET state = 'given_up', callback_sealed = NULL, claim = NULL, claimed_until = NULL, next_at = $4,
              fault = $3 WHERE id = $1 AND claim = $2`,
      [id, claim, fault, at],
    );
    return rowCount === 1;
  },

  /** The recording is here, or never will be wanted. */
  async remove(id: string): Promise<void> {
    await pool.query('DELETE FROM recording_fetch WHERE id = $1', [id]);
  },
});

/** Recordings that providers say are there and that are not here yet. Of their callbacks only what is sealed is here. */
export const createRecordingFetchTable = (pool: Queries) => ({
  ...claiming(pool),
  ...ending(pool),

  /** All that wait of this source are due now. */
  async wake(source: string, at: Date): Promise<void> {
    await pool.query(
      `UPDATE recording_fetch SET next_at = least(next_at, $2) WHERE source_id = $1 AND state = 'waiting'`,
      [source, at],
    );
  },

  /** Gives up what was remembered before then and nobody fetches at `at`: sources that are disabled, or have no account. */
  async expire(before: Date, at: Date): Promise<GivenUpFetch[]> {
    const { rows } = await pool.query<GivenUpFetch>(
      `UPDATE recording_fetch f SET state = 'given_up', callback_sealed = NULL, claim = NULL, claimed_until = NULL, next_at = $1,
              fault = coalesce(f.fault, 'not_asked')
        WHERE f.state = 'waiting' AND f.created_at < $2 AND ${FREE}
       RETURNING f.id::text AS id, f.call_id::text AS call, f.fault`,
      [at, before],
    );
    return rows;
  },

  /** Removes what was given up before then. */
  async forget(before: Date): Promise<void> {
    await pool.query(`DELETE FROM recording_fetch WHERE state = 'given_up' AND next_at < $1`, [before]);
  },

  /** How many wait and how many were given up, of all. */
  async counts(): Promise<{ readonly waiting: number; readonly given_up: number }> {
    const { rows } = await pool.query<{ waiting: number; given_up: number }>(
      `SELECT count(*) FILTER (WHERE state = 'waiting')::int AS waiting, count(*) FILTER (WHERE state = 'given_up')::int AS given_up
         FROM recording_fetch`,
    );
    return rows[0] ?? { waiting: 0, given_up: 0 };
  },
});

export type RecordingFetchTable = ReturnType<typeof createRecordingFetchTable>;
