-- Calls that sources announce, and the webhooks by which an organisation is told what became of its recordings
-- (docs/decisions/0019). Neither table ever holds a number, a name or a call id in the clear.

-- CreateTable
CREATE TABLE "announced_call" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "call_id_index" BYTEA NOT NULL,
    "caller_index" BYTEA,
    "called_index" BYTEA,
    "facts_sealed" BYTEA NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "over_at" TIMESTAMPTZ(3) NOT NULL,
    "direction" TEXT,
    "expected" BOOLEAN NOT NULL,
    "reason" TEXT,
    "expected_ms" INTEGER,
    "state" TEXT NOT NULL DEFAULT 'open',
    "announced_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "announced_call_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook" (
    "id" UUID NOT NULL,
    "organisation_id" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "events" TEXT[],
    "secret_salt" BYTEA NOT NULL,
    "secret_version" INTEGER NOT NULL,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "resume_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_message" (
    "id" UUID NOT NULL,
    "webhook_id" UUID NOT NULL,
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "next_at" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "state" TEXT NOT NULL DEFAULT 'waiting',
    "fault" TEXT,

    CONSTRAINT "webhook_message_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "announced_call_source_id_call_id_index_key" ON "announced_call"("source_id", "call_id_index");

-- CreateIndex
CREATE INDEX "announced_call_source_id_started_at_id_idx" ON "announced_call"("source_id", "started_at", "id");

-- CreateIndex
CREATE INDEX "webhook_organisation_id_created_at_id_idx" ON "webhook"("organisation_id", "created_at", "id");

-- AddForeignKey
ALTER TABLE "announced_call" ADD CONSTRAINT "announced_call_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "announced_call" ADD CONSTRAINT "announced_call_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook" ADD CONSTRAINT "webhook_organisation_id_fkey" FOREIGN KEY ("organisation_id") REFERENCES "organisation"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_message" ADD CONSTRAINT "webhook_message_webhook_id_fkey" FOREIGN KEY ("webhook_id") REFERENCES "webhook"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Closed words and shapes, as everywhere.
ALTER TABLE announced_call
  ADD CHECK (state IN ('open', 'settled', 'missing')),
  ADD CHECK (direction IN ('inbound', 'outbound', 'internal')),
  ADD CHECK (reason IN ('not_answered', 'caller_declined', 'not_agreed', 'internal', 'test', 'other')),
  ADD CHECK (reason IS NULL OR NOT expected),
  ADD CHECK (expected_ms >= 0),
  ADD CHECK (over_at >= started_at),
  ADD CHECK (octet_length(call_id_index) = 16 AND octet_length(caller_index) = 16 AND octet_length(called_index) = 16);

ALTER TABLE webhook
  ADD CHECK (url LIKE 'https://%' AND length(url) <= 2000),
  ADD CHECK (cardinality(events) > 0 AND events <@ ARRAY['recording.stored', 'recording.flagged', 'recording.missing']),
  ADD CHECK (octet_length(secret_salt) = 16),
  ADD CHECK (failures >= 0);

ALTER TABLE webhook_message
  ADD CHECK (state IN ('waiting', 'dead')),
  ADD CHECK (fault ~ '^[a-z_0-9]{1,40}$'),
  ADD CHECK (attempts >= 0);

-- Calls of which it is not known yet whether their recording came, soonest first.
CREATE INDEX announced_call_open ON announced_call (over_at) WHERE state = 'open';

-- A call and its recording meet by the keyed call id, and a recording is known to its source after it was erased too.
CREATE INDEX recording_of_call ON recording (source_id, call_id_index) WHERE status IN ('stored', 'erasing', 'erased');
-- The recordings of one source and day.
CREATE INDEX recording_of_source ON recording (source_id, started_at, id) WHERE status = 'stored';

-- What each receiver is to be told next, and what it was not told after all.
CREATE INDEX webhook_message_waiting ON webhook_message (webhook_id, next_at) WHERE state = 'waiting';
CREATE INDEX webhook_message_dead ON webhook_message (webhook_id, created_at, id) WHERE state = 'dead';

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
  allowed text;
BEGIN
  FOREACH allowed IN ARRAY ARRAY[
    'SELECT, INSERT, DELETE ON announced_call, webhook_message',
    'SELECT, INSERT ON webhook',
    'UPDATE (caller_index, called_index, facts_sealed, started_at, ended_at, over_at, direction, expected, reason, '
      'expected_ms, state, announced_at) ON announced_call',
    'UPDATE (url, events, secret_salt, secret_version, failures, resume_at, disabled_at) ON webhook',
    'UPDATE (next_at, attempts, state, fault, created_at) ON webhook_message'
  ] LOOP
    EXECUTE format('GRANT %s TO %I', allowed, app);
  END LOOP;
END
$$;
