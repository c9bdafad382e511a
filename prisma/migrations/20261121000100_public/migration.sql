-- Ordinary tables: as prisma/schema.prisma describes them (first part, Prisma's own words), then what Prisma cannot say:
-- rules a row must obey whoever writes it, indexes for the searches that matter, and what the application role may do.

-- CreateTable
CREATE TABLE "installation" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "installation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "organisation" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "policies" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "organisation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "care_unit" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "care_unit_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "app_user" (
    "id" UUID NOT NULL,
    "organisation_id" UUID,
    "role" TEXT NOT NULL,
    "email" TEXT NOT NULL,
    "display_name" TEXT NOT NULL,
    "password_hash" TEXT NOT NULL,
    "password_initial" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "app_user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "membership" (
    "user_id" UUID NOT NULL,
    "unit_id" UUID NOT NULL,

    CONSTRAINT "membership_pkey" PRIMARY KEY ("user_id","unit_id")
);

-- CreateTable
CREATE TABLE "source" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "client_id" TEXT NOT NULL,
    "client_secret_hash" BYTEA NOT NULL,
    "api_key_hash" BYTEA NOT NULL,
    "default_unit_id" UUID,
    "announcement" TEXT NOT NULL DEFAULT 'unknown',
    "retention_class" TEXT NOT NULL,
    "legal_basis" TEXT NOT NULL,
    "signing_key" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "source_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "session" (
    "id" UUID NOT NULL,
    "user_id" UUID,
    "source_id" UUID,
    "refresh_hash" BYTEA,
    "previous_refresh_hash" BYTEA,
    "replaced_hashes" BYTEA[] DEFAULT ARRAY[]::BYTEA[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "refreshed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "end_reason" TEXT,
    "address_index" BYTEA,

    CONSTRAINT "session_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "recording" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "unit_id" UUID,
    "source_id" UUID NOT NULL,
    "status" TEXT NOT NULL,
    "intent_id" UUID NOT NULL,
    "generation" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "touched_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "call_id_index" BYTEA,
    "delivery_index" BYTEA,
    "caller_index" BYTEA,
    "called_index" BYTEA,
    "agent_index" BYTEA,
    "queue_index" BYTEA,
    "personal_index" BYTEA,
    "name_index" BYTEA,
    "subject" TEXT,
    "facts_sealed" BYTEA,
    "segment" INTEGER NOT NULL DEFAULT 0,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "direction" TEXT,
    "channel_parties" JSONB,
    "pauses" JSONB,
    "announcement" TEXT NOT NULL,
    "legal_basis" TEXT NOT NULL,
    "retention_class" TEXT NOT NULL,
    "erase_after" TIMESTAMPTZ(3),
    "hold_count" INTEGER NOT NULL DEFAULT 0,
    "media_type" TEXT,
    "codec" TEXT,
    "sample_rate" INTEGER,
    "channels" INTEGER,
    "declared_duration_ms" INTEGER,
    "duration_ms" INTEGER,
    "flags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "peaks_sealed" BYTEA,
    "sound_place" JSONB,
    "digest_mac" BYTEA,
    "plain_bytes" BIGINT,
    "sealed_bytes" BIGINT,
    "sealed_sha256" BYTEA,
    "header" BYTEA,
    "key_commitment" BYTEA,
    "wrap_provider" TEXT,
    "wrap_key_id" TEXT,
    "wrap_version" INTEGER,
    "wrapped_key" BYTEA,
    "stored_at" TIMESTAMPTZ(3),
    "stored_seq" BIGINT,
    "assigned_seq" BIGINT,
    "erased_at" TIMESTAMPTZ(3),
    "erased_seq" BIGINT,

    CONSTRAINT "recording_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "playback" (
    "id" UUID NOT NULL,
    "recording_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "session_id" UUID NOT NULL,
    "purpose" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "playback_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "hold" (
    "id" UUID NOT NULL,
    "recording_id" UUID NOT NULL,
    "placed_by" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "placed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "released_at" TIMESTAMPTZ(3),

    CONSTRAINT "hold_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "pending_change" (
    "event_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "pending_change_pkey" PRIMARY KEY ("event_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "organisation_name_key" ON "organisation"("name");

-- CreateIndex
CREATE UNIQUE INDEX "care_unit_organisation_id_name_key" ON "care_unit"("organisation_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "app_user_email_key" ON "app_user"("email");

-- CreateIndex
CREATE INDEX "app_user_organisation_id_created_at_id_idx" ON "app_user"("organisation_id", "created_at", "id");

-- CreateIndex
CREATE INDEX "membership_unit_id_idx" ON "membership"("unit_id");

-- CreateIndex
CREATE UNIQUE INDEX "source_client_id_key" ON "source"("client_id");

-- CreateIndex
CREATE UNIQUE INDEX "source_api_key_hash_key" ON "source"("api_key_hash");

-- CreateIndex
CREATE INDEX "source_organisation_id_created_at_id_idx" ON "source"("organisation_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "session_refresh_hash_key" ON "session"("refresh_hash");

-- CreateIndex
CREATE UNIQUE INDEX "session_previous_refresh_hash_key" ON "session"("previous_refresh_hash");

-- CreateIndex
CREATE INDEX "session_replaced_hashes_idx" ON "session" USING GIN ("replaced_hashes");

-- CreateIndex
CREATE INDEX "session_user_id_address_index_idx" ON "session"("user_id", "address_index");

-- CreateIndex
CREATE INDEX "session_source_id_idx" ON "session"("source_id");

-- CreateIndex
CREATE INDEX "session_expires_at_idx" ON "session"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "recording_intent_id_key" ON "recording"("intent_id");

-- CreateIndex
CREATE UNIQUE INDEX "recording_generation_key" ON "recording"("generation");

-- CreateIndex
CREATE INDEX "playback_recording_id_idx" ON "playback"("recording_id");

-- CreateIndex
CREATE INDEX "playback_expires_at_idx" ON "playback"("expires_at");

-- CreateIndex
CREATE INDEX "hold_recording_id_idx" ON "hold"("recording_id");

-- CreateIndex
CREATE INDEX "pending_change_created_at_idx" ON "pending_change"("created_at");

-- AddForeignKey
ALTER TABLE "care_unit" ADD CONSTRAINT "care_unit_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "app_user" ADD CONSTRAINT "app_user_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "membership" ADD CONSTRAINT "membership_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "membership" ADD CONSTRAINT "membership_unit_id_fkey" FOREIGN KEY ("unit_id") REFERENCES "care_unit"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "source" ADD CONSTRAINT "source_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "source" ADD CONSTRAINT "source_default_unit_id_fkey" FOREIGN KEY ("default_unit_id") REFERENCES "care_unit"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recording" ADD CONSTRAINT "recording_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recording" ADD CONSTRAINT "recording_unit_id_fkey" FOREIGN KEY ("unit_id") REFERENCES "care_unit"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recording" ADD CONSTRAINT "recording_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "playback" ADD CONSTRAINT "playback_recording_id_fkey" FOREIGN KEY ("recording_id") REFERENCES "recording"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "playback" ADD CONSTRAINT "playback_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "playback" ADD CONSTRAINT "playback_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "session"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "hold" ADD CONSTRAINT "hold_recording_id_fkey" FOREIGN KEY ("recording_id") REFERENCES "recording"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Closed words and shapes. A column that holds a word cannot be misused for a number or a name.

ALTER TABLE app_user
  ADD CHECK (role IN ('nurse', 'compliance', 'admin', 'installation_admin', 'installation_auditor')),
  ADD CHECK ((role IN ('installation_admin', 'installation_auditor')) = (organisation_id IS NULL));

ALTER TABLE session
  ADD CHECK (num_nonnulls(user_id, source_id) = 1),
  ADD CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
  ADD CHECK (octet_length(refresh_hash) = 32),
  ADD CHECK (octet_length(previous_refresh_hash) = 32);

ALTER TABLE source
  ADD CHECK (octet_length(client_secret_hash) = 32),
  ADD CHECK (octet_length(api_key_hash) = 32),
  ADD CHECK (signing_key ~ '^[A-Za-z0-9_-]{43}$'),
  ADD CHECK (retention_class ~ '^[a-z_]{1,40}$');

ALTER TABLE playback
  ADD CHECK (purpose IN ('care', 'quality', 'complaint', 'patient_request', 'supervision', 'technical')),
  ADD CHECK (expires_at > created_at);

ALTER TABLE recording
  ADD CONSTRAINT recording_status CHECK (status IN ('intent', 'sealed', 'stored', 'erasing', 'erased')),
  ADD CONSTRAINT recording_words CHECK (
    retention_class ~ '^[a-z_]{1,40}$' AND (direction IS NULL OR direction ~ '^[a-z_]{1,20}$')),
  ADD CONSTRAINT recording_counts CHECK (hold_count >= 0 AND segment >= 0 AND plain_bytes >= 0 AND sealed_bytes >= 0),
  -- What is sealed can be opened again: the envelope is whole as long as the recording exists.
  ADD CONSTRAINT recording_envelope CHECK (status NOT IN ('sealed', 'stored', 'erasing') OR num_nulls(
    call_id_index, facts_sealed, digest_mac, plain_bytes, sealed_bytes, sealed_sha256, header, key_commitment,
    wrap_provider, wrap_key_id, wrap_version, wrapped_key) = 0),
  ADD CONSTRAINT recording_stored CHECK (status NOT IN ('stored', 'erasing', 'erased') OR num_nulls(stored_at, stored_seq) = 0),
  -- What is erased is erased: the tombstone keeps no key, no fact and nothing of a person to search it by, and is not held.
  -- It keeps the keyed call id, so that the same call delivered again is refused (docs/decisions/0009).
  ADD CONSTRAINT recording_erased CHECK (status <> 'erased' OR (
    num_nonnulls(caller_index, called_index, agent_index, queue_index, personal_index, name_index, subject,
      facts_sealed, peaks_sealed, digest_mac, wrapped_key, channel_parties, pauses) = 0
    AND num_nulls(erased_at, erased_seq, call_id_index) = 0 AND hold_count = 0));

-- A recording's life has one direction. Only the abandoned rest of an upload may be deleted, and a tombstone never changes.
-- Whose it is changes by an entry of the access log alone, and never back to nobody.
CREATE FUNCTION recording_life() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.status NOT IN ('intent', 'sealed') THEN
      RAISE EXCEPTION 'a recording that is % cannot be deleted', OLD.status USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
  END IF;
  IF OLD.status || '>' || NEW.status NOT IN ('intent>intent', 'intent>sealed', 'sealed>sealed', 'sealed>stored',
      'stored>stored', 'stored>erasing', 'erasing>erasing', 'erasing>stored', 'erasing>erased') THEN
    RAISE EXCEPTION 'a recording cannot go from % to %', OLD.status, NEW.status USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.unit_id IS DISTINCT FROM OLD.unit_id AND (
      NEW.unit_id IS NULL OR OLD.status NOT IN ('stored', 'erasing') OR NEW.assigned_seq IS NULL
      OR NEW.assigned_seq <= coalesce(OLD.assigned_seq, OLD.stored_seq, -1)) THEN
    RAISE EXCEPTION 'a recording is given a care unit by a newer entry of the access log only' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION recording_life() FROM PUBLIC;
CREATE TRIGGER recording_life BEFORE UPDATE OR DELETE ON recording FOR EACH ROW EXECUTE FUNCTION recording_life();
ALTER TABLE recording ENABLE ALWAYS TRIGGER recording_life;

-- The same delivery (by the source's own id of it, or else the call's) and segment of one source is kept once, and does not
-- come back after it was erased.
CREATE UNIQUE INDEX recording_delivery ON recording (source_id, (COALESCE(delivery_index, call_id_index)), segment)
  WHERE status IN ('sealed', 'stored', 'erasing', 'erased');

-- Searches, newest first: by care unit, with a direction or without, and by each thing that has a blind index. Care unit and
-- blind index are one value, because a queue or an agent mostly belongs to one unit: as two columns whoever plans a search
-- would take each for a small part of the other, and read and sort all there is.
CREATE INDEX recording_unit_newest ON recording (unit_id, started_at DESC, id DESC) WHERE status = 'stored';
CREATE INDEX recording_of_nobody ON recording (organisation_id, started_at DESC, id DESC) WHERE status = 'stored' AND unit_id IS NULL;
CREATE INDEX recording_direction ON recording (unit_id, direction, started_at DESC, id DESC) WHERE status = 'stored';
DO $$
DECLARE
  searched text;
BEGIN
  FOREACH searched IN ARRAY ARRAY['call_id', 'caller', 'called', 'agent', 'queue', 'personal', 'name'] LOOP
    EXECUTE format('CREATE INDEX %I ON recording ((uuid_send(unit_id) || %I), started_at DESC, id DESC) '
      'WHERE status = ''stored'' AND %2$I IS NOT NULL', 'recording_by_' || searched, searched || '_index');
  END LOOP;
END
$$;

-- The sweeper's: uploads under way, oldest first; and what is due for erasure.
CREATE INDEX recording_unfinished ON recording (touched_at) WHERE status IN ('intent', 'sealed');
CREATE INDEX recording_due ON recording (erase_after) WHERE status = 'stored' AND hold_count = 0;

-- What the application may do, column by column: identity and origin of a row never change, and nothing that the access
-- log tells about is deleted.
DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  allowed text;
BEGIN
  FOREACH allowed IN ARRAY ARRAY[
    'SELECT ON ALL TABLES IN SCHEMA public',
    'INSERT ON installation, organisation, care_unit, app_user, membership, source, session, recording, playback, hold, pending_change',
    'DELETE ON membership, session, recording, playback, pending_change',
    'UPDATE (name, policies, disabled_at) ON organisation',
    'UPDATE (name, disabled_at) ON care_unit',
    'UPDATE (email, display_name, password_hash, password_initial, disabled_at) ON app_user',
    'UPDATE (name, client_secret_hash, api_key_hash, default_unit_id, announcement, retention_class, legal_basis, signing_key, disabled_at) ON source',
    'UPDATE (refresh_hash, previous_refresh_hash, replaced_hashes, refreshed_at, expires_at, ended_at, end_reason, address_index) ON session',
    'UPDATE (released_at) ON hold',
    'UPDATE (unit_id, assigned_seq, status, touched_at, call_id_index, delivery_index, caller_index, called_index, agent_index, queue_index, personal_index, '
      'name_index, subject, facts_sealed, channel_parties, pauses, erase_after, hold_count, media_type, codec, sample_rate, '
      'channels, declared_duration_ms, duration_ms, flags, peaks_sealed, sound_place, digest_mac, plain_bytes, sealed_bytes, sealed_sha256, '
      'header, key_commitment, wrap_provider, wrap_key_id, wrap_version, wrapped_key, stored_at, stored_seq, erased_at, erased_seq) '
      'ON recording'
  ] LOOP
    EXECUTE format('GRANT %s TO %I', allowed, app);
  END LOOP;
END
$$;
