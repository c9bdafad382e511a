import type { Pool } from 'pg';
import { rfc3339 as time } from './webhook-payload.ts';

/** An announced call as it is kept. Numbers and call id are in `factsSealed`. */
export type CallRow = {
  readonly id: string;
  readonly callIdIndex: Buffer;
  readonly callerIndex: Buffer | null;
  readonly calledIndex: Buffer | null;
  readonly factsSealed: Buffer;
  /** Whether the announcement says a number; one that does not leaves what is known of them. */
  readonly saysNumbers: boolean;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly overAt: Date;
  readonly direction: string | null;
  readonly expected: boolean;
  readonly reason: string | null;
  readonly expectedMs: number | null;
  /** Of one row of call records: it adds to what is known of the call, as core/call-legs.ts does within a table. */
  readonly isLeg: boolean;
};

type Owner = { readonly organisation: string; readonly source: string };

const known = {
  name: 'calls-known',
  text: `SELECT id::text AS id, call_id_index AS "callIdIndex" FROM announced_call
          WHERE source_id = $1 AND call_id_index = ANY ($2)`,
};

const LEG = 'EXCLUDED.id = ANY ($17::uuid[])';
const EXPECTED = `CASE WHEN ${LEG} THEN c.expected OR (EXCLUDED.expected AND c.reason IS NOT DISTINCT FROM 'not_answered')
    ELSE EXCLUDED.expected END`;
const EXPECTED_MS = `CASE WHEN NOT (${LEG}) THEN coalesce(EXCLUDED.expected_ms, c.expected_ms)
    WHEN NOT (${EXPECTED}) THEN c.expected_ms
    WHEN c.expected AND EXCLUDED.expected THEN greatest(c.expected_ms, EXCLUDED.expected_ms)
    WHEN c.expected THEN c.expected_ms ELSE EXCLUDED.expected_ms END`;
const OVER_AT = `CASE WHEN NOT (${LEG}) THEN greatest(EXCLUDED.started_at,
      CASE WHEN EXCLUDED.ended_at IS NULL AND c.ended_at IS NOT NULL THEN c.over_at ELSE EXCLUDED.over_at END)
    WHEN c.ended_at IS NULL AND c.expected_ms IS NULL THEN EXCLUDED.over_at
    WHEN EXCLUDED.ended_at IS NULL AND EXCLUDED.expected_ms IS NULL THEN c.over_at
    ELSE greatest(c.over_at, EXCLUDED.over_at) END`;

/**
 * What is announced again says more, or corrects what was said. Sealed facts belong to a row: one that somebody else has
 * made meanwhile keeps its own. A call that was settled because none was expected is waited for once one is.
 */
const announce = {
  name: 'calls-announce',
  text: `INSERT INTO announced_call AS c (id, organisation_id, source_id, call_id_index, caller_index, called_index, facts_sealed,
                started_at, ended_at, over_at, direction, expected, reason, expected_ms, announced_at)
         SELECT a.id, $1::uuid, $2::uuid, a.call_id_index, a.caller_index, a.called_index, a.facts_sealed,
                a.started_at, a.ended_at, a.over_at, a.direction, a.expected, a.reason, a.expected_ms, $3::timestamptz
           FROM unnest($4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::timestamptz[], $10::timestamptz[],
                       $11::timestamptz[], $12::text[], $13::boolean[], $14::text[], $15::int[])
             AS a (id, call_id_index, caller_index, called_index, facts_sealed, started_at, ended_at, over_at, direction,
                   expected, reason, expected_ms)
          -- In one order, so that two who announce the same calls do not wait for each other in a circle.
          ORDER BY a.call_id_index
         ON CONFLICT (source_id, call_id_index) DO UPDATE SET
           facts_sealed = CASE WHEN c.id = EXCLUDED.id AND EXCLUDED.id = ANY ($16::uuid[]) THEN EXCLUDED.facts_sealed ELSE c.facts_sealed END,
           caller_index = CASE WHEN c.id = EXCLUDED.id AND EXCLUDED.id = ANY ($16::uuid[]) THEN EXCLUDED.caller_index ELSE c.caller_index END,
           called_index = CASE WHEN c.id = EXCLUDED.id AND EXCLUDED.id = ANY ($16::uuid[]) THEN EXCLUDED.called_index ELSE c.called_index END,
           started_at = CASE WHEN ${LEG} THEN least(c.started_at, EXCLUDED.started_at) ELSE EXCLUDED.started_at END,
           ended_at = CASE WHEN ${LEG} THEN greatest(c.ended_at, EXCLUDED.ended_at) ELSE coalesce(EXCLUDED.ended_at, c.ended_at) END,
           over_at = ${OVER_AT},
           direction = coalesce(EXCLUDED.direction, c.direction),
           expected = ${EXPECTED},
           reason = CASE WHEN ${EXPECTED} THEN NULL WHEN ${LEG} THEN c.reason ELSE EXCLUDED.reason END,
           expected_ms = ${EXPECTED_MS},
           state = CASE WHEN c.state = 'settled' AND NOT c.expected AND ${EXPECTED} THEN 'open' ELSE c.state END,
           announced_at = EXCLUDED.announced_at
         RETURNING id::text AS id, call_id_index AS "callIdIndex"`,
};

/**
 * Decides about calls that were over before `$1`: settled, or missing, once. Who wants to hear of missing ones is told in
 * the same statement, so that no crash lies between.
 */
const settle = {
  name: 'calls-settle',
  text: `WITH due AS (
           SELECT o.id, t.came IS NOT NULL AS came FROM (
             SELECT id, source_id, call_id_index FROM announced_call
              WHERE state = 'open' AND over_at <= $1 ORDER BY over_at LIMIT $2 FOR UPDATE SKIP LOCKED) o
             LEFT JOIN LATERAL (
               SELECT true AS came FROM recording r WHERE r.source_id = o.source_id AND r.call_id_index = o.call_id_index
                  AND r.status IN ('stored', 'erasing', 'erased') LIMIT 1) t ON true),
         settled AS (
           UPDATE announced_call c SET state = CASE WHEN NOT c.expected OR due.came THEN 'settled' ELSE 'missing' END
             FROM due WHERE c.id = due.id RETURNING c.*),
         told AS (
           INSERT INTO webhook_message (id, webhook_id, created_at, next_at, payload)
           SELECT gen_random_uuid(), w.id, $3::timestamptz, $3::timestamptz, jsonb_build_object('type', 'recording.missing', 'timestamp', ${time('$3::timestamptz')},
                  'data', jsonb_build_object('call', c.id, 'source', c.source_id, 'startedAt', ${time('c.started_at')},
                    'endedAt', ${time('c.ended_at')}, 'direction', c.direction))
             FROM settled c JOIN webhook w ON w.organisation_id = c.organisation_id AND w.disabled_at IS NULL
              AND 'recording.missing' = ANY (w.events)
            WHERE c.state = 'missing' RETURNING 1)
         SELECT count(*)::int AS settled, (count(*) FILTER (WHERE state = 'missing'))::int AS missing FROM settled`,
};

const forget = {
  name: 'calls-forget',
  text: `DELETE FROM announced_call WHERE id IN (
           SELECT c.id FROM source s CROSS JOIN LATERAL (
             SELECT id FROM announced_call c WHERE c.source_id = s.id AND c.started_at < $1 ORDER BY c.started_at LIMIT 1000) c)`,
};

const columnsOf = (calls: readonly CallRow[]) => [
  calls.map(({ id }) => id),
  calls.map(({ callIdIndex }) => callIdIndex),
  calls.map(({ callerIndex }) => callerIndex),
  calls.map(({ calledIndex }) => calledIndex),
  calls.map(({ factsSealed }) => factsSealed),
  calls.map(({ startedAt }) => startedAt),
  calls.map(({ endedAt }) => endedAt),
  calls.map(({ overAt }) => overAt),
  calls.map(({ direction }) => direction),
  calls.map(({ expected }) => expected),
  calls.map(({ reason }) => reason),
  calls.map(({ expectedMs }) => expectedMs),
];

/** Calls that sources announce. */
export const createCallTable = (pool: Pick<Pool, 'query'>) => ({
  /** Which of these keyed call ids the source has announced before, and under which id. */
  async known(
    source: string,
    indexes: readonly Buffer[],
  ): Promise<readonly { readonly id: string; readonly callIdIndex: Buffer }[]> {
    const { rows } = await pool.query<{ id: string; callIdIndex: Buffer }>({
      ...known,
      values: [source, indexes],
    });
    return rows;
  },

  /** Keeps or corrects them, each by its keyed call id, which must differ. Idempotent. Answers which row each has. */
  async announce(
    { organisation, source }: Owner,
    calls: readonly CallRow[],
    at: Date,
  ): Promise<readonly { readonly id: string; readonly callIdIndex: Buffer }[]> {
    const speaking = calls.filter(({ saysNumbers }) => saysNumbers).map(({ id }) => id);
    const legs = calls.filter(({ isLeg }) => isLeg).map(({ id }) => id);
    const values = [organisation, source, at, ...columnsOf(calls), speaking, legs];
    const { rows } = await pool.query<{ id: string; callIdIndex: Buffer }>({ ...announce, values });
    return rows;
  },

  /** Decides about at most `limit` calls that were over before `before`: whether the recording came, or is missing. */
  async settle(
    before: Date,
    at: Date,
    limit = 500,
  ): Promise<{ readonly settled: number; readonly missing: number }> {
    const { rows } = await pool.query<{ settled: number; missing: number }>({
      ...settle,
      values: [before, limit, at],
    });
    return rows[0] ?? { settled: 0, missing: 0 };
  },

  /** Erases calls that began before then, a thousand of each source at most; returns how many. */
  async forget(before: Date): Promise<number> {
    const { rowCount } = await pool.query({ ...forget, values: [before] });
    return rowCount ?? 0;
  },
});

export type CallTable = ReturnType<typeof createCallTable>;
