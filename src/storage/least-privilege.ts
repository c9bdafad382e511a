import type pg from 'pg';
import { AppError } from '../core/errors.ts';

/**
 * Questions to the catalogue about what the connected role is, owns and may do, by itself or through any role it is a
 * member of: a membership that is not inherited is one SET ROLE away. Each names what it found; none finds anything for
 * the role that `callvault migrate` makes. Sources: PostgreSQL's manual, chapters "Role Attributes", "Predefined Roles",
 * "Privileges" and "Access Privilege Inquiry Functions".
 */
const REACHABLE = `reachable AS (
  SELECT oid, rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication
    FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER') OR rolname IN (session_user, current_user))`;

/** What a process is, by the group role that it is a member of. */
export type RoleKind = 'app' | 'retention';

type Question = { readonly finds: string; readonly fault: (found: string) => string };

/** A serving process writes the log, so it must not be able to remove any of it; and the other way round. */
const foreignTo: Readonly<Record<RoleKind, readonly string[]>> = {
  app: ['audit_owner', 'retention'],
  retention: ['audit_owner', 'app', 'officer'],
};

const foreignNames = (kind: RoleKind): string =>
  foreignTo[kind].map((name) => `'callvault_${name}_' || current_database()`).join(', ');

/** What each kind may carry out of the log's schema; the rest is for the log's own functions, or for nobody. */
const mayCall: Readonly<Record<RoleKind, readonly string[]>> = {
  app: [
    'append(text,bigint,bytea[],text[])',
    'keep_checkpoint(bigint,text)',
    'keep_cosignature(bigint,text,text)',
    'oldest_bodies()',
    'partition_start(bigint)',
  ],
  retention: ['prune(bigint,integer)'],
};

/** Functions of the log that are not for this kind, and any that acts with another role's rights; a trigger's nobody can call. */
const foreignFunctions = (kind: RoleKind): string =>
  `SELECT DISTINCT p.oid::regprocedure::text AS found FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, reachable r
    WHERE (n.nspname = 'audit' OR p.prosecdef) AND n.nspname <> 'pg_catalog'
      AND p.prorettype <> 'trigger'::regtype AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
      AND p.oid::regprocedure::text NOT IN (${mayCall[kind].map((name) => `'audit.${name}'`).join(', ')})`;

const ofKind: Readonly<Record<RoleKind, readonly Question[]>> = {
  app: [
    {
      finds: `SELECT found FROM (${foreignFunctions('app')}) AS f WHERE found LIKE 'audit.prune(%'`,
      fault: (found) => `it may remove bodies of the access log, by ${found}`,
    },
    {
      finds: `SELECT found FROM (${foreignFunctions('app')}) AS f WHERE found NOT LIKE 'audit.prune(%'`,
      fault: (found) => `it may do with the rights of another what serving does not ask for, by ${found}`,
    },
  ],
  retention: [
    {
      finds: foreignFunctions('retention'),
      fault: (found) => `it may write to the access log, by ${found}`,
    },
    {
      finds: `SELECT DISTINCT c.oid::regclass::text AS found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, reachable r
               WHERE n.nspname IN ('audit', 'public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                 AND (has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
                      OR has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE'))`,
      fault: (found) => `it may read or change ${found}`,
    },
  ],
};

const questionsFor = (kind: RoleKind): readonly Question[] => [
  {
    finds: `SELECT rolname AS found FROM reachable WHERE rolsuper`,
    fault: (found) =>
      `it is, or can become, the superuser ${found}: a superuser can rewrite the access log and read the key files`,
  },
  {
    finds: `SELECT rolname || ' (' || concat_ws(', ', CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
              CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
              CASE WHEN rolreplication THEN 'REPLICATION' END) || ')' AS found
       FROM reachable WHERE rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication`,
    fault: (found) => `it has, or can reach, attributes that a serving role must not have: ${found}`,
  },
  {
    finds: `SELECT rolname AS found FROM reachable
             WHERE rolname LIKE 'pg\\_%' OR rolname IN (${foreignNames(kind)})`,
    fault: (found) =>
      `it is a member of ${found}, which goes beyond ${kind === 'app' ? 'serving' : 'removing what is old'}`,
  },
  {
    finds: `SELECT 'database ' || datname AS found FROM pg_database WHERE datname = current_database() AND datdba IN (SELECT oid FROM reachable)
            UNION ALL
            SELECT 'schema ' || nspname FROM pg_namespace WHERE nspowner IN (SELECT oid FROM reachable)
            UNION ALL
            SELECT 'relation ' || c.oid::regclass FROM pg_class c WHERE relowner IN (SELECT oid FROM reachable)
               AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname = 'pg_toast')
            UNION ALL
            SELECT 'function ' || p.oid::regprocedure FROM pg_proc p WHERE proowner IN (SELECT oid FROM reachable)`,
    fault: (found) => `it owns ${found}, and an owner can do everything with what is his`,
  },
  {
    finds: `SELECT 'schema ' || nspname AS found FROM pg_namespace n
             WHERE EXISTS (SELECT FROM reachable r WHERE has_schema_privilege(r.oid, n.oid, 'CREATE'))
            UNION ALL
            SELECT 'database ' || current_database()
             WHERE EXISTS (SELECT FROM reachable r WHERE has_database_privilege(r.oid, current_database(), 'CREATE'))`,
    fault: (found) => `it may create objects in ${found}`,
  },
  {
    finds: `SELECT DISTINCT c.oid::regclass::text AS found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, reachable r
             WHERE n.nspname = 'audit' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND (has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
                    OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE, REFERENCES'))`,
    fault: (found) => `it may change ${found}: the access log is written through its function only`,
  },
  {
    finds: `SELECT DISTINCT c.oid::regclass::text AS found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, reachable r
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
               AND (has_table_privilege(r.oid, c.oid, 'TRUNCATE, TRIGGER')
                    OR (c.relname = '_prisma_migrations' AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE')))`,
    fault: (found) => `it may empty, watch or rewrite ${found}`,
  },
  {
    finds: `SELECT 'session_replication_role' AS found
             WHERE EXISTS (SELECT FROM reachable r WHERE has_parameter_privilege(r.oid, 'session_replication_role', 'SET'))`,
    fault: (found) => `it may set ${found}, which switches triggers off`,
  },
  ...ofKind[kind],
];

const OLDEST_SERVER = 160_000;

const ask = async (client: Pick<pg.Client, 'query'>, kind: RoleKind): Promise<readonly string[]> => {
  const faults: string[] = [];
  const questions = questionsFor(kind);
  for (const { finds, fault } of questions) {
    const { rows } = await client.query<{ found: string }>(`WITH ${REACHABLE} ${finds} ORDER BY 1 LIMIT 5`);
    if (rows.length > 0) faults.push(fault(rows.map(({ found }) => found).join(', ')));
    // A superuser is everything else as well; saying so once is clearer.
    if (faults.length === 1 && fault === questions[0]?.fault) break;
  }
  return faults;
};

/**
 * What the connected role can do too much for its work, also through memberships, as a `config_invalid` that names it all;
 * null when it is unable to own, create or rewrite what the access log stands on. Throws `config_invalid` for a server older
 * than PostgreSQL 16, and for a role that is not a member of the group role of its kind.
 */
export const excessOfRole = async (
  client: Pick<pg.Client, 'query'>,
  kind: RoleKind = 'app',
): Promise<AppError | null> => {
  const { rows } = await client.query<{
    version: number;
    shown: string;
    role: string;
    member: boolean | null;
    group: string;
  }>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS shown,
            session_user::text AS role, 'callvault_${kind}_' || current_database() AS group,
            (SELECT pg_has_role(session_user, oid, 'USAGE') FROM pg_roles WHERE rolname = 'callvault_${kind}_' || current_database()) AS member`,
  );
  const { version, shown, role, member, group } = rows[0] as (typeof rows)[0];
  if (version < OLDEST_SERVER)
    throw new AppError(
      'config_invalid',
      `The database server is PostgreSQL ${shown}: Callvault needs 16 or newer.`,
    );
  const faults = [...(await ask(client, kind))];
  if (faults.length === 0 && member !== true)
    throw new AppError(
      'config_invalid',
      `The role ${role} is not a member of ${group}: run "callvault migrate".`,
    );
  if (faults.length === 0) return null;
  return new AppError(
    'config_invalid',
    `The role ${role} can do too much ${kind === 'app' ? 'to serve with' : 'for removing what is old'}: ${faults.join('; ')}. Use a role made by "callvault migrate".`,
    {
      faults: faults.map((fault) => ({
        where: kind === 'app' ? 'DATABASE_URL' : 'RETENTION_DATABASE_URL',
        fault,
      })),
    },
  );
};

/**
 * Throws `config_invalid`, naming everything that is wrong, unless the connected role is fit for its work. Run on the
 * connection settings that the process will work with.
 */
export const assertLeastPrivilege = async (
  client: Pick<pg.Client, 'query'>,
  kind: RoleKind = 'app',
): Promise<void> => {
  const excess = await excessOfRole(client, kind);
  if (excess !== null) throw excess;
};
