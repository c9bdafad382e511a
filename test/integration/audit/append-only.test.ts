import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { auditSchema } from '../../support/audit-schema.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { plantHead } from '../../support/planted-log.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let superuser: pg.Client;
beforeAll(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  const writers = createTestWriters(database);
  const appendTen = async (): Promise<void> => {
    const writer = writers.open();
    await Promise.all(Array.from({ length: 10 }, () => writer.append(freshEvent())));
    await writer.close();
  };
  // Entries in the first partition, and in one that an append has made.
  await appendTen();
  await plantHead(superuser, 2 ** 20 - 5);
  await appendTen();
  await appendTen();
  await superuser.query(`INSERT INTO audit.node VALUES (8, 0, sha256(''))`);
  await superuser.query(`SELECT audit.keep_checkpoint(10, E'o\n10\nroot\n\n')`);
  await superuser.query(`SELECT audit.keep_cosignature(10, 'w+00000000', E'— w AAAA\n')`);
});
afterAll(() => database.close());

test('tables, constraints, triggers, functions and grants are the ones that were reviewed', async () => {
  const untouched = await startTestDatabase();
  try {
    const snapshot = join(import.meta.dirname, '../../fixtures/audit/schema.txt');
    await expect(await auditSchema(await untouched.connect('superuser'))).toMatchFileSnapshot(snapshot);
  } finally {
    await untouched.close();
  }
});

/** `kept`: audit.prune finds it too young; `behind`: audit.append was reached, and finds its caller's size wrong. */
type Outcome = 'allowed' | 'denied' | 'refused' | 'generated' | 'kept' | 'behind';

const outcomeOf = (error: unknown): Outcome => {
  if (!(error instanceof pg.DatabaseError)) throw error;
  if (/append-only/.test(error.message)) return 'refused';
  if (error.code === '42501') return 'denied';
  if (error.code === '428C9') return 'generated';
  if (error.code === 'CV003') return 'kept';
  if (error.code === 'CV001') return 'behind';
  throw error;
};

/** What happens when this role runs this; nothing of it stays. */
const attempt = async (role: string, ...statements: readonly string[]): Promise<Outcome> => {
  await superuser.query('BEGIN');
  try {
    await superuser.query(`SET LOCAL ROLE ${role}`);
    for (const statement of statements) await superuser.query(statement);
    return 'allowed';
  } catch (error) {
    return outcomeOf(error);
  } finally {
    await superuser.query('ROLLBACK');
  }
};

const app = 'callvault_app_callvault';
const officer = 'callvault_officer_callvault';
const retention = 'callvault_retention_callvault';
const owner = 'callvault_audit_owner_callvault';
const tables = [
  'leaf',
  'entry',
  'batch',
  'node',
  'entry_000000',
  'entry_000001',
  'batch_000000',
  'batch_000001',
  'checkpoint',
  'cosignature',
];
const firstColumns: Readonly<Record<string, string>> = {
  batch: 'first_seq',
  node: 'level',
  checkpoint: 'size',
  cosignature: 'size',
};
const firstColumn = (table: string): string => firstColumns[table.replace(/_\d+$/, '')] ?? 'seq';

describe.each(tables)('H-5 audit.%s', (table) => {
  const name = `audit.${table}`;
  const column = firstColumn(table);
  const changes: [string, string[]][] = [
    ['UPDATE', [`UPDATE ${name} SET ${column} = ${column}`]],
    ['DELETE', [`DELETE FROM ${name}`]],
    ['TRUNCATE', [`TRUNCATE ${name}`]],
    ['TRUNCATE CASCADE', [`TRUNCATE ${name} CASCADE`]],
    ['MERGE', [`MERGE INTO ${name} t USING ${name} s ON t.${column} = s.${column} WHEN MATCHED THEN DELETE`]],
    [
      'SELECT FOR UPDATE, then UPDATE',
      [`SELECT FROM ${name} FOR UPDATE`, `UPDATE ${name} SET ${column} = ${column}`],
    ],
  ];

  test.each(changes)(
    '%s: denied to who serves and reads, refused to its owner and to superusers',
    async (_, change) => {
      const outcomes: Record<string, Outcome> = {};
      for (const role of [app, officer, retention, owner, 'postgres'])
        outcomes[role] = await attempt(role, ...change);
      const replica = await attempt('postgres', 'SET LOCAL session_replication_role = replica', ...change);
      expect({ ...outcomes, replica }).toEqual({
        [app]: 'denied',
        [officer]: 'denied',
        [retention]: 'denied',
        [owner]: 'refused',
        postgres: 'refused',
        replica: 'refused',
      });
    },
  );

  test('nobody who serves or reads can insert, lock out, watch or alter', async () => {
    for (const role of [app, officer, retention]) {
      for (const statement of [
        `INSERT INTO ${name} DEFAULT VALUES`,
        `LOCK TABLE ${name} IN EXCLUSIVE MODE`,
        `CREATE TRIGGER t BEFORE INSERT ON ${name} EXECUTE FUNCTION audit.refuse()`,
        `SELECT set_config('session_replication_role', 'replica', true)`,
      ])
        expect([role, statement, await attempt(role, statement)]).toEqual([role, statement, 'denied']);
      for (const statement of [
        `ALTER TABLE ${name} DISABLE TRIGGER ALL`,
        `ALTER TABLE ${name} ADD COLUMN x int`,
        `DROP TABLE ${name}`,
        `CREATE INDEX ON ${name} (${column})`,
        `CREATE RULE r AS ON DELETE TO ${name} DO INSTEAD NOTHING`,
        `COMMENT ON TABLE ${name} IS 'x'`,
      ])
        expect([role, statement, await attempt(role, statement)]).toEqual([role, statement, 'denied']);
    }
  });
});

/** Every operation that could thin out the log, for everybody there is. What is allowed is what the tree is for. */
describe('H-5 who may do what', () => {
  const everybody = [app, officer, retention, owner, 'postgres'];
  const denied = { [app]: 'denied', [officer]: 'denied', [retention]: 'denied' };
  const matrix: [string, string[], Record<string, Outcome>][] = [
    [
      'INSERT a commitment',
      [`INSERT INTO audit.leaf VALUES (900000, sha256(''), gen_random_uuid())`],
      { [owner]: 'allowed', postgres: 'allowed' },
    ],
    [
      'INSERT, or else UPDATE',
      [
        `INSERT INTO audit.leaf SELECT * FROM audit.leaf LIMIT 1 ON CONFLICT (seq) DO UPDATE SET commitment = sha256('')`,
      ],
      { [owner]: 'refused', postgres: 'refused' },
    ],
    [
      'UPDATE with triggers for replicas only',
      ['SET LOCAL session_replication_role = replica', `UPDATE audit.leaf SET commitment = sha256('')`],
      { [owner]: 'denied', postgres: 'refused' },
    ],
    [
      'UPDATE what is searched by',
      ['UPDATE audit.entry SET facts = facts'],
      {
        [app]: 'generated',
        [officer]: 'generated',
        [retention]: 'generated',
        [owner]: 'generated',
        postgres: 'generated',
      },
    ],
    [
      'switch a trigger off',
      ['ALTER TABLE audit.entry DISABLE TRIGGER refuse_change'],
      { [owner]: 'allowed', postgres: 'allowed' },
    ],
    ['DROP a partition', ['DROP TABLE audit.entry_000000'], { [owner]: 'allowed', postgres: 'allowed' }],
    [
      'DETACH a partition',
      ['ALTER TABLE audit.entry DETACH PARTITION audit.entry_000000'],
      { [owner]: 'allowed', postgres: 'allowed' },
    ],
    [
      'prune a young partition',
      ['SELECT audit.prune(0, 5)'],
      { [retention]: 'kept', [owner]: 'kept', postgres: 'kept' },
    ],
    [
      'prune with a floor below the law',
      ['SELECT audit.prune(0, 4)'],
      { [retention]: 'kept', [owner]: 'kept', postgres: 'kept' },
    ],
    [
      'append',
      [`SELECT audit.append('w', 9000000, ARRAY[sha256('')], ARRAY[''])`],
      { [app]: 'behind', [owner]: 'behind', postgres: 'behind' },
    ],
    [
      'SELECT bodies',
      ['SELECT body FROM audit.entry LIMIT 1'],
      { [app]: 'allowed', [officer]: 'allowed', [owner]: 'allowed', postgres: 'allowed' },
    ],
  ];

  test.each(matrix)('%s', async (_, statements, expected) => {
    const outcomes: Record<string, Outcome> = {};
    for (const role of everybody) outcomes[role] = await attempt(role, ...statements);
    expect(outcomes).toEqual({ ...denied, ...expected });
  });
});

describe('the rest of the schema', () => {
  test('who may read what', async () => {
    const reads = async (role: string): Promise<Outcome[]> => {
      const outcomes: Outcome[] = [];
      for (const table of [
        ...['leaf', 'entry', 'batch', 'node', 'checkpoint', 'cosignature'],
        ...['entry_000000', 'entry_000001'],
      ])
        outcomes.push(await attempt(role, `SELECT FROM audit.${table} LIMIT 1`));
      return outcomes;
    };
    const expected = [...Array<Outcome>(6).fill('allowed'), 'denied', 'denied'];
    expect(await reads(app)).toEqual(expected);
    expect(await reads(officer)).toEqual(expected);
    expect(new Set(await reads(retention))).toEqual(new Set(['denied']));
  });

  test('only the application appends, and nobody else calls what the append is made of', async () => {
    const append = `SELECT audit.append('w', 0, ARRAY[sha256('')], ARRAY[''])`;
    for (const role of [officer, retention, 'pg_monitor', 'pg_read_all_data', 'pg_write_all_data'])
      expect([role, await attempt(role, append)]).toEqual([role, 'denied']);
    for (const call of [
      'add_partitions(5)',
      'make_room(0, 1)',
      `guard_truncate('leaf')`,
      `facts_of('{}')`,
      'has_partitions(0)',
    ])
      expect([call, await attempt(app, `SELECT audit.${call}`)]).toEqual([call, 'denied']);
  });

  test('only the application keeps checkpoints and cosignatures', async () => {
    for (const keep of [
      `SELECT audit.keep_checkpoint(10, 'x')`,
      `SELECT audit.keep_cosignature(10, 'w+00000000', 'x')`,
    ]) {
      for (const role of [officer, retention, 'pg_monitor', 'pg_read_all_data', 'pg_write_all_data'])
        expect([role, await attempt(role, keep)]).toEqual([role, 'denied']);
    }
    expect(await attempt(app, `SELECT audit.keep_checkpoint(10, E'o\n10\nother\n\n')`)).toBe('allowed');
  });

  test('nobody makes anything in the schema', async () => {
    for (const role of [app, officer, retention])
      for (const statement of [
        'CREATE TABLE audit.x ()',
        'CREATE FUNCTION audit.x() RETURNS int LANGUAGE sql RETURN 1',
        'DROP FUNCTION audit.append(text, bigint, bytea[], text[])',
        'DROP SCHEMA audit CASCADE',
        `ALTER FUNCTION audit.append(text, bigint, bytea[], text[]) SECURITY INVOKER`,
      ])
        expect([role, statement, await attempt(role, statement)]).toEqual([role, statement, 'denied']);
  });

  test('the search columns cannot be set apart from the body, not even with the triggers off', async () => {
    const off = 'ALTER TABLE audit.entry DISABLE TRIGGER USER';
    expect(await attempt('postgres', off, `UPDATE audit.entry SET facts = facts`)).toBe('generated');
    expect(
      await attempt(
        'postgres',
        `INSERT INTO audit.entry (seq, salt, body, facts) SELECT 5, salt, body, facts FROM audit.entry LIMIT 1`,
      ),
    ).toBe('generated');
  });
});

test('the owner cannot be become by who serves, and is no login', async () => {
  const client = await database.connect('app');
  for (const role of [owner, retention, 'callvault_owner', 'postgres'])
    await expect(client.query(`SET ROLE ${role}`)).rejects.toMatchObject({ code: '42501' });
  const { rows } = await superuser.query(
    `SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname LIKE 'callvault\\_%\\_callvault'`,
  );
  expect(rows.every(({ rolcanlogin, rolsuper }) => !rolcanlogin && !rolsuper)).toBe(true);
  expect(rows).toHaveLength(4);
});
