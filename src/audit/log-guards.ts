import type pg from 'pg';
import { type CatalogueRow, guardFaults } from '../core/audit/log-guards.ts';
import { AppError } from '../core/errors.ts';
import { logUnavailable } from './append-failure.ts';

/**
 * Everything that PostgreSQL says of schema audit, which every role may read. Row security and rules show others than there
 * are; a trigger, or one that is switched off, lets pass what is refused; an index finds only what it holds. PostgreSQL looks
 * for triggers, indexes and checks of a table only where the table's own row says that it has some. Not compared:
 * partition_of and partition_start, for the walk over the log sees where its rows lie.
 */
const CATALOGUE = `
WITH own AS (
  SELECT c.oid, c.relname::text AS relation, c.relkind, c.relpersistence, c.relrowsecurity OR c.relforcerowsecurity AS rows,
         c.relhastriggers, c.relhasindex, c.relchecks
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = 'audit' AND c.relkind NOT IN ('i', 'I'))
SELECT relation, what, is_ AS is FROM (
  SELECT relation, 'table', concat_ws(' ', relkind, relpersistence) FROM own WHERE relkind <> 'c'
  UNION ALL
  SELECT relation, 'row security', '' FROM own WHERE rows
  UNION ALL
  SELECT CASE WHEN relkind <> 'c' THEN relation END, CASE WHEN relkind = 'c' THEN 'type ' || relation ELSE 'columns' END,
         string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
                    nullif(attgenerated::text, ''), pg_get_expr(adbin, adrelid)), ', ' ORDER BY attnum)
    FROM own JOIN pg_catalog.pg_attribute a ON attrelid = oid LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
   WHERE attnum > 0 AND NOT attisdropped GROUP BY 1, 2
  UNION ALL
  SELECT relation, 'trigger ' || tgname, CASE WHEN own.relhastriggers THEN tgenabled::text ELSE 'D' END ||
         regexp_replace(pg_get_triggerdef(t.oid), '^CREATE (?:CONSTRAINT )?TRIGGER \\S+( .*) ON \\S+ ', '\\1 ')
    FROM own JOIN pg_catalog.pg_trigger t ON tgrelid = own.oid
  UNION ALL
  SELECT relation, 'policy ' || polname, '' FROM own JOIN pg_catalog.pg_policy ON polrelid = own.oid
  UNION ALL
  SELECT relation, 'rule ' || rulename, '' FROM own JOIN pg_catalog.pg_rewrite ON ev_class = own.oid
  UNION ALL
  SELECT relation, 'index ' || coalesce(p.relname, i.relname),
         concat_ws(' ', CASE WHEN indisunique THEN 'UNIQUE' END, substring(pg_get_indexdef(i.oid) FROM ' USING (.*)$'),
                   CASE WHEN NOT (indisvalid AND indisready AND indislive AND own.relhasindex) THEN 'INVALID' END)
    FROM own JOIN pg_catalog.pg_index ON indrelid = own.oid JOIN pg_catalog.pg_class i ON i.oid = indexrelid
    LEFT JOIN pg_catalog.pg_inherits ON inhrelid = i.oid LEFT JOIN pg_catalog.pg_class p ON p.oid = inhparent
  UNION ALL
  -- What may not be null stands with the columns.
  SELECT relation, 'constraint ' || coalesce(p.conname, k.conname),
         concat_ws(' ', pg_get_constraintdef(k.oid), CASE WHEN NOT k.convalidated THEN 'UNCHECKED' END,
                   CASE WHEN k.contype = 'c' AND own.relchecks <> count(*) FILTER (WHERE k.contype = 'c') OVER (PARTITION BY own.oid)
                        THEN 'IGNORED' END)
    FROM own JOIN pg_catalog.pg_constraint k ON k.conrelid = own.oid
    LEFT JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid
   WHERE k.contype <> 'n'
  UNION ALL
  SELECT relation, 'child ' || inhrelid::regclass, '' FROM own JOIN pg_catalog.pg_inherits ON inhparent = own.oid
   WHERE inhrelid NOT IN (SELECT oid FROM own)
  UNION ALL
  SELECT NULL, 'function ' || regexp_replace(p.oid::regprocedure::text, '^audit\\.', ''), md5(pg_get_functiondef(p.oid))
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
   WHERE nspname = 'audit' AND prokind IN ('f', 'p')
     AND NOT (proname IN ('partition_of', 'partition_start') AND proargtypes::text = '20')
) AS said (relation, what, is_)
-- What was removed while this was asked has no definition any more.
WHERE is_ IS NOT NULL ORDER BY relation NULLS LAST, what`;

/** Sentences, empty when all is as the migrations made it. Needs no privilege; not within an older snapshot. */
export const findGuardFaults = async (
  client: Pick<pg.ClientBase | pg.Pool, 'query'>,
): Promise<readonly string[]> => guardFaults((await client.query<CatalogueRow>(CATALOGUE)).rows);

/** More are counted only: whoever has changed everything is not told line by line. */
const NAMED = 5;

/** What is wrong, in a few sentences; null when nothing is. Rejects with `log_unavailable`. */
export const describeGuardFaults = async (
  client: Pick<pg.ClientBase | pg.Pool, 'query'>,
): Promise<string | null> => {
  const faults = await findGuardFaults(client).catch((cause: unknown) => {
    throw logUnavailable('What guards the access log cannot be read now.', cause);
  });
  if (faults.length === 0) return null;
  const more = faults.length > NAMED ? ` And ${faults.length - NAMED} more.` : '';
  return `The database does not guard the access log as this release made it: ${faults.slice(0, NAMED).join(' ')}${more} Only a superuser, or the owner of the log, can have changed it. Keep this database as it is and call your security officer; "callvault verify" tells what the log is worth.`;
};

/** Rejects with `integrity_failure`, naming what it found. */
export const assertGuarded = async (client: Pick<pg.ClientBase | pg.Pool, 'query'>): Promise<void> => {
  const fault = await describeGuardFaults(client);
  if (fault !== null) throw new AppError('integrity_failure', fault);
};
