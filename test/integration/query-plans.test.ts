import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAssignmentTable } from '../../src/storage/assignment-table.ts';
import { createCallTable } from '../../src/storage/call-table.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { objectKeyOf } from '../../src/storage/object-key.ts';
import { createRadarTable } from '../../src/storage/radar-table.ts';
import { createRecordingFetchTable } from '../../src/storage/recording-fetch-table.ts';
import { createRecordingTable } from '../../src/storage/recording-table.ts';
import { createWebhookMessageTable } from '../../src/storage/webhook-message-table.ts';
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
    const config = (typeof asked[0] === 'string' ? { text: asked[0] } : asked[0]) as {
      text?: string;
      values?: unknown[];
    };
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
  for (const { text, values } of sent.filter((one) =>
    /recording|announced_call|webhook_message/i.test(one.text),
  )) {
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
    const at = new Date();
    const plans = [
      ...(await plansOf(() => recordings.findByDelivery(SOURCE, [Buffer.alloc(16, 1)], 0))),
      ...(await plansOf(() => recordings.staleIntents(new Date()))),
      ...(await plansOf(() => recordings.unclaimed([objectKeyOf(ORGANISATION, SOURCE)]))),
      ...(await plansOf(() => recordings.isUnderWay(objectKeyOf(ORGANISATION, SOURCE), { since: at, at }))),
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

describe('calls against recordings', () => {
  const DAY_MS = 86_400_000;
  const SMALL = '00000000-0000-4000-8000-000000000003';
  const whole = { from: new Date(Date.now() - 3 * DAY_MS), to: new Date(), before: new Date() };
  const asked = { ...whole, organisation: ORGANISATION, source: SOURCE, limit: 51 };

  beforeAll(async () => {
    await owner.query(
      `INSERT INTO announced_call (id, organisation_id, source_id, call_id_index, facts_sealed, started_at, over_at, expected, state)
       SELECT gen_random_uuid(), '${ORGANISATION}', '${SOURCE}', substring(sha256((CASE WHEN n % 100 = 0 THEN 'x' ELSE 'c' END || n)::bytea) FOR 16),
              '\\x00', now() - n * interval '1 minute', now() - n * interval '1 minute', true, CASE WHEN n < 20 THEN 'open' ELSE 'settled' END
         FROM generate_series(1, ${ROWS}) AS n`,
    );
    await owner.query(
      `INSERT INTO source SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object('id', '${SMALL}', 'client_id', 'small',
         'api_key_hash', '\\x' || encode(sha256('3'), 'hex'))) AS s FROM source s) s`,
    );
    await owner.query(
      `INSERT INTO recording SELECT (r).* FROM (
         SELECT jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'intent_id', gen_random_uuid(),
           'generation', gen_random_uuid(), 'source_id', '${SMALL}')) AS r FROM recording r ORDER BY random() LIMIT 1000) r`,
    );
    await owner.query('ANALYZE');
  });

  const inIndexes = (plan: string | undefined): void => {
    expect(plan).not.toMatch(/Seq Scan on (recording|announced_call|webhook_message)/);
    // Without a condition an index is read whole; as a subplan, a table is.
    expect(plan).not.toMatch(/Bitmap Index Scan on \S+ {2}\([^\n]*\n(?!\s+Index Cond)/);
    expect(plan).not.toMatch(/SubPlan/);
  };

  test('are counted by day without reading other days', async () => {
    const radar = createRadarTable(database.pool);
    const plans = await plansOf(() => radar.days(ORGANISATION, whole, whole.before));
    expect(plans).toHaveLength(2);
    for (const plan of plans) inIndexes(plan);
    expect(plans.join()).toMatch(/recording_of_call/);
    expect(plans.join()).toMatch(/announced_call_source_id_started_at_id_idx/);
  });

  test.each(['missing', 'short', 'unannounced', 'one_sided', 'silent', 'no_sound'] as const)(
    '%s are listed a page at a time',
    async (finding) => {
      const radar = createRadarTable(database.pool);
      for (const after of [null, { at: new Date(Date.now() - DAY_MS), id: ORGANISATION }])
        for (const source of [SOURCE, SMALL])
          for (const plan of await plansOf(() => radar.find({ ...asked, source, finding, after }))) {
            inIndexes(plan);
            if (source === SMALL && !/announced_call c /.test(plan))
              expect(plan).toMatch(/recording_of_source/);
          }
      if (finding === 'missing')
        expect(await radar.find({ ...asked, finding, after: null })).toHaveLength(43);
    },
  );

  test('a round of the sweeper finds the calls that are open, and those that are old, by index', async () => {
    const calls = createCallTable(database.pool);
    const messages = createWebhookMessageTable(database.pool);
    for (const plan of await plansOf(() => calls.settle(new Date(), new Date()))) {
      inIndexes(plan);
      expect(plan).toMatch(/announced_call_open/);
    }
    for (const plan of await plansOf(() => calls.forget(new Date(0)))) inIndexes(plan);
    const claim = { at: new Date(), until: new Date(), each: 5, busy: [], receivers: 8 };
    for (const plan of await plansOf(() => messages.claim(claim))) {
      inIndexes(plan);
      expect(plan).toMatch(/webhook_message_waiting/);
    }
    for (const plan of await plansOf(() => messages.dead(SOURCE, { after: null, limit: 10 })))
      inIndexes(plan);
    for (const plan of await plansOf(() => messages.forget(new Date(0)))) inIndexes(plan);
  });

  test('a recording that becomes stored finds its receivers by index', async () => {
    const recordings = createRecordingTable(database);
    for (const plan of await plansOf(() => recordings.store(ORGANISATION, 1, new Date()))) inIndexes(plan);
  });
});

test('of recordings that are still to be fetched only those are read that are due, or meant', async () => {
  await owner.query(
    `INSERT INTO recording_fetch (id, organisation_id, source_id, delivery_index, callback_sealed, created_at, next_at)
     SELECT gen_random_uuid(), '${ORGANISATION}', '${SOURCE}', substring(sha256(('f' || n)::bytea) FOR 16), '\\x00', now(),
            now() + n * interval '1 minute' FROM generate_series(1, ${ROWS}) AS n`,
  );
  await owner.query(
    `INSERT INTO twilio_account (source_id, account_sid, token_sealed, callback_url, delete_after)
     VALUES ('${SOURCE}', 'AC00', '\\x00', 'https://vault.example/', false)`,
  );
  await owner.query('ANALYZE');
  const fetches = createRecordingFetchTable(database.pool);
  const lease = { at: new Date(), until: new Date(), claim: ORGANISATION, pauses: [30_000] };
  for (const plan of await plansOf(() => fetches.claim({ ...lease, each: 2, busy: [], sources: 8 }))) {
    expect(plan).not.toMatch(/Seq Scan on recording_fetch/);
    expect(plan).toMatch(/recording_fetch_waiting/);
  }
  const one = {
    id: ORGANISATION,
    organisation: ORGANISATION,
    source: SOURCE,
    callbackSealed: Buffer.from('x'),
  };
  for (const plan of await plansOf(() =>
    fetches.remember({ ...one, deliveries: [Buffer.alloc(16), Buffer.alloc(16, 1)] }, lease),
  )) {
    expect(plan).not.toMatch(/Seq Scan on recording_fetch/);
    expect(plan).toMatch(/recording_fetch_source_id_delivery_index_key/);
  }
});
