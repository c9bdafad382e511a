import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import type { RoleKind } from './least-privilege.ts';

const ITERATIONS = 4096;

/**
 * What PostgreSQL keeps instead of a password (RFC 5803). Made here, so the password itself never travels in a statement
 * that a server might log. ASCII only, where SASLprep changes nothing.
 */
const scramVerifier = (password: string): string => {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const keyOf = (label: string): Buffer => createHmac('sha256', salted).update(label).digest();
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${keyOf('Server Key').toString('base64')}`;
};

/** Nothing is said of other attributes: a role made without them has none. */
const setPassword = async (
  client: pg.Client,
  verb: 'CREATE' | 'ALTER',
  login: PostgresSettings,
): Promise<void> => {
  if (!/^[\x20-\x7e]*$/.test(login.password))
    throw new AppError(
      'config_invalid',
      'The password of a database role has characters beyond ASCII: choose another.',
    );
  // Without one the role can only come in where the server knows its people otherwise (peer, certificate).
  const password = login.password === '' ? 'NULL' : pg.escapeLiteral(scramVerifier(login.password));
  await client.query(`${verb} ROLE ${pg.escapeIdentifier(login.user)} LOGIN PASSWORD ${password}`);
};

const forbidden = (error: unknown): boolean => error instanceof pg.DatabaseError && error.code === '42501';

/**
 * Sees to it that the role `login` names can log in and is a member of the group role of its kind. `client` is the
 * migrating role on the migrated database. An existing role keeps its password unless `renew`. Returns, in sentences, what
 * was done; empty when all was there. Throws `database_unavailable` with the statements for an administrator when the
 * migrating role may not do it.
 */
export const ensureLoginRole = async (
  client: pg.Client,
  login: PostgresSettings,
  { renew = false, kind = 'app' }: { readonly renew?: boolean; readonly kind?: RoleKind } = {},
): Promise<readonly string[]> => {
  const { rows } = await client.query<{ group: string; there: boolean; member: boolean }>(
    `SELECT 'callvault_${kind}_' || current_database() AS "group", r.oid IS NOT NULL AS there,
            coalesce((SELECT bool_or(m.inherit_option) FROM pg_auth_members m
                       WHERE m.member = r.oid AND m.roleid = to_regrole(quote_ident('callvault_${kind}_' || current_database()))), false) AS member
       FROM (VALUES ($1::name)) AS wanted (name) LEFT JOIN pg_roles r ON r.rolname = wanted.name`,
    [login.user],
  );
  const { group, there, member } = rows[0] as { group: string; there: boolean; member: boolean };
  const role = pg.escapeIdentifier(login.user);
  const grant = `GRANT ${pg.escapeIdentifier(group)} TO ${role} WITH INHERIT TRUE, SET FALSE`;
  const did: string[] = [];
  try {
    if (!there || renew) {
      await setPassword(client, there ? 'ALTER' : 'CREATE', login);
      did.push(there ? `Gave role ${login.user} its password.` : `Created role ${login.user}.`);
    }
    if (!member) {
      await client.query(grant);
      did.push(`Made ${login.user} a member of ${group}.`);
    }
  } catch (cause) {
    if (!forbidden(cause)) throw cause;
    throw new AppError(
      'database_unavailable',
      `The migrating role may not prepare ${login.user}. Have an administrator run: ${there ? '' : `CREATE ROLE ${role} LOGIN PASSWORD '…'; `}${grant};`,
      { cause },
    );
  }
  return did;
};
