import type pg from 'pg';

/** Entries in a partition of a log made small. */
export const SMALL = 256;

/**
 * Makes the partitions of an empty log small, so that a test fills several of them with real entries. Everything else of the
 * schema is as it was migrated.
 */
export const makePartitionsSmall = async (superuser: pg.Client): Promise<void> => {
  await superuser.query(`
    BEGIN;
    DROP TABLE audit.entry_000000, audit.batch_000000;
    CREATE OR REPLACE FUNCTION audit.partition_of(seq bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN seq >> 8;
    CREATE OR REPLACE FUNCTION audit.partition_start(number bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN number << 8;
    SET LOCAL ROLE callvault_audit_owner_callvault;
    SELECT audit.add_partitions(0);
    COMMIT`);
};

/** Makes the database say that everything was appended then: its own clock cannot be set. */
export const datedBack = async (superuser: pg.Client, at: number): Promise<void> => {
  await superuser.query('ALTER TABLE audit.batch DISABLE TRIGGER USER');
  await superuser.query('UPDATE audit.batch SET at = to_timestamp($1)', [at / 1000]);
  await superuser.query('ALTER TABLE audit.batch ENABLE ALWAYS TRIGGER refuse_change');
  await superuser.query('ALTER TABLE audit.batch ENABLE ALWAYS TRIGGER refuse_truncate');
};
