import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

let db: TestDatabase;
let admin: pg.Client;

beforeAll(async () => {
  db = await startTestDatabase();
  admin = await db.connect('superuser');
});
afterAll(() => db.close());

/** What opening says; empty when it opens. */
const refusal = async (settings: PostgresSettings = db.app): Promise<string> => {
  try {
    await (await openDatabase(settings)).close();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('the role that migrate makes', () => {
  test('is fit to serve', async () => {
    const database = await openDatabase(db.app);
    await database.check();
    expect(await database.prisma.organisation.count()).toBe(0);
    expect((await database.pool.query('SELECT current_user AS me')).rows).toEqual([{ me: 'callvault' }]);
    await database.close();
  });

  test('plans what is found by key once, and everything else as its values ask for', async () => {
    const database = await openDatabase(db.app);
    const modes = await Promise.all(
      [database.keyed, database.pool].map((pool) => pool.query('SHOW plan_cache_mode')),
    );
    expect(modes.map(({ rows }) => rows[0].plan_cache_mode)).toEqual(['force_generic_plan', 'auto']);
    await database.close();
  });
});

/** What a GRANT gives, taken back; what else was done is undone by `undo`. */
const reverse = (grant: string): string => grant.replace(/^GRANT (.*) TO (\w+).*$/, 'REVOKE $1 FROM $2');

type Case = readonly [what: string, make: readonly string[], reason: RegExp, undo?: readonly string[]];

const attributes: Case[] = ['BYPASSRLS', 'CREATEROLE', 'CREATEDB', 'REPLICATION'].map((attribute) => [
  attribute,
  [`ALTER ROLE callvault ${attribute}`],
  new RegExp(`callvault \\(${attribute}\\)`),
  [`ALTER ROLE callvault NO${attribute}`],
]);

const memberships: Case[] = [
  'callvault_audit_owner_callvault',
  'callvault_retention_callvault',
  'pg_read_server_files',
  'pg_write_server_files',
  'pg_execute_server_program',
  'pg_write_all_data',
  'pg_signal_backend',
].map((role) => [
  `member of ${role}`,
  [`GRANT ${role} TO callvault WITH INHERIT FALSE, SET FALSE`],
  new RegExp(`member of ${role}`),
]);

const ownerships: Case[] = (
  [
    ['DATABASE callvault', 'callvault_owner', /owns .*database callvault/],
    ['SCHEMA audit', 'callvault_audit_owner_callvault', /owns .*schema audit/],
    ['TABLE recording', 'callvault_owner', /owns .*relation recording/],
    ['FUNCTION audit.append', 'callvault_audit_owner_callvault', /owns .*function audit\.append/],
  ] as const
).map(([what, owner, reason]) => [
  `owner of ${what}`,
  [`ALTER ${what} OWNER TO callvault`],
  reason,
  [`ALTER ${what} OWNER TO ${owner}`],
]);

const onTheLog: Case[] = [
  'INSERT',
  'UPDATE',
  'DELETE',
  'TRUNCATE',
  'TRIGGER',
  'REFERENCES',
  'INSERT (body)',
  'UPDATE (salt)',
].map((right) => [
  `${right} on the log`,
  [`GRANT ${right} ON audit.entry TO callvault`],
  /may change audit\.entry/,
]);

const others: Case[] = [
  [
    'removing bodies of the log',
    ['GRANT EXECUTE ON FUNCTION audit.prune(bigint, int) TO callvault'],
    /may remove bodies of the access log, by audit\.prune/,
  ],
  [
    'removing bodies of the log, as everybody may',
    ['GRANT EXECUTE ON FUNCTION audit.prune(bigint, int) TO PUBLIC'],
    /may remove bodies of the access log/,
  ],
  [
    'a function of the log that runs with its owner’s rights',
    [
      'CREATE FUNCTION audit.cut() RETURNS void LANGUAGE sql SECURITY DEFINER RETURN NULL',
      'REVOKE ALL ON FUNCTION audit.cut() FROM PUBLIC',
      'GRANT EXECUTE ON FUNCTION audit.cut() TO callvault',
    ],
    /what serving does not ask for, by audit\.cut\(\)/,
    ['DROP FUNCTION audit.cut()'],
  ],
  [
    'a function elsewhere with another’s rights, for everybody',
    ['CREATE FUNCTION public.cut() RETURNS void LANGUAGE sql SECURITY DEFINER RETURN NULL'],
    /what serving does not ask for, by cut\(\)/,
    ['DROP FUNCTION public.cut()'],
  ],
  ...['make_room(bigint,bigint)', 'add_partitions(bigint)', 'guard_truncate(text)'].map(
    (name): Case => [
      `the log’s own ${name}`,
      [`GRANT EXECUTE ON FUNCTION audit.${name} TO callvault`],
      new RegExp(`what serving does not ask for, by audit\\.${name.replace(/[()]/g, '\\$&')}`),
    ],
  ),
  [
    'superuser',
    ['ALTER ROLE callvault SUPERUSER'],
    /superuser callvault/,
    ['ALTER ROLE callvault NOSUPERUSER'],
  ],
  [
    'superuser, one SET ROLE away',
    ['CREATE ROLE boss SUPERUSER', 'GRANT boss TO callvault WITH INHERIT FALSE'],
    /superuser boss/,
    ['DROP ROLE boss'],
  ],
  [
    'superuser, two memberships away that are neither inherited nor settable',
    [
      'CREATE ROLE boss SUPERUSER',
      'CREATE ROLE step',
      'GRANT boss TO step',
      'GRANT step TO callvault WITH INHERIT FALSE, SET FALSE',
    ],
    /superuser boss/,
    ['DROP ROLE boss', 'DROP ROLE step'],
  ],
  ['INSERT on the log for everybody', ['GRANT INSERT ON audit.leaf TO PUBLIC'], /may change audit\.leaf/],
  ['INSERT on one partition', ['GRANT INSERT ON audit.batch_000000 TO callvault'], /audit\.batch_000000/],
  [
    'CREATE on schema public for everybody',
    ['GRANT CREATE ON SCHEMA public TO PUBLIC'],
    /create objects in schema public/,
  ],
  ['CREATE on schema audit', ['GRANT CREATE ON SCHEMA audit TO callvault'], /create objects in schema audit/],
  [
    'CREATE on the database',
    ['GRANT CREATE ON DATABASE callvault TO callvault'],
    /create objects in database/,
  ],
  [
    'TRUNCATE on recordings',
    ['GRANT TRUNCATE ON recording TO callvault'],
    /empty, watch or rewrite recording/,
  ],
  ['TRIGGER on recordings', ['GRANT TRIGGER ON recording TO callvault'], /rewrite recording/],
  [
    'UPDATE on the migrations',
    ['GRANT UPDATE ON _prisma_migrations TO callvault'],
    /rewrite _prisma_migrations/,
  ],
  [
    'switching triggers off',
    ['GRANT SET ON PARAMETER session_replication_role TO callvault'],
    /switches triggers off/,
  ],
];

const everyCase = [...attributes, ...memberships, ...ownerships, ...onTheLog, ...others].map(
  ([what, make, reason, unmake]) => ({ what, make, reason, unmake }),
);

describe('a role that can do too much', () => {
  let undo: readonly string[] = [];
  afterEach(async () => {
    for (const statement of undo) await admin.query(statement);
    undo = [];
  });

  test.each(everyCase)('$what is refused', async ({ make, reason, unmake }) => {
    for (const statement of make) await admin.query(statement);
    undo = unmake ?? make.map(reverse);
    const said = await refusal();
    expect(said).toMatch(reason);
    expect(said).toMatch(/Use a role made by "callvault migrate"/);
  });

  test('is told everything at once', async () => {
    const grants = ['GRANT INSERT ON audit.entry TO callvault', 'GRANT pg_monitor TO callvault'];
    for (const statement of ['ALTER ROLE callvault CREATEROLE', ...grants]) await admin.query(statement);
    undo = ['ALTER ROLE callvault NOCREATEROLE', ...grants.map(reverse)];
    const error = await openDatabase(db.app).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'config_invalid', extras: { faults: [{}, {}, {}] } });
  });

  test('is the owner and the superuser themselves', async () => {
    expect(await refusal(db.owner)).toMatch(/owns database callvault/);
    expect(await refusal(db.superuser)).toMatch(/superuser postgres/);
  });

  test('and once it is mended again, it serves', async () => {
    expect(await refusal()).toBe('');
  });
});

describe('what else is refused', () => {
  test('a role that nobody has prepared', async () => {
    await admin.query(
      `CREATE ROLE stranger LOGIN PASSWORD 'a-password-0123'; GRANT CONNECT ON DATABASE callvault TO stranger`,
    );
    expect(await refusal({ ...db.app, user: 'stranger', password: 'a-password-0123' })).toMatch(
      /not a member of callvault_app_callvault: run "callvault migrate"/,
    );
  });

  test('a database that lacks migrations', async () => {
    await admin.query(
      `UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name LIKE '%_audit'`,
    );
    expect(await refusal()).toMatch(/lacks 1 of this release's migrations: run "callvault migrate"/);
    await admin.query('UPDATE _prisma_migrations SET rolled_back_at = NULL');
  });

  test('a wrong password, and a server that is not there', async () => {
    const wrong = openDatabase({ ...db.app, password: 'wrong' });
    await expect(wrong).rejects.toMatchObject({ code: 'database_unavailable' });
    await expect(openDatabase({ ...db.app, host: '/nowhere' })).rejects.toMatchObject({
      code: 'database_unavailable',
    });
  });
});

describe('a server that goes away', () => {
  test('fails queries, not the process, and is used again when it is back', async () => {
    const database = await openDatabase(db.app);
    await database.check();
    await db.stopServer('kill');
    await expect(database.check()).rejects.toMatchObject({ code: 'database_unavailable' });
    await expect(database.prisma.organisation.count()).rejects.toThrow();
    await db.startServer();
    await database.check();
    expect(await database.prisma.organisation.count()).toBe(0);
    await database.close();
  });
});
