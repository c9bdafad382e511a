-- Accounts of sources at Twilio, and the recordings that are still to be fetched there. Neither table ever holds a number, a
-- name, a token or a call id in the clear.

-- CreateTable
CREATE TABLE "twilio_account" (
    "source_id" UUID NOT NULL,
    "account_sid" TEXT NOT NULL,
    "token_sealed" BYTEA NOT NULL,
    "callback_url" TEXT NOT NULL,
    "delete_after" BOOLEAN NOT NULL,

    CONSTRAINT "twilio_account_pkey" PRIMARY KEY ("source_id")
);

-- CreateTable
CREATE TABLE "recording_fetch" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "delivery_index" BYTEA NOT NULL,
    "callback_sealed" BYTEA,
    "call_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "next_at" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "no_such" INTEGER NOT NULL DEFAULT 0,
    "state" TEXT NOT NULL DEFAULT 'waiting',
    "fault" TEXT,
    "claim" UUID,
    "claimed_until" TIMESTAMPTZ(3),

    CONSTRAINT "recording_fetch_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "recording_fetch_source_id_delivery_index_key" ON "recording_fetch"("source_id", "delivery_index");

-- AddForeignKey
ALTER TABLE "twilio_account" ADD CONSTRAINT "twilio_account_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recording_fetch" ADD CONSTRAINT "recording_fetch_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recording_fetch" ADD CONSTRAINT "recording_fetch_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE twilio_account
  ADD CHECK (account_sid ~ '^[A-Za-z0-9-]{2,64}$'),
  ADD CHECK (callback_url ~ '^https://');

-- What is given up is nobody's work, and says nothing of the call any more.
ALTER TABLE recording_fetch
  ADD CHECK (state IN ('waiting', 'given_up')),
  ADD CHECK ((state = 'waiting') = (callback_sealed IS NOT NULL)),
  ADD CHECK (state = 'waiting' OR claim IS NULL),
  ADD CHECK ((claim IS NULL) = (claimed_until IS NULL)),
  ADD CHECK (fault ~ '^[a-z_0-9]{1,40}$'),
  ADD CHECK (attempts >= 0 AND no_such >= 0),
  ADD CHECK (octet_length(delivery_index) = 16);

-- What is to be fetched next of each source.
CREATE INDEX recording_fetch_waiting ON recording_fetch (source_id, next_at) WHERE state = 'waiting';

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  allowed text;
BEGIN
  FOREACH allowed IN ARRAY ARRAY[
    'SELECT, INSERT, UPDATE, DELETE ON twilio_account',
    'SELECT, INSERT, DELETE ON recording_fetch',
    'UPDATE (callback_sealed, call_id, created_at, next_at, attempts, no_such, state, fault, claim, claimed_until) '
      'ON recording_fetch'
  ] LOOP
    EXECUTE format('GRANT %s TO %I', allowed, app);
  END LOOP;
END
$$;
