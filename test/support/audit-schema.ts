import type pg from 'pg';

/**
 * Everything that makes the log append-only, as the catalogue tells it: owners, columns, constraints, indexes, triggers
 * and whether they always fire, functions with their bodies, grants, policies. One fact a line.
 */
const QUESTIONS: Readonly<Record<string, string>> = {
  schema: `SELECT format('%s owner %s, grants %s', nspname, pg_get_userbyid(nspowner), nspacl) AS line
             FROM pg_namespace WHERE nspname = 'audit'`,
  relations: `SELECT format('%s kind %s, owner %s, grants %s, row security %s%s, options %s, partition %s', c.oid::regclass, relkind,
                pg_get_userbyid(relowner), relacl, relrowsecurity, relforcerowsecurity, reloptions, pg_get_expr(relpartbound, c.oid)) AS line
                FROM pg_class c WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')`,
  columns: `SELECT format('%s.%s %s%s%s%s, grants %s', attrelid::regclass, attname, format_type(atttypid, atttypmod),
              CASE WHEN attnotnull THEN ' not null' END, CASE attgenerated WHEN '' THEN '' ELSE ' generated ' || attgenerated::text END,
              ' ' || pg_get_expr(adbin, adrelid), attacl) AS line
              FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
             WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND attnum > 0 AND NOT attisdropped`,
  constraints: `SELECT format('%s %s %s validated %s', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) AS line
                  FROM pg_constraint WHERE connamespace = 'audit'::regnamespace`,
  indexes: `SELECT indexdef AS line FROM pg_indexes WHERE schemaname = 'audit'`,
  triggers: `SELECT format('%s, enabled %s', pg_get_triggerdef(t.oid), tgenabled) AS line
               FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 'audit'::regnamespace`,
  functions: `SELECT format(E'owner %s, grants %s\\n%s', pg_get_userbyid(proowner), proacl, pg_get_functiondef(oid)) AS line
                FROM pg_proc WHERE pronamespace = 'audit'::regnamespace`,
  policies: `SELECT format('%s', p) AS line FROM pg_policies p WHERE schemaname = 'audit'`,
  roles: `SELECT format('%s login %s, superuser %s, createdb %s, createrole %s, replication %s, bypassrls %s, inherits %s, settings %s',
            rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit, rolconfig) AS line
            FROM pg_roles WHERE rolname LIKE 'callvault%'`,
  memberships: `SELECT format('%s of %s, inherit %s, set %s, admin %s', member::regrole, roleid::regrole, inherit_option, set_option, admin_option) AS line
                  FROM pg_auth_members WHERE member::regrole::text LIKE 'callvault%'`,
  database: `SELECT format('%s grants %s', datname, datacl) AS line FROM pg_database WHERE datname = current_database()`,
  'parameter grants': `SELECT format('%s', p) AS line FROM pg_parameter_acl p`,
  rules: `SELECT format('%s', r) AS line FROM pg_rules r WHERE schemaname = 'audit'`,
  'default privileges': `SELECT format('%s', d) AS line FROM pg_default_acl d`,
};

/** The facts in an order that does not depend on when anything was made. */
export const auditSchema = async (client: pg.Client): Promise<string> => {
  const parts: string[] = [];
  for (const [heading, question] of Object.entries(QUESTIONS)) {
    const { rows } = await client.query<{ line: string }>(question);
    const lines = rows.map(({ line }) => line).sort();
    parts.push(`== ${heading}`, ...(lines.length === 0 ? ['(none)'] : lines), '');
  }
  return parts.join('\n');
};
