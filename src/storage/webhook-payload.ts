/** SQL for an instant as RFC 3339 in UTC, the way every answer of ours writes times. */
export const rfc3339 = (column: string): string =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/**
 * What webhooks are told of a recording that has just become stored, to be joined to the statement that makes it so: whoever
 * finds the row stored finds the messages too. `stored` names the rows, `at` their moment. Ids, times, flags; nothing else.
 */
export const tellStored = (stored: string, at: string): string => `
  INSERT INTO webhook_message (id, webhook_id, created_at, next_at, payload)
  SELECT gen_random_uuid(), w.id, ${at}, ${at}, jsonb_build_object('type', e.type, 'timestamp', ${rfc3339(at)},
         'data', jsonb_build_object('recording', r.id, 'source', r.source_id, 'careUnit', r.unit_id,
           'startedAt', ${rfc3339('r.started_at')}, 'endedAt', ${rfc3339('r.ended_at')}, 'durationMs', r.duration_ms,
           'flags', to_jsonb(r.flags)))
    FROM ${stored} r JOIN webhook w ON w.organisation_id = r.organisation_id AND w.disabled_at IS NULL
   CROSS JOIN LATERAL unnest(w.events) AS e (type)
   WHERE e.type = 'recording.stored' OR (e.type = 'recording.flagged' AND cardinality(r.flags) > 0)`;
