-- Signed checkpoints of the access log and what witnesses say of them (docs/audit-log.md). As append-only as the log itself:
-- the application may call two functions and read.

DO $$
BEGIN
  EXECUTE format('SET LOCAL ROLE %I', 'callvault_audit_owner_' || current_database());
END
$$;

-- A C2SP signed note over size and root, as the log signed it. Two processes that sign the same tree write the same note.
CREATE TABLE audit.checkpoint (
  size bigint PRIMARY KEY CHECK (size > 0),
  note text NOT NULL CHECK (octet_length(note) <= 65536 AND split_part(note, E'\n', 2) = size::text),
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One line of a note: that a witness saw the checkpoint, and when. witness is name and id of its key.
CREATE TABLE audit.cosignature (
  size bigint NOT NULL CHECK (size > 0),
  witness text NOT NULL CHECK (witness ~ '^[^[:space:]+]{1,255}\+[0-9a-f]{8}$'),
  line text NOT NULL CHECK (octet_length(line) <= 4096 AND line ~ '^— [^\n]*\n$'),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (size, witness)
);

-- How far each witness has come.
CREATE INDEX cosignature_witness ON audit.cosignature (witness, size);

DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY['checkpoint', 'cosignature'] LOOP
    EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.%I FOR EACH ROW EXECUTE FUNCTION audit.refuse()', guarded);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_change', guarded);
    PERFORM audit.guard_truncate(guarded);
  END LOOP;
END
$$;

-- Keeps a checkpoint, or finds one of that size kept already; returns the note that is kept. SQLSTATE CV001: the log is
-- shorter than the checkpoint, which could then be nothing but a lie.
CREATE FUNCTION audit.keep_checkpoint(size bigint, note text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  head bigint;
  kept text;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'audit.keep_checkpoint needs READ COMMITTED: it must see what somebody else has just kept'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  -- As in audit.append: what is kept is on disk.
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  SELECT b.size INTO head FROM audit.batch b ORDER BY b.first_seq DESC LIMIT 1;
  IF coalesce(head, 0) < keep_checkpoint.size THEN
    RAISE EXCEPTION 'the log has % entries, the checkpoint is of %', coalesce(head, 0), keep_checkpoint.size
      USING ERRCODE = 'CV001';
  END IF;
  INSERT INTO audit.checkpoint (size, note) VALUES (keep_checkpoint.size, keep_checkpoint.note) ON CONFLICT DO NOTHING;
  SELECT c.note INTO kept FROM audit.checkpoint c WHERE c.size = keep_checkpoint.size;
  RETURN kept;
END
$$;

-- Keeps the first cosignature of a witness under a checkpoint; a later one of the same adds nothing.
CREATE FUNCTION audit.keep_cosignature(size bigint, witness text, line text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM audit.checkpoint c WHERE c.size = keep_cosignature.size) THEN
    RAISE EXCEPTION 'there is no checkpoint of %', keep_cosignature.size USING ERRCODE = 'foreign_key_violation';
  END IF;
  INSERT INTO audit.cosignature (size, witness, line)
  VALUES (keep_cosignature.size, keep_cosignature.witness, keep_cosignature.line) ON CONFLICT DO NOTHING;
END
$$;

REVOKE ALL ON FUNCTION audit.keep_checkpoint(bigint, text), audit.keep_cosignature(bigint, text, text) FROM PUBLIC;

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  officer text := 'callvault_officer_' || current_database();
BEGIN
  EXECUTE format('GRANT SELECT ON audit.checkpoint, audit.cosignature TO %I, %I', app, officer);
  EXECUTE format('GRANT EXECUTE ON FUNCTION audit.keep_checkpoint(bigint, text), audit.keep_cosignature(bigint, text, text) TO %I', app);
END
$$;

RESET ROLE;
