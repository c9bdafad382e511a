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
  /** Place of the first statement that is not the one that the log committed to; null when all are. The same in every row. */
  readonly altered: string | null;
  /** Last place at which the entry of a playback is missing of which a statement is there; null when all are there. */
  readonly missing: string | null;
  /** Statements that were looked at for the whole page. */
  readonly looked_at: number;
};

/** So long after it was opened a player is still listened to, and more: in milliseconds. */
const STATED_WITHIN_MS = 48 * 3_600_000;

/**
 * Statements to look at: those of the page's time, and where no page follows also those that are older than its oldest entry, for
 * the entry that they belong to may have been taken out.
 */
const statedSince = (
  { from = 0 }: HearingSearch,
  limit: string,
  parameter: (value: unknown) => string,
): string =>
  `(SELECT CASE WHEN count(*) > ${limit}::bigint THEN min(at) ELSE ${parameter(from)}::bigint END FROM page)`;

/**
 * Playbacks of which a player stated something, and whose entries are not there: the last place of such a one.
 * The skeleton knows an event's place for ever; where that is gone as well, the statement's own place is told.
 */
const missingStatement = (before: string): string => `(
    SELECT max(place) FROM (
      SELECT coalesce((SELECT l.seq FROM audit.leaf l WHERE l.event_id = h.playback::uuid), h.seq) AS place, h.playback
        FROM (SELECT detail ->> 'playback' AS playback, min(seq) AS seq FROM heard
               WHERE detail IS NOT NULL AND at < ${before}::bigint GROUP BY 1) AS h
       WHERE h.playback NOT IN (SELECT event_id::text FROM page)) AS others
     WHERE (SELECT e.seq FROM audit.entry e
             WHERE e.seq = (SELECT l.seq FROM audit.leaf l WHERE l.event_id = others.playback::uuid)) IS NULL
)`;

/**
 * One page of what happened with a recording, with what was heard in each playback: one statement, along the recording's own
 * index. Players may have stated very much, so it is merged where it lies; each statement is held against its commitment
 * before it is read. There is one row at least: what it is about may all have been taken out but the statements.
 */
export const hearingsStatement = (query: HearingSearch): Statement => {
  const conditions = createConditions();
  const { parameter } = conditions;
  const page = pageOf({ ...query, actions: hearingActions }, conditions, pageLimit(query) + 1);
  const heard = [
    audienceCondition(query.audience, conditions),
    `(e.facts).recording = ${parameter(query.recording)}::uuid`,
    `(e.facts).action = 'playback.heard'`,
    `(e.facts).at >= ${statedSince(query, parameter(pageLimit(query)), parameter)}`,
    ...(query.size === undefined ? [] : [`e.seq < ${parameter(query.size)}::bigint`]),
  ].join(' AND ');
  const before = parameter((query.to ?? Number.MAX_SAFE_INTEGER - STATED_WITHIN_MS) + STATED_WITHIN_MS);
  const text = `WITH page AS MATERIALIZED (${page}),
  heard AS MATERIALIZED (
    SELECT CASE WHEN sha256('\\x02'::bytea || e.salt || convert_to(e.body, 'UTF8')) = l.commitment
                THEN e.body::jsonb -> 'detail' END AS detail, e.seq, (e.facts).at AS at
      FROM audit.entry e JOIN audit.leaf l USING (seq) WHERE ${heard}
     ORDER BY (e.facts).at, e.seq LIMIT ${parameter(MAX_STATEMENTS)}::bigint),
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
         ${missingStatement(before)} AS missing,
         (SELECT count(*)::int FROM heard) AS looked_at
    FROM (SELECT) AS always LEFT JOIN page p ON true LEFT JOIN stated s ON s.playback = p.event_id::text
   ORDER BY p.at DESC, p.seq DESC`;
  return { text, values: conditions.values };
};
