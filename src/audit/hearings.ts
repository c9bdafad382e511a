import { hearingActions } from '../core/audit/hearing-lists.ts';
import type { LogSearch } from './reader.ts';
import { audienceCondition, createConditions, pageLimit, pageOf, type Statement } from './search.ts';

/** Statements of players that one answer looks at, the earliest of its time first. */
export const MAX_STATEMENTS = 10_000;
/** Parts of a recording that are listed for one playback. */
export const MAX_PARTS = 1_000;

/** Of a period, [from, to), it has what happened in it, with all that was stated of a playback, also what came after. */
export type HearingSearch = Pick<LogSearch, 'audience' | 'from' | 'to' | 'cursor' | 'limit' | 'size'> & {
  readonly recording: string;
};

/** What the player of one playback stated, as PostgreSQL merged it. */
export type HeardColumns = {
  /** Null for what is no playback, or whose player stated nothing. */
  readonly statements: number | null;
  /** Merged and in order, [from, to] in milliseconds of the recording, {@link MAX_PARTS} at most. */
  readonly parts: readonly (readonly [number, number])[] | null;
  /** How many parts there are. */
  readonly part_count: number | null;
  /** Place of the first statement that is not the one that the log committed to; null when all are. */
  readonly altered: string | null;
  /** Statements that were looked at for the whole page. */
  readonly looked_at: number;
};

/**
 * One page of what happened with a recording, with what was heard in each playback: one statement, along the recording's own
 * index. Players may have stated very much, so it is merged where it lies; each statement is held against its commitment
 * before it is read.
 */
export const hearingsStatement = (query: HearingSearch): Statement => {
  const conditions = createConditions();
  const page = pageOf({ ...query, actions: hearingActions }, conditions, pageLimit(query) + 1);
  const heard = [
    audienceCondition(query.audience, conditions),
    `(e.facts).recording = ${conditions.parameter(query.recording)}::uuid`,
    `(e.facts).action = 'playback.heard'`,
    '(e.facts).at >= (SELECT min(at) FROM page)',
    ...(query.size === undefined ? [] : [`e.seq < ${conditions.parameter(query.size)}::bigint`]),
  ].join(' AND ');
  const text = `WITH page AS MATERIALIZED (${page}),
  heard AS MATERIALIZED (
    SELECT CASE WHEN sha256('\\x02'::bytea || e.salt || convert_to(e.body, 'UTF8')) = l.commitment
                THEN e.body::jsonb -> 'detail' END AS detail, e.seq
      FROM audit.entry e JOIN audit.leaf l USING (seq) WHERE ${heard}
     ORDER BY (e.facts).at, e.seq LIMIT ${conditions.parameter(MAX_STATEMENTS)}::bigint),
  stated AS (
    SELECT h.detail ->> 'playback' AS playback, count(*)::int AS statements,
           range_agg((SELECT range_agg(numrange((s ->> 0)::numeric, (s ->> 1)::numeric, '[]'))
                        FROM jsonb_array_elements(h.detail -> 'spans') AS s)) AS spans
      FROM heard h WHERE h.detail ->> 'playback' IN (SELECT event_id::text FROM page) GROUP BY 1)
  SELECT p.seq, p.salt, p.body, p.commitment, s.statements,
         (SELECT jsonb_agg(jsonb_build_array(lower(part), upper(part)) ORDER BY lower(part))
            FROM (SELECT part FROM unnest(s.spans) AS part ORDER BY part LIMIT ${MAX_PARTS}) AS listed) AS parts,
         (SELECT count(*)::int FROM unnest(s.spans)) AS part_count,
         (SELECT min(seq) FROM heard WHERE detail IS NULL) AS altered,
         (SELECT count(*)::int FROM heard) AS looked_at
    FROM page p LEFT JOIN stated s ON s.playback = p.event_id::text
   ORDER BY p.at DESC, p.seq DESC`;
  return { text, values: conditions.values };
};
