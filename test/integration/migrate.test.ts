import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import { ensureLoginRole } from '../../src/storage/login-role.ts';
import {
  type Migration,
  migrate,
  migrationState,
  readMigrations,
  readSchema,
  schemaDrift,
} from '../../src/storage/migrate.ts';
import { withMigrationEngine } from '../../src/storage/migration-engine.ts';
import { runChild } from '../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

let db: TestDatabase;
let owner: pg.Client;

beforeEach(async () => {
  db = await startTestDatabase({ migrated: false });
  owner = await db.connect('owner');
});
afterEach(() => db.close());

const scripts = (...texts: string[]): Migration[] =>
  texts.map((script, index) => ({ name: `2026010100000${index}_step${index}`, script }));

const history = async () =>
  (
    await owner.query(
      `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished, rolled_back_at IS NOT NULL AS undone,
              applied_steps_count AS steps FROM _prisma_migrations ORDER BY started_at, migration_name`,
    )
  ).rows;

const tables = async (): Promise<string[]> =>
  (
    await owner.query(
      `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    )
  ).rows
    .map(({ relname }) => relname as string)
    .filter((name) => name !== '_prisma_migrations');

const failure = async (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: unknown) => error as Error,
  );

describe('a new database', () => {
  test('gets every migration of this release, in order, with the history that Prisma keeps', async () => {
    const migrations = await readMigrations();
    const names = migrations.map(({ name }) => name);
    expect(await migrate(db.owner)).toEqual({ applied: names, repeated: [] });
    expect(await history()).toEqual(
      migrations.map(({ name, script }) => ({
        name,
        checksum: createHash('sha256').update(script).digest('hex'),
        finished: true,
        undone: false,
        steps: 1,
      })),
    );
    const list = {
      baseDir: '/',
      lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"' },
      shadowDbInitScript: '',
      migrationDirectories: migrations.map(({ name, script }) => ({
        path: name,
        migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value: script } },
      })),
    };
    const filters = { externalTables: [], externalEnums: [] };
    const diagnosis = await withMigrationEngine(owner, await readSchema(), (engine) =>
      engine.diagnoseMigrationHistory({ migrationsList: list, optInToShadowDatabase: false, filters }),
    );
    expect(diagnosis).toMatchObject({ history: null, failedMigrationNames: [], editedMigrationNames: [] });
  });

  test('is then exactly what schema.prisma describes, and a difference would be noticed', async () => {
    await migrate(db.owner);
    expect(await schemaDrift(owner)).toBe('');
    await owner.query('ALTER TABLE organisation ADD COLUMN stray text');
    expect(await schemaDrift(owner)).toContain('stray');
  });

  test('gives its roles the same rights when a superuser migrates it', async () => {
    await migrate(db.owner);
    await (await db.connect('superuser')).query('CREATE DATABASE other');
    await migrate({ ...db.superuser, database: 'other' });
    expect(await rightsIn('other')).toEqual(await rightsIn('callvault'));
  });
});

/** What each group role may do with each table and column, names of the installation taken out. */
const rightsIn = async (database: string): Promise<readonly string[]> => {
  const client = new pg.Client({ ...db.superuser, database });
  await client.connect();
  try {
    const { rows } = await client.query<{ right: string }>(
      `SELECT replace(a.grantee::regrole::text, '_' || current_database(), '') || ' ' || a.privilege_type || ' ' || o.name AS right
         FROM (SELECT relacl AS acl, oid::regclass::text AS name FROM pg_class
               UNION ALL SELECT attacl, attrelid::regclass || '.' || attname FROM pg_attribute
               UNION ALL SELECT nspacl, nspname FROM pg_namespace
               UNION ALL SELECT proacl, oid::regprocedure::text FROM pg_proc
               UNION ALL SELECT datacl, 'database' FROM pg_database WHERE datname = current_database()) o,
              LATERAL aclexplode(o.acl) a
        WHERE a.grantee::regrole::text LIKE 'callvault\\_%\\_' || current_database() ORDER BY 1`,
    );
    expect(rows.length).toBeGreaterThan(50);
    return rows.map(({ right }) => right);
  } finally {
    await client.end();
  }
};

test('no migration steps out of the transaction that it says it is done in', async () => {
  for (const { name, script } of await readMigrations())
    expect(script.replace(/--.*$/gm, ''), name).not.toMatch(
      /\b(COMMIT|ROLLBACK|CONCURRENTLY|VACUUM|ALTER SYSTEM)\b/i,
    );
});

describe('again', () => {
  test('a second run does nothing', async () => {
    await migrate(db.owner);
    const before = await history();
    expect(await migrate(db.owner)).toEqual({ applied: [], repeated: [] });
    expect(await history()).toEqual(before);
  });

  test('two at once share the work', async () => {
    const reports = await Promise.all([migrate(db.owner), migrate(db.owner), migrate(db.owner)]);
    expect(reports.flatMap(({ applied }) => applied)).toEqual(
      (await readMigrations()).map(({ name }) => name),
    );
  });

  test('a later release applies what is new', async () => {
    const [first, second] = scripts('CREATE TABLE a ()', 'CREATE TABLE b ()') as [Migration, Migration];
    await migrate(db.owner, [first]);
    expect(await migrate(db.owner, [first, second])).toEqual({ applied: [second.name], repeated: [] });
    expect(await tables()).toEqual(['a', 'b']);
  });
});

describe('a migration that fails', () => {
  const broken = `CREATE TABLE half (); DO $$ BEGIN PERFORM 1; END $$; SELECT 1 / 0; CREATE TABLE whole ();`;

  test('has changed nothing, is named with its reason, and runs again when it is mended', async () => {
    const [good, bad] = scripts('CREATE TABLE a ()', broken) as [Migration, Migration];
    const error = await failure(migrate(db.owner, [good, bad]));
    expect(error.message).toMatch(new RegExp(`${bad.name} failed and has changed nothing.*division by zero`));
    expect(error).toMatchObject({ code: 'database_unavailable' });
    expect(await tables()).toEqual(['a']);
    expect((await failure(migrate(db.owner, [good, bad]))).message).toMatch(/division by zero/);
    const mended = { ...bad, script: 'CREATE TABLE whole ();' };
    expect(await migrate(db.owner, [good, mended])).toEqual({ applied: [bad.name], repeated: [bad.name] });
    expect(await tables()).toEqual(['a', 'whole']);
    expect(await migrate(db.owner, [good, mended])).toEqual({ applied: [], repeated: [] });
  });

  test('does not write rows into the history', async () => {
    const script = `CREATE TABLE p (n text UNIQUE); INSERT INTO p VALUES ('0701canary'), ('0701canary')`;
    const error = await failure(migrate(db.owner, scripts(script)));
    const { rows } = await owner.query('SELECT logs FROM _prisma_migrations');
    expect(rows[0].logs).toContain('Unique constraint');
    expect(error.message).toContain('duplicate key value violates');
    expect(rows[0].logs + error.message).not.toContain('canary');
  });
});

describe('a migration that is killed', () => {
  const slow = scripts('CREATE TABLE a ()', 'CREATE TABLE b (); SELECT pg_sleep(1.5);', 'CREATE TABLE c ()');

  /** Migrates in a process of its own and kills it while the second script runs. */
  const killMidway = async (): Promise<void> => {
    const child = runChild(`
      import { migrate } from './src/storage/migrate.ts';
      await migrate(${JSON.stringify(db.owner)}, ${JSON.stringify(slow)});
    `);
    for (;;) {
      const { rows } = await owner.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`);
      if (rows.length > 0) break;
    }
    await child.kill();
  };

  test('with its client: the next run waits for the server to finish, and goes on', async () => {
    await killMidway();
    const { applied } = await migrate(db.owner, slow);
    expect(applied.at(-1)).toBe(slow[2]?.name);
    expect(await tables()).toEqual(['a', 'b', 'c']);
    expect((await history()).every(({ finished, undone }) => finished || undone)).toBe(true);
  });

  test('with its server: nothing of it is left, and the next run does it from the start', async () => {
    await killMidway();
    await db.stopServer('kill');
    await db.startServer();
    owner = await db.connect('owner');
    expect(await tables()).toEqual(['a']);
    expect(await migrate(db.owner, slow)).toEqual({
      applied: [slow[1]?.name, slow[2]?.name],
      repeated: [slow[1]?.name],
    });
    expect(await tables()).toEqual(['a', 'b', 'c']);
  });
});

describe('what it refuses', () => {
  test('a database of a newer release', async () => {
    const [first, second] = scripts('CREATE TABLE a ()', 'CREATE TABLE b ()') as [Migration, Migration];
    await migrate(db.owner, [first, second]);
    expect((await failure(migrate(db.owner, [first]))).message).toMatch(/another release.*step1/);
    await expect(migrationState(owner, [first])).rejects.toThrow(/another release/);
  });

  test('a migration that was edited after it ran', async () => {
    const [first] = scripts('CREATE TABLE a ()') as [Migration];
    await migrate(db.owner, [first]);
    const edited = { ...first, script: 'CREATE TABLE a (); -- later' };
    expect((await failure(migrate(db.owner, [edited]))).message).toMatch(/step0 is not the one/);
  });

  test('a database whose name is too long for the names of roles', async () => {
    const name = 'x'.repeat(42);
    await (await db.connect('superuser')).query(`CREATE DATABASE ${name} OWNER ${db.owner.user}`);
    expect((await failure(migrate({ ...db.owner, database: name }))).message).toMatch(/longer than 41 bytes/);
  });

  test('a group role that somebody has made with rights of its own', async () => {
    await owner.query('CREATE ROLE callvault_officer_callvault LOGIN');
    expect((await failure(migrate(db.owner))).message).toMatch(
      /callvault_officer_callvault exists and can do more/,
    );
  });

  test('a role that may not migrate', async () => {
    await owner.query(`CREATE ROLE nobody_special LOGIN PASSWORD 'a-password-0123'`);
    const settings: PostgresSettings = { ...db.owner, user: 'nobody_special', password: 'a-password-0123' };
    expect((await failure(migrate(settings))).message).toMatch(/permission denied/);
  });
});

describe('the login role', () => {
  const login = (): PostgresSettings => ({
    ...db.app,
    user: 'vault-Login "x"',
    password: `it's 100% "fine" \\ 9f2c41d0`,
  });

  const whoAmI = async (settings: PostgresSettings): Promise<unknown> => {
    const client = new pg.Client(settings);
    await client.connect();
    const { rows } = await client.query('SELECT current_user AS me, count(*)::int AS n FROM organisation');
    await client.end();
    return rows[0];
  };

  test('is made with its password and its membership, once', async () => {
    await migrate(db.owner);
    const did = await ensureLoginRole(owner, login());
    expect(did).toEqual([
      'Created role vault-Login "x".',
      'Made vault-Login "x" a member of callvault_app_callvault.',
    ]);
    expect(await whoAmI(login())).toEqual({ me: login().user, n: 0 });
    expect(await ensureLoginRole(owner, login())).toEqual([]);
  });

  test('never sends the password to the server', async () => {
    await migrate(db.owner);
    const sent: string[] = [];
    const spy = {
      query: (text: string, values: unknown[] = []) => {
        sent.push(text, ...values.map(String));
        return owner.query(text, values);
      },
    };
    await ensureLoginRole(spy as unknown as pg.Client, login());
    expect(sent.join('\n')).toContain('SCRAM-SHA-256$4096:');
    expect(sent.join('\n')).not.toContain('9f2c41d0');
  });

  test('that exists keeps its password unless told otherwise', async () => {
    await migrate(db.owner);
    await owner.query(`CREATE ROLE made_by_hand LOGIN PASSWORD 'by-hand-0123456789'`);
    const wanted = { ...db.app, user: 'made_by_hand', password: 'another-0123456789' };
    expect(await ensureLoginRole(owner, wanted)).toEqual([
      'Made made_by_hand a member of callvault_app_callvault.',
    ]);
    await expect(whoAmI(wanted)).rejects.toThrow(/password/);
    await ensureLoginRole(owner, wanted, { renew: true });
    expect(await whoAmI(wanted)).toMatchObject({ me: 'made_by_hand' });
  });

  test('may use the group\u2019s rights but not become it', async () => {
    await migrate(db.owner);
    await ensureLoginRole(owner, login());
    const client = new pg.Client(login());
    await client.connect();
    await expect(client.query('SET ROLE callvault_app_callvault')).rejects.toThrow(/permission denied/);
    await client.end();
  });

  test('that the migrating role may not make is left to an administrator, with the statements', async () => {
    await migrate(db.superuser);
    await (await db.connect('superuser')).query('ALTER ROLE callvault_owner NOCREATEROLE');
    const error = await failure(ensureLoginRole(owner, login()));
    expect(error.message).toMatch(
      /CREATE ROLE "vault-Login ""x""" LOGIN.*GRANT "callvault_app_callvault" TO/,
    );
    expect(error.message).not.toContain('9f2c41d0');
  });

  test('cannot have a password that the two sides would spell differently', async () => {
    await migrate(db.owner);
    await expect(ensureLoginRole(owner, { ...login(), password: 'lösenord-0123456789' })).rejects.toThrow(
      /ASCII/,
    );
  });
});
