import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAssignmentTable } from '../../src/storage/assignment-table.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { objectKeyOf } from '../../src/storage/object-key.ts';
import { createRecordingTable } from '../../src/storage/recording-table.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

/**
 * No query may read a whole table when there are millions of rows. Sequential scans are priced out of reach here, so a plan
 * that still has one has no index to use; and the plans are those of a filled, analysed table.
 */
const ROWS = 60_000;
const ORGANISATION = '00000000-0000-4000-8000-000000000001';
const SOURCE = '00000000-0000-4000-8000-000000000002';
const UNITS = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'];

let db: TestDatabase;
let database: Database;
let owner: pg.Client;

const fill = async (): Promise<void> => {
  await owner.query(`INSERT INTO organisation (id, name) VALUES ('${ORGANISATION}', 'Region')`);
  for (const [n, unit] of UNITS.entries())
    await owner.query(
      `INSERT INTO care_unit (id, organisation_id, name) VALUES ('${unit}', '${ORGANISATION}', 'Unit ${n}')`,
    );
  await owner.query(
    `INSERT INTO source (id, organisation_id, name, client_id, client_secret_hash, api_key_hash, retention_class, legal_basis)
     VALUES ('${SOURCE}', '${ORGANISATION}', 'PBX', 'client', sha256('1'), sha256('2'), 'quality', 'public_task')`,
  );
  await owner.query(
    `INSERT INTO recording (id, organisation_id, unit_id, source_id, status, intent_id, generation, started_at, touched_at,
       announcement, legal_basis, retention_class, call_id_index, caller_index, plain_bytes, sealed_bytes, sealed_sha256, header,
       key_commitment, wrap_provider, wrap_key_id, wrap_version, wrapped_key, media_type, digest_mac, facts_sealed, stored_at, stored_seq)
     SELECT gen_random_uuid(), '${ORGANISATION}', CASE WHEN n % 50 = 0 THEN '${UNITS[1]}'::uuid ELSE '${UNITS[0]}'::uuid END,
            '${SOURCE}', 'stored', gen_random_uuid(), gen_random_uuid(), now() - n * interval '1 minute', now(),
            'v1', 'public_task', 'quality', substring(sha256(('c' || n)::bytea) FOR 16), substring(sha256(('p' || n % 5000)::bytea) FOR 16), 100, 156,
            sha256('x'), decode(repeat('28', 40), 'hex'), sha256('k'), 'keyring', 'a', 1, '\\x00', 'audio/wav', sha256('d'), '\\x00', now(), n
       FROM generate_series(1, ${ROWS}) AS n`,
  );
  await owner.query('ANALYZE');
};

/** Runs the table's own function and explains the statements it sent, with their own parameters. */
const plansOf = async (act: () => Promise<unknown>): Promise<string[]> => {
  const sent: { text: string; values: unknown[] }[] = [];
  const query = pg.Client.prototype.query as (...asked: unknown[]) => unknown;
  pg.Client.prototype.query = function (this: pg.Client, ...asked: unknown[]) {
    const config = asked[0] as { text?: string; values?: unknown[] };
    if (typeof config.text === 'string')
      sent.push({ text: config.text, values: config.values ?? (Array.isArray(asked[1]) ? asked[1] : []) });
    return query.apply(this, asked);
  } as typeof pg.Client.prototype.query;
  try {
    await act();
  } finally {
    pg.Client.prototype.query = query as typeof pg.Client.prototype.query;
  }
  const plans: string[] = [];
  for (const { text, values } of sent.filter((one) => /recording/i.test(one.text))) {
    const { rows } = await owner.query<{ 'QUERY PLAN': string }>({ text: `EXPLAIN ${text}`, values });
    plans.push(rows.map((line) => line['QUERY PLAN']).join('\n'));
  }
  expect(plans.length).toBeGreaterThan(0);
  return plans;
};

beforeAll(async () => {
  db = await startTestDatabase();
  owner = await db.connect('owner');
  await fill();
  await owner.query("SET enable_seqscan = off; SET statement_timeout = '60s'");
  database = await openDatabase(db.app);
});
afterAll(async () => {
  await database?.close();
  await db?.close();
});

const criteria = {
  organisation: ORGANISATION,
  units: UNITS,
  from: null,
  to: null,
  direction: null,
  indexes: [],
  after: null,
  limit: 51,
};

describe('queries on many recordings', () => {
  test.each([
    ['the newest of some care units', criteria, /Index Scan using recording_unit_newest/],
    [
      'a page further on',
      { ...criteria, after: { startedAt: new Date(), id: ORGANISATION } },
      /Index Scan using recording_unit_newest/,
    ],
    [
      'a span of time',
      { ...criteria, from: new Date(Date.now() - 86_400_000), to: new Date() },
      /Index Scan using recording_unit_newest/,
    ],
    ['a direction', { ...criteria, direction: 'internal' }, /Index Scan using recording_direction/],
    [
      'a queue that is busy in other care units',
      {
        ...criteria,
        direction: 'inbound',
        indexes: [
          { name: 'queue' as const, values: [Buffer.alloc(16, 1)] },
          { name: 'agent' as const, values: [Buffer.alloc(16, 1)] },
        ],
      },
      /recording_by_agent/,
    ],
    [
      'a caller',
      { ...criteria, indexes: [{ name: 'caller' as const, values: [Buffer.alloc(16, 1)] }] },
      /recording_by_caller/,
    ],
    [
      'a call id under two key versions',
      {
        ...criteria,
        indexes: [{ name: 'callId' as const, values: [Buffer.alloc(16, 1), Buffer.alloc(16, 2)] }],
      },
      /recording_by_call_id/,
    ],
  ])('searching for %s uses an index and reads no more than it shows', async (_what, asked, index) => {
    const recordings = createRecordingTable(database);
    for (const plan of await plansOf(() => recordings.search(asked))) {
      expect(plan).not.toMatch(/Seq Scan on recording/);
      expect(plan).toMatch(/Index (Only )?Scan using|Bitmap Index Scan/);
      expect(plan).toMatch(index);
    }
  });

  test('a second delivery, the sweeper and one recording are found by index', async () => {
    const recordings = createRecordingTable(database);
    const plans = [
      ...(await plansOf(() => recordings.findByDelivery(SOURCE, [Buffer.alloc(16, 1)], 0))),
      ...(await plansOf(() => recordings.staleIntents(new Date()))),
      ...(await plansOf(() => recordings.unclaimed([objectKeyOf(ORGANISATION, SOURCE)]))),
      ...(await plansOf(() => recordings.find(ORGANISATION))),
    ];
    for (const plan of plans) expect(plan).not.toMatch(/Seq Scan on recording/);
  });

  test('the newest page of a small unit in a large organisation reads that unit alone', async () => {
    const recordings = createRecordingTable(database);
    const found = await recordings.search({ ...criteria, units: [UNITS[1] as string], limit: 10 });
    expect(found).toHaveLength(10);
    expect(found.every(({ unitId }) => unitId === UNITS[1])).toBe(true);
    const times = found.map(({ startedAt }) => startedAt.getTime());
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });
});

test('recordings of nobody and of a disabled unit are listed by index, a page at a time', async () => {
  await owner.query(`UPDATE care_unit SET disabled_at = now() WHERE id = '${UNITS[1]}'`);
  const assignments = createAssignmentTable(database.prisma);
  const after = await assignments.position(
    ORGANISATION,
    (await assignments.unassigned(ORGANISATION, { after: null, limit: 1 }))[0]?.id ?? '',
  );
  for (const position of [null, after]) {
    const asked = { after: position, limit: 11 };
    const [plan] = await plansOf(() => assignments.unassigned(ORGANISATION, asked));
    expect(plan).not.toMatch(/Seq Scan on recording/);
    expect(plan).toMatch(/Index Scan using recording_of_nobody/);
    expect(plan).toMatch(/Index Scan using recording_unit_newest/);
    const found = await assignments.unassigned(ORGANISATION, asked);
    expect(found.map(({ unitId }) => unitId)).toEqual(Array.from({ length: 11 }, () => UNITS[1]));
  }
});
