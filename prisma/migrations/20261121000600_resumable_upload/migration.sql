-- Recordings that come in parts (docs/decisions/0023): the uploads, and the parts that are durable. Neither table ever holds a
-- number, a name or a call id in the clear.

-- CreateTable
CREATE TABLE "resumable_upload" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "length" BIGINT NOT NULL,
    "received" BIGINT NOT NULL DEFAULT 0,
    "facts_sealed" BYTEA,
    "recording_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "claim" UUID,
    "claimed_until" TIMESTAMPTZ(3),

    CONSTRAINT "resumable_upload_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "upload_part" (
    "generation" UUID NOT NULL,
    "upload_id" UUID NOT NULL,
    "start" BIGINT NOT NULL,
    "bytes" BIGINT,
    "header" BYTEA,
    "wrap_provider" TEXT,
    "wrap_key_id" TEXT,
    "wrap_version" INTEGER,
    "wrapped_key" BYTEA,

    CONSTRAINT "upload_part_pkey" PRIMARY KEY ("generation")
);

-- CreateIndex
CREATE INDEX "resumable_upload_source_id_idx" ON "resumable_upload"("source_id");

-- CreateIndex
CREATE INDEX "resumable_upload_expires_at_idx" ON "resumable_upload"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "upload_part_upload_id_start_key" ON "upload_part"("upload_id", "start");

-- AddForeignKey
ALTER TABLE "resumable_upload" ADD CONSTRAINT "resumable_upload_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resumable_upload" ADD CONSTRAINT "resumable_upload_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "upload_part" ADD CONSTRAINT "upload_part_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "resumable_upload"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- An upload never has more than it was to have, is a recording only when it has all, and then says nothing of the call any more.
ALTER TABLE resumable_upload
  ADD CHECK (length >= 0 AND received >= 0 AND received <= length),
  ADD CHECK ((facts_sealed IS NULL) = (recording_id IS NOT NULL)),
  ADD CHECK (recording_id IS NULL OR received = length),
  ADD CHECK ((claim IS NULL) = (claimed_until IS NULL)),
  ADD CHECK (expires_at > created_at);

-- A part that is durable can be opened again.
ALTER TABLE upload_part
  ADD CHECK (start >= 0 AND bytes > 0),
  ADD CHECK (num_nulls(bytes, header, wrap_provider, wrap_key_id, wrap_version, wrapped_key) IN (0, 6));

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  allowed text;
BEGIN
  FOREACH allowed IN ARRAY ARRAY[
    'SELECT, INSERT, DELETE ON resumable_upload, upload_part',
    'UPDATE (received, facts_sealed, recording_id, expires_at, claim, claimed_until) ON resumable_upload',
    'UPDATE (bytes, header, wrap_provider, wrap_key_id, wrap_version, wrapped_key) ON upload_part'
  ] LOOP
    EXECUTE format('GRANT %s TO %I', allowed, app);
  END LOOP;
END
$$;
