-- The access log (docs/audit-log.md). PostgreSQL 16 or newer, UTF-8.
--
-- Everything here belongs to a role that nobody logs in as. The application may call audit.append and read; it has no
-- INSERT, because a role with INSERT could plant a row ahead of the log and so stop it. What is written is never changed:
-- ENABLE ALWAYS triggers refuse UPDATE, DELETE and TRUNCATE to everybody, superusers in replica mode included.
-- This script reads the role names from the database's name, as the roles' own migration made them.

DO $$
BEGIN
  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'the access log needs a database in UTF8, this one is in %', current_setting('server_encoding');
  END IF;
  EXECUTE format('CREATE SCHEMA audit AUTHORIZATION %I', 'callvault_audit_owner_' || current_database());
  -- What follows is made by the owner itself, until the end of this transaction.
  EXECUTE format('SET LOCAL ROLE %I', 'callvault_audit_owner_' || current_database());
END
$$;

-- The skeleton: permanent, nothing in it tells about a person. event_id is a random number that keeps one event from
-- entering twice and lets a caller who never got an answer ask.
CREATE TABLE audit.leaf (
  seq bigint PRIMARY KEY CHECK (seq >= 0),
  commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
  event_id uuid NOT NULL UNIQUE
);

-- What people search by, read from a body once. Times are milliseconds since 1970, because what is generated may not depend
-- on a session's time zone.
CREATE TYPE audit.facts AS (
  event_id uuid,
  at bigint,
  action text,
  outcome text,
  actor text,
  organisation uuid,
  unit uuid,
  recording uuid,
  subject text,
  purpose text,
  session uuid
);

-- One function instead of one expression per column, so that a body is parsed once and not eleven times; and only what
-- stands before its detail, which may be long. A quote within a JSON string is written \", so no text of a person can look
-- like the key.
CREATE FUNCTION audit.facts_of(body text) RETURNS audit.facts LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  head jsonb := split_part(body, ',"detail":', 1) || '}';
BEGIN
  RETURN ROW(
    (head ->> 'id')::uuid,
    (head ->> 'at')::bigint,
    head ->> 'action',
    head ->> 'outcome',
    head #>> '{actor,id}',
    (head ->> 'organisation')::uuid,
    (head ->> 'unit')::uuid,
    (head ->> 'recording')::uuid,
    head ->> 'subject',
    head ->> 'purpose',
    (head ->> 'session')::uuid);
END
$$;

-- The bodies, prunable by whole partitions. facts is generated from the committed body and cannot disagree with it.
CREATE TABLE audit.entry (
  seq bigint PRIMARY KEY CHECK (seq >= 0),
  salt bytea NOT NULL,
  body text NOT NULL,
  facts audit.facts NOT NULL GENERATED ALWAYS AS (audit.facts_of(body)) STORED,
  CONSTRAINT entry_is_whole CHECK (
    octet_length(salt) = 32 AND octet_length(body) <= 65536
    AND num_nulls((facts).event_id, (facts).at, (facts).action, (facts).outcome) = 0)
) PARTITION BY RANGE (seq);

-- One row per append: the head of the log is the row with the highest first_seq. range holds the roots of the perfect
-- subtrees (RFC 6962 compact range), largest first, 32 bytes each. writer names an instance of the service, never a person.
CREATE TABLE audit.batch (
  first_seq bigint PRIMARY KEY CHECK (first_seq >= 0),
  size bigint NOT NULL CHECK (size > first_seq),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  range bytea NOT NULL CHECK (octet_length(range) = 32 * bit_count(size::bit(64))),
  writer text NOT NULL CHECK (writer ~ '^[a-z0-9._-]{1,64}$'),
  at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (first_seq);

-- Complete tree nodes, so that a proof reads hundreds of rows instead of millions.
CREATE TABLE audit.node (
  level smallint NOT NULL CHECK (level IN (8, 16, 24)),
  index bigint NOT NULL CHECK (index >= 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (level, index)
);

-- Searches of people: newest first, within an organisation or by one thing. What happens all day is soon found along the
-- organisation's own index, so only what is rare has one by action or outcome, and it costs the usual append nothing. What
-- stands behind seq is never sorted by: it tells without a look at the entry that an entry is not wanted, and the planner how
-- often it would be.
CREATE INDEX entry_organisation ON audit.entry (((facts).organisation), ((facts).at), seq, ((facts).action), ((facts).purpose));
CREATE INDEX entry_actor ON audit.entry (((facts).actor), ((facts).at), seq);
CREATE INDEX entry_recording ON audit.entry (((facts).recording), ((facts).at), seq);
CREATE INDEX entry_subject ON audit.entry (((facts).subject), ((facts).at), seq);
CREATE INDEX entry_unit ON audit.entry (((facts).unit), ((facts).at), seq) WHERE (facts).unit IS NOT NULL;
CREATE INDEX entry_action ON audit.entry (((facts).action), ((facts).organisation), ((facts).at), seq)
  WHERE (facts).action NOT IN (
    'recording.stored', 'recording.viewed', 'recordings.searched', 'playback.opened', 'playback.heard');
CREATE INDEX entry_outcome ON audit.entry (
    ((facts).outcome), ((facts).organisation), ((facts).at), seq, ((facts).unit), ((facts).actor))
  WHERE (facts).outcome <> 'success';
-- Why somebody heard or searched: nearly always for care.
CREATE INDEX entry_purpose ON audit.entry (((facts).purpose), ((facts).organisation), ((facts).at), seq)
  WHERE (facts).purpose <> 'care';
-- What the installation's auditor reads; a search matches it when it names the same actions.
CREATE INDEX entry_installation ON audit.entry (((facts).at), seq)
  WHERE (facts).organisation IS NULL OR (facts).action IN (
    'installation.created', 'session.refused', 'organisation.changed', 'key.rotated', 'log.verified',
    'keys.exported', 'log.pruned', 'log.epoch_opened');

CREATE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'the access log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Row triggers are copied to every partition that is attached later; statement triggers are not, so TRUNCATE's is added
-- to each partition as it is made.
CREATE FUNCTION audit.guard_truncate(guarded text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.%I EXECUTE FUNCTION audit.refuse()', guarded);
  EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_truncate', guarded);
END
$$;

DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['leaf', 'entry', 'batch', 'node'] LOOP
    EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.%I FOR EACH ROW EXECUTE FUNCTION audit.refuse()', guarded);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_change', guarded);
    PERFORM audit.guard_truncate(guarded);
  END LOOP;
END
$$;

-- Entries and batches lie in partitions of 2^20 entries: partition n holds seq (first_seq) from n * 2^20.
CREATE FUNCTION audit.partition_of(seq bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN seq >> 20;

CREATE FUNCTION audit.partition_start(number bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN number << 20;

CREATE FUNCTION audit.partition_name(parent text, number bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN parent || '_' || lpad(number::text, 6, '0');

CREATE FUNCTION audit.has_partitions(number bigint) RETURNS boolean LANGUAGE sql STABLE
  RETURN to_regclass('audit.' || audit.partition_name('entry', number)) IS NOT NULL;

-- CREATE and ATTACH lock the parent only against other changes of its form, so readers go on.
CREATE FUNCTION audit.add_partitions(number bigint) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' AS $$
DECLARE
  parent text;
  child text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['entry', 'batch'] LOOP
    child := audit.partition_name(parent, number);
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.%I INCLUDING ALL)', child, parent);
    PERFORM audit.guard_truncate(child);
    EXECUTE format('ALTER TABLE audit.%I ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)',
      parent, child, audit.partition_start(number), audit.partition_start(number + 1));
  END LOOP;
END
$$;

SELECT audit.add_partitions(0);

-- Makes sure that entries from first up to (not including) size have their partitions, and from the middle of the newest
-- one on, the next. The next one may wait for a lock that somebody holds; the one that is needed now may not.
CREATE FUNCTION audit.make_room(first bigint, size bigint) RETURNS void LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  needed bigint := audit.partition_of(size - 1);
  ahead bigint := audit.partition_of(size - 1 + audit.partition_start(1) / 2);
BEGIN
  FOR number IN audit.partition_of(first) .. ahead LOOP
    CONTINUE WHEN audit.has_partitions(number);
    BEGIN
      PERFORM audit.add_partitions(number);
    EXCEPTION WHEN lock_not_available THEN
      IF number <= needed THEN RAISE; END IF;
    END;
  END LOOP;
END
$$;

-- Appends bodies in order and returns what the caller needs to check the whole of it:
--   writer      name of the instance, kept with the batch
--   known_size  size of the log as the caller last verified it
--   salts       32 random bytes per body
-- Returns the head before (previous_size, previous_range), the commitments that others added since known_size, one after
-- the other (null when there are more than 4096: the caller reads them from audit.leaf), and the head after (size, root,
-- range). SQLSTATE CV001: the log is shorter than the caller has seen it. Class 22 or 23: one of the bodies cannot be
-- stored or its event is in the log already; nothing was appended.
CREATE FUNCTION audit.append(
  writer text, known_size bigint, salts bytea[], bodies text[],
  OUT previous_size bigint, OUT previous_range bytea, OUT others bytea,
  OUT size bigint, OUT root bytea, OUT range bytea
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  commitments bytea[];
  subtrees bytea[] := '{}';  -- the compact range as a stack
  top int := 0;
  subtree bytea;
  position bigint;
  tree_level int;
  node_levels smallint[] := '{}';
  node_indexes bigint[] := '{}';
  node_hashes bytea[] := '{}';
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'audit.append needs READ COMMITTED: it must see the head after it got the lock'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  IF coalesce(cardinality(bodies), 0) = 0 OR cardinality(salts) <> cardinality(bodies) THEN
    RAISE EXCEPTION 'audit.append needs as many salts as bodies, at least one'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- An acknowledged entry is on disk, whatever the session asked for. As an attribute of the function this would be undone
  -- before COMMIT and do nothing.
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;

  -- One append at a time; the next statement sees what the one before has committed.
  PERFORM pg_advisory_xact_lock(4850752217034121216);
  SELECT b.size, b.range INTO previous_size, previous_range
    FROM audit.batch b WHERE b.first_seq >= known_size - 4096 ORDER BY b.first_seq DESC LIMIT 1;
  IF NOT FOUND THEN
    SELECT b.size, b.range INTO previous_size, previous_range FROM audit.batch b ORDER BY b.first_seq DESC LIMIT 1;
  END IF;
  previous_size := coalesce(previous_size, 0);
  previous_range := coalesce(previous_range, '');
  IF previous_size < known_size THEN
    RAISE EXCEPTION 'the log has % entries, the caller has seen %', previous_size, known_size USING ERRCODE = 'CV001';
  END IF;
  IF previous_size = known_size THEN
    others := '';
  ELSIF previous_size - known_size <= 4096 THEN
    SELECT coalesce(string_agg(l.commitment, ''::bytea ORDER BY l.seq), '') INTO others
      FROM audit.leaf l WHERE l.seq >= known_size AND l.seq < previous_size;
  END IF;
  size := previous_size + cardinality(bodies);
  IF NOT audit.has_partitions(audit.partition_of(size - 1 + audit.partition_start(1) / 2)) THEN
    PERFORM audit.make_room(previous_size, size);
  END IF;

  commitments := ARRAY(
    SELECT sha256('\x02'::bytea || b.salt || convert_to(b.body, 'UTF8'))
      FROM unnest(salts, bodies) WITH ORDINALITY AS b (salt, body, place) ORDER BY b.place);

  -- RFC 6962: a leaf is SHA-256(0x00 || entry), the entry is 0x01 || commitment; a node is SHA-256(0x01 || left || right).
  FOR i IN 1 .. octet_length(previous_range) / 32 LOOP
    top := top + 1;
    subtrees[top] := substr(previous_range, 32 * i - 31, 32);
  END LOOP;
  FOR i IN 1 .. cardinality(commitments) LOOP
    subtree := sha256('\x0001'::bytea || commitments[i]);
    position := previous_size + i - 1;
    tree_level := 0;
    WHILE position & 1 = 1 LOOP
      subtree := sha256('\x01'::bytea || subtrees[top] || subtree);
      top := top - 1;
      position := position >> 1;
      tree_level := tree_level + 1;
      IF tree_level & 7 = 0 AND tree_level <= 24 THEN
        node_levels := node_levels || tree_level::smallint;
        node_indexes := node_indexes || position;
        node_hashes := node_hashes || subtree;
      END IF;
    END LOOP;
    top := top + 1;
    subtrees[top] := subtree;
  END LOOP;
  root := subtrees[top];
  range := subtrees[top];
  FOR i IN REVERSE top - 1 .. 1 LOOP
    root := sha256('\x01'::bytea || subtrees[i] || root);
    range := subtrees[i] || range;
  END LOOP;

  WITH stored AS (
    INSERT INTO audit.entry (seq, salt, body)
    SELECT previous_size + b.place - 1, b.salt, b.body FROM unnest(salts, bodies) WITH ORDINALITY AS b (salt, body, place)
    RETURNING seq, facts)
  INSERT INTO audit.leaf (seq, commitment, event_id)
  SELECT s.seq, commitments[s.seq - previous_size + 1], (s.facts).event_id FROM stored s;
  IF node_levels <> '{}' THEN
    INSERT INTO audit.node (level, index, hash) SELECT * FROM unnest(node_levels, node_indexes, node_hashes);
  END IF;
  INSERT INTO audit.batch (first_seq, size, root, range, writer)
  VALUES (previous_size, append.size, append.root, append.range, append.writer);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  officer text := 'callvault_officer_' || current_database();
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA audit TO %I, %I', app, officer);
  EXECUTE format('GRANT SELECT ON audit.leaf, audit.entry, audit.batch, audit.node TO %I, %I', app, officer);
  EXECUTE format('GRANT EXECUTE ON FUNCTION audit.append(text, bigint, bytea[], text[]) TO %I', app);
END
$$;

RESET ROLE;
