-- CreateTable
CREATE TABLE "twilio_account" (
    "source_id" UUID NOT NULL,
    "account_sid" TEXT NOT NULL,
    "token_sealed" BYTEA NOT NULL,
    "callback_url" TEXT NOT NULL,
    "delete_after" BOOLEAN NOT NULL,

    CONSTRAINT "twilio_account_pkey" PRIMARY KEY ("source_id")
);

-- AddForeignKey
ALTER TABLE "twilio_account" ADD CONSTRAINT "twilio_account_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "source"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE twilio_account
  ADD CHECK (account_sid ~ '^[A-Za-z0-9-]{2,64}$'),
  ADD CHECK (callback_url ~ '^https://');

DO $$
DECLARE
  app text := 'callvault_app_' || current_database();
BEGIN
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON twilio_account TO %I', app);
END
$$;
