-- Removing bodies of the access log after the legal floor (docs/audit-log.md, Removing old bodies). What stays, for ever: commitments, nodes
-- and the record of appends, which are about nobody. Only the retention role may call this, and nobody, its owner and
-- superusers included, gets it to remove what is young.

DO $$
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', 'callvault_audit_owner_' || current_database());
END
$$;

-- The oldest partition of bodies that is left; null when there is none.
CREATE FUNCTION audit.oldest_bodies() RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
  RETURN (SELECT min(right(c.relname, -6)::bigint) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'audit.entry'::regclass);

-- Removes the bodies and salts of one partition, the oldest there is.
--   number       of the partition: entries from audit.partition_start(number)
--   floor_years  five or more: every entry of it, and the first one behind it, must be older, by what the entry says of
--           itself, and its append by the clock of the database (so that an entry dated back is not removed early)
-- An entry log.pruned that tells of it, from the beginning of the log, must be in the log already.
-- Returns how many bodies were removed. SQLSTATE CV003: refused, and nothing was changed. 55P03: somebody reads the log;
-- try again later.
CREATE FUNCTION audit.prune(number bigint, floor_years int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE
  first bigint := audit.partition_start(number);
  beyond bigint := audit.partition_start(number + 1);
  child text := audit.partition_name('entry', number);
  years interval := make_interval(years => floor_years);
  told bigint;
  young bigint;
  newest bigint;
  removed bigint;
BEGIN
  IF floor_years IS NULL OR floor_years < 5 THEN
    RAISE EXCEPTION 'bodies of the access log are kept five years or longer' USING ERRCODE = 'CV003';
  END IF;
  IF number IS DISTINCT FROM audit.oldest_bodies() THEN
    RAISE EXCEPTION 'partition % is not the oldest that is left', number USING ERRCODE = 'CV003';
  END IF;
  -- What tells of it stays in a later partition; the latest of them counts, by its own clock or ours, whichever is behind.
  SELECT max((e.facts).at) INTO told FROM audit.entry e
   WHERE (e.facts).action = 'log.pruned' AND (e.facts).outcome = 'success' AND e.seq >= beyond
     AND (e.body::jsonb #>> '{detail,from}')::bigint = 0
     AND (e.body::jsonb #>> '{detail,to}')::bigint = beyond
     AND (e.body::jsonb #>> '{detail,floor}')::int = floor_years;
  IF told IS NULL THEN
    RAISE EXCEPTION 'no entry of the access log tells that the entries before % are removed', beyond USING ERRCODE = 'CV003';
  END IF;
  told := least(told, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
  young := floor(extract(epoch FROM (to_timestamp(told / 1000.0) AT TIME ZONE 'UTC' - years) AT TIME ZONE 'UTC') * 1000)::bigint;
  SELECT max(at) INTO newest FROM (
    SELECT max((e.facts).at) AS at FROM audit.entry e WHERE e.seq >= first AND e.seq < beyond
    UNION ALL
    (SELECT (e.facts).at FROM audit.entry e WHERE e.seq >= beyond ORDER BY e.seq LIMIT 1)
    UNION ALL
    SELECT floor(extract(epoch FROM max(b.at)) * 1000)::bigint FROM audit.batch b WHERE b.first_seq >= first AND b.first_seq < beyond
  ) AS times;
  IF newest IS NULL OR newest > young THEN
    RAISE EXCEPTION 'partition % has entries younger than % years', number, floor_years USING ERRCODE = 'CV003';
  END IF;
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  SELECT count(*) INTO removed FROM audit.entry e WHERE e.seq >= first AND e.seq < beyond;
  EXECUTE format('DROP TABLE audit.%I', child);
  RETURN removed;
END
$$;

REVOKE ALL ON FUNCTION audit.oldest_bodies(), audit.prune(bigint, int) FROM PUBLIC;

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  retention text := 'callvault_retention_' || current_database();
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA audit TO %I', retention);
  EXECUTE format('GRANT EXECUTE ON FUNCTION audit.oldest_bodies(), audit.partition_start(bigint) TO %I', app);
  EXECUTE format('GRANT EXECUTE ON FUNCTION audit.prune(bigint, int) TO %I', retention);
END
$$;

RESET ROLE;
