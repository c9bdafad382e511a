import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyLive } from '../../../src/audit/live-verify.ts';
import { assertGuarded, findGuardFaults } from '../../../src/audit/log-guards.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, verdictOf } from '../../support/audit-writers.ts';
import { guardsOff, guardsOn } from '../../support/guards.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/**
 * What a superuser can do around the rows of the log, without touching one: what hides entries from whoever asks, or switches
 * off what refuses changes.
 */
let database: TestDatabase;
let copies = 0;

/** In every index but the installation's, and in that one. */
const [HIDDEN, OF_NOBODY] = [30, 31] as const;

beforeAll(async () => {
  database = await startTestDatabase();
  const writers = createTestWriters(database);
  const writer = writers.open({ batchEvents: 9 });
  for (let seq = 0; seq < 55; seq += 1)
    await writer.append(
      freshEvent(
        seq === HIDDEN
          ? { action: 'recording.erased', outcome: 'failed', purpose: 'quality' }
          : seq === OF_NOBODY
            ? { organisation: null, unit: null }
            : {},
      ),
    );
  await writers.close();
});
afterAll(() => database.close());

type Copy = { readonly as: (role: 'app' | 'superuser') => pg.ClientConfig; readonly superuser: pg.Client };

/** A copy of the log in a database of its own. */
const withCopy = async <T>(use: (copy: Copy) => Promise<T>): Promise<T> => {
  copies += 1;
  const name = `copy_${copies}`;
  const admin = new pg.Client({ ...database.superuser, database: 'postgres' });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name} TEMPLATE callvault`);
  const as = (role: 'app' | 'superuser') => ({ ...database[role], database: name });
  const superuser = new pg.Client(as('superuser'));
  await superuser.connect();
  try {
    return await use({ as, superuser });
  } finally {
    await superuser.end();
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  }
};

const verdictAs = ({ as }: Copy, role: 'app' | 'superuser' = 'app') =>
  verifyLive({ postgres: { ...database[role], ...as(role) } as typeof database.app });

test('a migrated database is as this release makes it: the list in core/audit/log-guards.ts', async () => {
  // Whoever stays connected keeps the others from copying it.
  const app = new pg.Client(database.app);
  await app.connect();
  expect(await findGuardFaults(app)).toEqual([]);
  await assertGuarded(app);
  await app.end();
  expect(await verdictOf(database)).toMatchObject({ ok: true, size: 55 });
});

test('so are partitions that are added, and those left when one was removed', () =>
  withCopy(async ({ superuser }) => {
    await superuser.query(
      'SET ROLE callvault_audit_owner_callvault; SELECT audit.add_partitions(1); RESET ROLE',
    );
    expect(await findGuardFaults(superuser)).toEqual([]);
    await superuser.query('DROP TABLE audit.entry_000000');
    expect(await findGuardFaults(superuser)).toEqual([]);
  }));

test('an index that is being built anew, which PostgreSQL does not use yet, is nobody’s attack', () =>
  withCopy(async ({ superuser }) => {
    await superuser.query('REINDEX INDEX CONCURRENTLY audit.leaf_pkey');
    await superuser.query('CREATE INDEX leaf_pkey_ccnew ON audit.leaf (seq)');
    await superuser.query(
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit.leaf_pkey_ccnew'::regclass`,
    );
    expect(await findGuardFaults(superuser)).toEqual([]);
  }));

const invalid = `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit.leaf_event_id_key'::regclass`;

const inCatalogue = (table: string, change: string): readonly string[] => [
  `UPDATE pg_class SET ${change} WHERE oid = 'audit.${table}'::regclass`,
];

const attacks: readonly [what: string, statements: readonly string[], found: RegExp][] = [
  [
    'a policy on the parent of all bodies',
    [
      'ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY',
      `CREATE POLICY hide ON audit.entry FOR SELECT USING (seq <> 30 OR current_query() !~ 'recording|actor')`,
    ],
    /Policy hide of audit\.entry does not belong there/,
  ],
  [
    'a policy that waits for row security',
    ['CREATE POLICY hide ON audit.leaf FOR SELECT USING (seq <> 30)'],
    /Policy hide of audit\.leaf/,
  ],
  [
    'row security on a partition',
    ['ALTER TABLE audit.entry_000000 ENABLE ROW LEVEL SECURITY'],
    /Row security of audit\.entry_000000/,
  ],
  [
    'row security forced',
    ['ALTER TABLE audit.batch FORCE ROW LEVEL SECURITY'],
    /Row security of audit\.batch/,
  ],
  ...['refuse_truncate ON leaf', 'refuse_change ON node', 'refuse_change ON checkpoint'].map(
    (one): [string, readonly string[], RegExp] => {
      const [trigger, table] = one.split(' ON ');
      return [
        `${trigger} switched off on ${table}`,
        [`ALTER TABLE audit.${table} DISABLE TRIGGER ${trigger}`],
        new RegExp(`Trigger ${trigger} of audit\\.${table} does not always fire`),
      ];
    },
  ),
  [
    'a guard switched off on one partition',
    ['ALTER TABLE audit.batch_000000 DISABLE TRIGGER refuse_truncate'],
    /Trigger refuse_truncate of audit\.batch_000000 does not always fire/,
  ],
  [
    'a guard that sleeps in replication mode',
    ['ALTER TABLE audit.leaf ENABLE TRIGGER refuse_change'],
    /Trigger refuse_change of audit\.leaf does not always fire/,
  ],
  ...['leaf', 'entry', 'entry_000000', 'batch_000000', 'checkpoint'].map(
    (table): [string, readonly string[], RegExp] => [
      `${table} made to look as if it had no guards`,
      inCatalogue(table, 'relhastriggers = false'),
      new RegExp(`Trigger refuse_change of audit\\.${table} does not always fire`),
    ],
  ),
  ...['relrowsecurity', 'relforcerowsecurity'].map((column): [string, readonly string[], RegExp] => [
    `${column} set in the catalogue itself`,
    inCatalogue('entry_000000', `${column} = true`),
    /Row security of audit\.entry_000000 does not belong there/,
  ]),
  [
    'node made to look as if it had no indexes',
    inCatalogue('node', 'relhasindex = false'),
    /Index node_pkey of audit\.node is another/,
  ],
  [
    'node made to look as if it had no checks',
    inCatalogue('node', 'relchecks = 0'),
    /Constraint node_level_check of audit\.node is another/,
  ],
  ...['entry.entry_is_whole', 'batch.batch_check', 'leaf.leaf_seq_check', 'node.node_level_check'].map(
    (one): [string, readonly string[], RegExp] => {
      const [table = '', name = ''] = one.split('.');
      const partition = ['entry', 'batch'].includes(table) ? `_000000` : '';
      return [
        `the check ${name} removed`,
        [`ALTER TABLE audit.${table} DROP CONSTRAINT ${name}`],
        new RegExp(`Constraint ${name} of audit\\.${table}${partition} is missing`),
      ];
    },
  ),
  [
    'a check removed from one partition in the catalogue itself',
    [
      `DELETE FROM pg_constraint WHERE conname = 'entry_is_whole' AND conrelid = 'audit.entry_000000'::regclass`,
      ...inCatalogue('entry_000000', 'relchecks = relchecks - 1'),
    ],
    /Constraint entry_is_whole of audit\.entry_000000 is missing/,
  ],
  [
    'a check of the same name that lets everything pass',
    [
      'ALTER TABLE audit.checkpoint DROP CONSTRAINT checkpoint_check',
      'ALTER TABLE audit.checkpoint ADD CONSTRAINT checkpoint_check CHECK (size > 0)',
    ],
    /Constraint checkpoint_check of audit\.checkpoint is another/,
  ],
  [
    'a check that the rows there were never held to',
    [
      'ALTER TABLE audit.cosignature DROP CONSTRAINT cosignature_size_check',
      'ALTER TABLE audit.cosignature ADD CONSTRAINT cosignature_size_check CHECK (size > 0) NOT VALID',
    ],
    /Constraint cosignature_size_check of audit\.cosignature is another/,
  ],
  [
    'a check of somebody’s own, which stops the log',
    ['ALTER TABLE audit.leaf ADD CONSTRAINT mine CHECK (seq < 1000)'],
    /Constraint mine of audit\.leaf does not belong there/,
  ],
  [
    'a guard removed',
    ['DROP TRIGGER refuse_truncate ON audit.cosignature'],
    /Trigger refuse_truncate of audit\.cosignature is missing/,
  ],
  [
    'a guard of the same name that lets some rows pass',
    [
      'DROP TRIGGER refuse_change ON audit.node',
      'CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.node FOR EACH ROW WHEN (OLD.index <> 3) EXECUTE FUNCTION audit.refuse()',
      'ALTER TABLE audit.node ENABLE ALWAYS TRIGGER refuse_change',
    ],
    /Trigger refuse_change of audit\.node is another/,
  ],
  [
    'the guard’s function made to refuse nothing',
    [
      `CREATE OR REPLACE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN coalesce(NEW, OLD); END'`,
    ],
    /Function refuse\(\) is another/,
  ],
  [
    'a trigger of somebody’s own',
    ['CREATE TRIGGER mine BEFORE INSERT ON audit.leaf FOR EACH ROW EXECUTE FUNCTION audit.refuse()'],
    /Trigger mine of audit\.leaf does not belong there/,
  ],
  [
    'a rule',
    ['CREATE RULE nothing AS ON DELETE TO audit.leaf DO INSTEAD NOTHING'],
    /Rule nothing of audit\.leaf does not belong there/,
  ],
  [
    'a view in the place of a table',
    [
      'ALTER TABLE audit.node RENAME TO real_node',
      'CREATE VIEW audit.node AS SELECT * FROM audit.real_node WHERE index <> 3',
      'GRANT SELECT ON audit.node TO PUBLIC',
    ],
    /Table of audit\.node is another/,
  ],
  [
    'a table whose rows count as the log’s',
    ['CREATE TABLE public.more () INHERITS (audit.leaf)'],
    /Child more of audit\.leaf does not belong there/,
  ],
  [
    'an index removed',
    ['DROP INDEX audit.entry_recording'],
    /Index entry_recording of audit\.entry is missing/,
  ],
  [
    'an index that leaves one entry out',
    [
      'DROP INDEX audit.entry_recording',
      'CREATE INDEX entry_recording ON audit.entry (((facts).recording), ((facts).at), seq) WHERE seq <> 30',
    ],
    /Index entry_recording of audit\.entry is another/,
  ],
  ['an index that is not used', [invalid], /Index leaf_event_id_key of audit\.leaf is another/],
  [
    'an index of somebody’s own',
    ['CREATE INDEX mine ON audit.entry_000000 (((facts).recording)) WHERE seq <> 30'],
    /Index mine of audit\.entry_000000 does not belong there/,
  ],
  [
    'what entries are found by, cut loose from their bodies',
    ['ALTER TABLE audit.entry ALTER COLUMN facts DROP EXPRESSION'],
    /Columns of audit\.entry_000000 is another/,
  ],
  [
    'the function that appends, another',
    [
      `CREATE OR REPLACE FUNCTION audit.oldest_bodies() RETURNS bigint LANGUAGE sql STABLE RETURN 0`,
      `CREATE FUNCTION audit.append(writer text) RETURNS void LANGUAGE sql AS 'SELECT'`,
    ],
    /Function oldest_bodies\(\) is another.*Function append\(text\) does not belong there/s,
  ],
];

describe('H-5 what was done around the rows is found, and stops the start', () => {
  test.each(attacks)('%s', (_what, statements, found) =>
    withCopy(async (copy) => {
      for (const statement of statements) await copy.superuser.query(statement);
      const { ok, faults } = await verdictAs(copy);
      const told = faults.filter(({ kind }) => kind === 'guard').map(({ message }) => message);
      expect({ ok, told: told.join('\n') }).toEqual({ ok: false, told: expect.stringMatching(found) });
      const app = new pg.Client(copy.as('app'));
      await app.connect();
      await expect(assertGuarded(app)).rejects.toMatchObject({
        code: 'integrity_failure',
        message: expect.stringMatching(found),
      });
      await app.end();
    }),
  );

  test('names with control characters do not reach a terminal', () =>
    withCopy(async ({ superuser }) => {
      await superuser.query('CREATE TABLE audit."\u001b[2J\u202eok" ()');
      expect((await findGuardFaults(superuser))[0]).toMatch(/^Relation audit\.\ufffd\[2J\ufffdok does not/);
    }));
});

const searchIndexes = [
  ...[
    'organisation',
    'actor',
    'recording',
    'subject',
    'unit',
    'action',
    'outcome',
    'purpose',
    'installation',
  ],
].map((name) => [`entry_${name}`, name === 'installation' ? OF_NOBODY : HIDDEN] as const);

/** The index anew, without one entry or with it under another key, and a catalogue that says it were as ever. */
const lie = async (superuser: pg.Client, name: string, spoilt: (definition: string) => string) => {
  const definition: string = (
    await superuser.query(`SELECT pg_get_indexdef('audit.${name}'::regclass) AS definition`)
  ).rows[0].definition;
  await superuser.query(`DROP INDEX audit.${name}`);
  await superuser.query(definition);
  await superuser.query(
    spoilt(definition)
      .replace(/ INDEX \S+ /, ' INDEX spoilt ')
      .replace('ONLY audit.entry ', 'audit.entry_000000 '),
  );
  await superuser.query(
    `UPDATE pg_index s SET indpred = p.indpred, indexprs = p.indexprs FROM pg_index p
      WHERE s.indexrelid = 'audit.spoilt'::regclass AND p.indexrelid = 'audit.${name}'::regclass`,
  );
  await superuser.query(`ALTER INDEX audit.${name} ATTACH PARTITION audit.spoilt`);
};

describe('H-5 an index that keeps an entry from who searches, though the catalogue says nothing', () => {
  test.each(searchIndexes)('%s without it', (name, seq) =>
    withCopy(async (copy) => {
      await lie(copy.superuser, name, (definition) =>
        definition.includes(' WHERE ')
          ? `${definition} AND seq <> ${seq}`
          : `${definition} WHERE seq <> ${seq}`,
      );
      const { ok, faults } = await verdictAs(copy);
      expect({ ok, faults }).toEqual({
        ok: false,
        faults: [{ kind: 'columns', index: seq, message: expect.stringContaining(name) }],
      });
    }),
  );

  test('with it, under the key of another', () =>
    withCopy(async (copy) => {
      const other = `CASE WHEN seq = ${HIDDEN} THEN gen.other ELSE (facts).recording END`;
      await copy.superuser.query(`CREATE FUNCTION public.other() RETURNS uuid LANGUAGE sql IMMUTABLE RETURN
        '00000000-0000-4000-8000-0000000000ff'::uuid`);
      await lie(copy.superuser, 'entry_recording', (definition) =>
        definition.replace('((facts).recording)', `(${other.replace('gen.other', 'public.other()')})`),
      );
      const { faults } = await verdictAs(copy);
      expect(faults).toMatchObject([{ kind: 'columns', index: HIDDEN }]);
    }));

  test('and row security that hides only what is searched for is found by both', () =>
    withCopy(async (copy) => {
      await copy.superuser.query('ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY');
      await copy.superuser.query(
        `CREATE POLICY hide ON audit.entry FOR SELECT USING (seq <> ${HIDDEN} OR current_query() !~ 'k0')`,
      );
      const kinds = new Set((await verdictAs(copy)).faults.map(({ kind }) => kind));
      expect([...kinds]).toEqual(['columns', 'guard']);
    }));
});

test('a careful superuser, who leaves every guard as it was, is found by the rows only', () =>
  withCopy(async (copy) => {
    await guardsOff(copy.superuser);
    await copy.superuser.query('DELETE FROM audit.entry WHERE seq = 7');
    await guardsOn(copy.superuser);
    expect((await verdictAs(copy)).faults).toMatchObject([{ kind: 'body', index: 7 }]);
  }));

test('when the database appended, and by which process, is not under the tree (docs/audit-log.md, 6)', () =>
  withCopy(async (copy) => {
    const before = await verdictAs(copy);
    await guardsOff(copy.superuser);
    const { rowCount } = await copy.superuser.query(
      `UPDATE audit.batch SET at = at - interval '9 years', writer = 'somebody'`,
    );
    await guardsOn(copy.superuser);
    expect(rowCount).toBeGreaterThan(0);
    expect(await verdictAs(copy)).toEqual(before);
    expect(before.ok).toBe(true);
  }));
