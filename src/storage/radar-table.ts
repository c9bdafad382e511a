import type { Pool } from 'pg';

/** What is wrong with a call or a recording. */
export type RadarFinding = 'missing' | 'short' | 'unannounced' | 'one_sided' | 'silent' | 'no_sound';

export type RadarDay = {
  readonly source: string;
  /** YYYY-MM-DD, in UTC. */
  readonly day: string;
  readonly announced: number;
  readonly notExpected: number;
  readonly missing: number;
  readonly short: number;
  readonly recordings: number;
  readonly unannounced: number;
  readonly oneSided: number;
  readonly silent: number;
  readonly noSound: number;
};

type CallCounts = Pick<RadarDay, 'source' | 'day' | 'announced' | 'notExpected' | 'missing' | 'short'>;
type RecordingCounts = Pick<
  RadarDay,
  'source' | 'day' | 'recordings' | 'unannounced' | 'oneSided' | 'silent' | 'noSound'
>;

/** `id` is of the announced call (`missing`, `short`) or of the recording (the others). */
export type RadarRow = { readonly id: string; readonly startedAt: Date };

export type RadarSpan = { readonly from: Date; readonly to: Date };
export type RadarQuestion = RadarSpan & {
  readonly organisation: string;
  readonly source: string;
  readonly finding: RadarFinding;
  /** Calls that were over later, and recordings that were stored later, are not judged yet. */
  readonly before: Date;
  readonly after: { readonly at: Date; readonly id: string } | null;
  readonly limit: number;
};

/**
 * How much of the expected length may lack: nine tenths and five seconds are enough, for clocks and ringing. Nothing at all is
 * never enough, and is too little for a call whose length nobody stated.
 */
const SHORT = `(t.ms = 0 AND c.expected_ms IS DISTINCT FROM 0 OR t.ms + 5000 < c.expected_ms * 0.9)`;

/** No bytes, no sound in its container, or nothing that is known as sound, such as a web page under the name of a recording. */
const NO_SOUND = `r.flags && ARRAY['empty', 'unknown_format']`;

/** What came of a call: how many recordings, and how long they are together; null when that is not known of one of them. */
const CAME = `LEFT JOIN LATERAL (
    SELECT count(*) AS n, CASE WHEN bool_and(${NO_SOUND} OR r.duration_ms IS NOT NULL)
           THEN sum(CASE WHEN ${NO_SOUND} THEN 0 ELSE r.duration_ms END) END AS ms
      FROM recording r WHERE r.source_id = c.source_id AND r.call_id_index = c.call_id_index
       AND r.status IN ('stored', 'erasing', 'erased')) t ON true`;
const MISSING = 'c.expected AND t.n = 0 AND c.over_at <= $4';
const TOO_SHORT = `c.expected AND t.n > 0 AND c.over_at <= $4 AND ${SHORT}`;

/** Only a source that announces is held to it, and only from its first announced call on that is still kept. */
const UNANNOUNCED = `r.stored_at <= $4 AND r.started_at >= f.first AND a.announced IS NULL`;
/** LIMIT keeps it a look-up for each row: as NOT EXISTS, all calls there are would be read into a table first. */
const ITS_CALL = `LEFT JOIN LATERAL (
    SELECT true AS announced FROM announced_call c
     WHERE c.source_id = r.source_id AND c.call_id_index = r.call_id_index LIMIT 1) a ON true`;
const FIRST = `LEFT JOIN LATERAL (
    SELECT c.started_at AS first FROM announced_call c WHERE c.source_id = s.id ORDER BY c.started_at, c.id LIMIT 1) f ON true`;

const dayOf = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD')`;

/** `$1` null: of every organisation, for the installation's own counts. */
const SOURCES = `source s`;
const WHOSE = `($1::uuid IS NULL OR s.organisation_id = $1)`;

const callCounts = `
  SELECT s.id::text AS source, d.* FROM ${SOURCES} CROSS JOIN LATERAL (
    SELECT ${dayOf('c.started_at')} AS day, count(*)::int AS announced,
           (count(*) FILTER (WHERE NOT c.expected))::int AS "notExpected",
           (count(*) FILTER (WHERE ${MISSING}))::int AS missing, (count(*) FILTER (WHERE ${TOO_SHORT}))::int AS short
      FROM announced_call c ${CAME}
     WHERE c.source_id = s.id AND c.started_at >= $2 AND c.started_at < $3 GROUP BY 1) d
   WHERE ${WHOSE}`;

const recordingCounts = `
  SELECT s.id::text AS source, d.* FROM ${SOURCES} ${FIRST} CROSS JOIN LATERAL (
    SELECT ${dayOf('r.started_at')} AS day, count(*)::int AS recordings,
           (count(*) FILTER (WHERE ${UNANNOUNCED}))::int AS unannounced,
           (count(*) FILTER (WHERE 'one_sided' = ANY (r.flags)))::int AS "oneSided",
           (count(*) FILTER (WHERE 'silent' = ANY (r.flags)))::int AS silent,
           (count(*) FILTER (WHERE ${NO_SOUND}))::int AS "noSound"
      FROM recording r ${ITS_CALL}
     WHERE r.source_id = s.id AND r.status = 'stored' AND r.started_at >= $2 AND r.started_at < $3 GROUP BY 1) d
   WHERE ${WHOSE}`;

const callsFound = (condition: string): string => `
  SELECT c.id::text AS id, c.started_at AS "startedAt" FROM announced_call c ${CAME}
   WHERE c.source_id = $5 AND c.organisation_id = $1 AND c.started_at >= $2 AND c.started_at < $3
     AND (c.started_at, c.id) > ($6, $7::uuid) AND ${condition}
   ORDER BY c.started_at, c.id LIMIT $8`;

const recordingsFound = (condition: string): string => `
  SELECT r.id::text AS id, r.started_at AS "startedAt" FROM source s ${FIRST} JOIN recording r ON r.source_id = s.id ${ITS_CALL}
   WHERE s.id = $5 AND s.organisation_id = $1 AND r.status = 'stored' AND r.started_at >= $2 AND r.started_at < $3
     AND (r.started_at, r.id) > ($6, $7::uuid) AND $4::timestamptz IS NOT NULL AND ${condition}
   ORDER BY r.started_at, r.id LIMIT $8`;

const found: Record<RadarFinding, string> = {
  missing: callsFound(MISSING),
  short: callsFound(TOO_SHORT),
  unannounced: recordingsFound(UNANNOUNCED),
  one_sided: recordingsFound(`'one_sided' = ANY (r.flags)`),
  silent: recordingsFound(`'silent' = ANY (r.flags)`),
  no_sound: recordingsFound(NO_SOUND),
};

const NOWHERE = '00000000-0000-0000-0000-000000000000';
const NOTHING = {
  ...{ announced: 0, notExpected: 0, missing: 0, short: 0 },
  ...{ recordings: 0, unannounced: 0, oneSided: 0, silent: 0, noSound: 0 },
};

/** Calls against recordings, by source and day. Ids and counts; no column of a number or a name is read. */
export const createRadarTable = (pool: Pick<Pool, 'query'>) => ({
  /** Each source and day of which there is anything, in order; `organisation` null: of all. */
  async days(organisation: string | null, { from, to }: RadarSpan, before: Date): Promise<RadarDay[]> {
    const values = [organisation, from, to, before];
    const [calls, recordings] = await Promise.all([
      pool.query<CallCounts>(callCounts, values),
      pool.query<RecordingCounts>(recordingCounts, values),
    ]);
    const days = new Map<string, RadarDay>();
    for (const row of [...calls.rows, ...recordings.rows]) {
      const key = `${row.day} ${row.source}`;
      days.set(key, { ...NOTHING, ...days.get(key), ...row });
    }
    return [...days].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, day]) => day);
  },

  /** Which calls or recordings of one source, oldest first. */
  async find(asked: RadarQuestion): Promise<RadarRow[]> {
    const { organisation, from, to, before, source, finding, after, limit } = asked;
    const position = [after?.at ?? from, after?.id ?? NOWHERE];
    const values = [organisation, from, to, before, source, ...position, limit];
    const { rows } = await pool.query<RadarRow>(found[finding], values);
    return rows;
  },
});

export type RadarTable = ReturnType<typeof createRadarTable>;
