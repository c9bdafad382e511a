import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CallRow, type CallTable, createCallTable } from '../../src/storage/call-table.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { createRecordingTable } from '../../src/storage/recording-table.ts';
import {
  createWebhookMessageTable,
  type WebhookMessageTable,
} from '../../src/storage/webhook-message-table.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

/** What becomes true and who is to be told of it are one statement: whoever is killed leaves both or neither. */
const [organisation, source] = [randomUUID(), randomUUID()];
let db: TestDatabase;
let database: Database;
let app: pg.Client;
let calls: CallTable;
let messages: WebhookMessageTable;
let webhook: string;

beforeAll(async () => {
  db = await startTestDatabase();
  app = await db.connect('app');
  database = await openDatabase(db.app);
  calls = createCallTable(database.pool);
  messages = createWebhookMessageTable(database.pool);
  await app.query('INSERT INTO organisation (id, name) VALUES ($1, $2)', [organisation, 'Region']);
  await app.query(
    `INSERT INTO source (id, organisation_id, name, client_id, client_secret_hash, api_key_hash, retention_class, legal_basis)
     VALUES ($1, $2, 'PBX', 'client', sha256('1'), sha256('2'), 'quality', 'public_task')`,
    [source, organisation],
  );
});
afterAll(async () => {
  await database?.close();
  await db?.close();
});
beforeEach(async () => {
  await app.query('UPDATE webhook SET disabled_at = now()');
  await app.query('DELETE FROM webhook_message');
  await app.query('DELETE FROM announced_call');
  webhook = randomUUID();
  await app.query(
    `INSERT INTO webhook (id, organisation_id, url, events, secret_salt, secret_version)
     VALUES ($1, $2, 'https://example.org/', ARRAY['recording.stored', 'recording.missing'], $3, 1)`,
    [webhook, organisation, randomBytes(16)],
  );
});

const told = async (): Promise<{ type: string; data: Record<string, unknown> }[]> =>
  (await app.query('SELECT payload FROM webhook_message ORDER BY created_at, id')).rows.map(
    ({ payload }) => payload,
  );

const NOW = Date.now();
const HOUR = 3_600_000;
const at = (ms: number): Date => new Date(NOW + ms);
const call = (about: Partial<CallRow> = {}): CallRow => ({
  ...{ id: randomUUID(), callIdIndex: randomBytes(16), callerIndex: null, calledIndex: null },
  ...{ factsSealed: randomBytes(40), saysNumbers: true, direction: null, reason: null, expectedMs: null },
  ...{ startedAt: at(-2 * HOUR), endedAt: null, overAt: at(-HOUR), expected: true, isLeg: false },
  ...about,
});
const announce = (...rows: CallRow[]) => calls.announce({ organisation, source }, rows, at(0));

const sealed = async (callIdIndex = randomBytes(16)): Promise<string> => {
  const id = randomUUID();
  await app.query(
    `INSERT INTO recording (id, organisation_id, source_id, status, intent_id, generation, started_at, announcement, legal_basis,
       retention_class, call_id_index, facts_sealed, digest_mac, plain_bytes, sealed_bytes, sealed_sha256, header, key_commitment,
       wrap_provider, wrap_key_id, wrap_version, wrapped_key)
     VALUES ($1, $2, $3, 'sealed', gen_random_uuid(), gen_random_uuid(), now(), 'v1', 'public_task', 'quality', $4, '\\x00', '\\x00',
       1, 2, '\\x00', '\\x00', '\\x00', 'file', 'k', 1, '\\x00')`,
    [id, organisation, source, callIdIndex],
  );
  return id;
};

test('a recording that becomes stored is told once, however often it is completed, and by whomever', async () => {
  const recordings = createRecordingTable(database);
  const id = await sealed();
  expect(await told()).toEqual([]);
  await Promise.all([1, 2, 3].map(() => recordings.store(id, 7, at(0))));
  await recordings.store(id, 7, at(0));
  expect(await told()).toMatchObject([{ type: 'recording.stored', data: { recording: id } }]);
});

test('a missing call is told once by two who look at once, and never becomes missing when its recording is here', async () => {
  const recordings = createRecordingTable(database);
  const index = randomBytes(16);
  await recordings.store(await sealed(index), 1, at(0));
  await app.query('DELETE FROM webhook_message');
  const gone = call();
  await announce(gone, call({ callIdIndex: index }), call({ expected: false }), call({ overAt: at(HOUR) }));
  const rounds = await Promise.all([1, 2, 3].map(() => calls.settle(at(0), at(0))));
  expect(rounds.reduce((sum, { settled }) => sum + settled, 0)).toBe(3);
  expect(await told()).toMatchObject([{ type: 'recording.missing', data: { call: gone.id, source } }]);
  expect(await calls.settle(at(0), at(0))).toEqual({ settled: 0, missing: 0 });
});

test('a call that is announced again keeps its id and what is sealed under it; one that is expected after all is waited for', async () => {
  const first = call({ expected: false, endedAt: at(-HOUR) });
  await announce(first);
  await calls.settle(at(0), at(0));
  const other = call({ callIdIndex: first.callIdIndex, endedAt: null, overAt: at(3 * HOUR) });
  expect(await announce(other)).toEqual([{ id: first.id, callIdIndex: first.callIdIndex }]);
  const { rows } = await app.query('SELECT * FROM announced_call');
  expect(rows).toHaveLength(1);
  expect(rows[0]).toMatchObject({
    facts_sealed: first.factsSealed,
    ended_at: at(-HOUR),
    over_at: at(-HOUR),
    state: 'open',
  });
  // Of the row's own id, newer facts count, unless they say less.
  const facts = randomBytes(40);
  await announce({ ...first, factsSealed: facts });
  await announce({ ...first, factsSealed: randomBytes(40), saysNumbers: false });
  expect((await app.query('SELECT facts_sealed FROM announced_call')).rows).toEqual([
    { facts_sealed: facts },
  ]);
});

describe('legs of one call, from two tables', () => {
  const leg = (about: Partial<CallRow> = {}): Partial<CallRow> => ({
    ...{ isLeg: true, startedAt: at(-HOUR), overAt: at(-HOUR + 60_000), expectedMs: 60_000 },
    ...about,
  });
  const rang = leg({ expected: false, reason: 'not_answered', expectedMs: 0, overAt: at(-HOUR) });
  const transferred = leg({ startedAt: at(-HOUR + 50_000), overAt: at(-HOUR + 55_000), expectedMs: 5000 });
  const said = leg({ isLeg: false, expected: false, reason: 'caller_declined', expectedMs: null });
  const begun = leg({ isLeg: false, expectedMs: null, overAt: at(3 * HOUR) });
  const ended = leg({ isLeg: false, expectedMs: 30_000, overAt: at(-HOUR + 30_000) });
  const answered = {
    started_at: at(-HOUR),
    over_at: at(-HOUR + 60_000),
    expected: true,
    expected_ms: 60_000,
  };

  test.each<[string, Partial<CallRow>[], object]>([
    ['answered, then not', [leg(), rang], answered],
    ['not answered, then so', [rang, leg()], answered],
    ['the longer first', [leg(), transferred], answered],
    ['the longer last', [transferred, leg()], answered],
    ['the same table again', [leg(), rang, leg(), rang], answered],
    ['declined, then its records', [said, leg()], { expected: false, reason: 'caller_declined' }],
    ['its records, then declined', [leg(), said], { expected: false, reason: 'caller_declined' }],
    ['announced when it began, then its records', [begun, leg()], answered],
    ['its records, then a correction', [leg(), ended], { expected: true, expected_ms: 30_000 }],
    ['not answered twice', [rang, rang], { expected: false, reason: 'not_answered' }],
  ])('%s', async (_what, words, kept) => {
    const callIdIndex = randomBytes(16);
    for (const word of words) await announce(call({ ...word, callIdIndex }));
    const { rows } = await app.query('SELECT * FROM announced_call');
    expect(rows).toMatchObject([kept]);
  });

  test('one that was settled as unanswered is waited for once a leg of it was answered', async () => {
    const callIdIndex = randomBytes(16);
    await announce(call({ ...rang, callIdIndex }));
    expect(await calls.settle(at(0), at(0))).toEqual({ settled: 1, missing: 0 });
    await announce(call({ ...leg(), callIdIndex }));
    await announce(call({ ...rang, callIdIndex }));
    expect(await calls.settle(at(0), at(0))).toEqual({ settled: 1, missing: 1 });
  });
});

test('old calls are erased, and no younger one', async () => {
  await announce(call({ startedAt: at(-3 * HOUR) }), call({ startedAt: at(-2 * HOUR) }));
  expect(await calls.forget(at(-2.5 * HOUR))).toBe(1);
  expect(await calls.forget(at(-2.5 * HOUR))).toBe(0);
});

test('a message is claimed by one process, waits while its receiver rests, and goes on after a lease', async () => {
  for (let n = 0; n < 7; n += 1) await announce(call());
  await calls.settle(at(0), at(0));
  const claim = (when: number, busy: string[] = []) =>
    messages.claim({ at: at(when), until: at(when + 60_000), each: 5, busy, receivers: 8 });
  const [one, two] = await Promise.all([claim(1), claim(1)]);
  const ids = [...(one ?? []), ...(two ?? [])].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(await claim(2, [webhook])).toEqual([]);
  await claim(2);
  expect(await claim(3)).toEqual([]);
  // Killed: when the lease is over, all seven come back.
  expect(await claim(70_000)).toHaveLength(5);
  const [first] = (await claim(70_001)) as { id: string; webhook: string }[];
  const failure = { next: at(71_000), resume: at(100_000), fault: 'timeout' };
  await messages.failed(first as { id: string; webhook: string }, failure);
  expect(await claim(99_999)).toEqual([]);
  expect((await claim(100_001)).map(({ id }) => id)).toEqual([first?.id]);
});

test('whoever comes second while the first is still at it takes nothing of it, and does not wait', async () => {
  await announce(call(), call());
  const slow = app as unknown as pg.Pool;
  await app.query('BEGIN');
  expect(await createCallTable(slow).settle(at(0), at(0))).toEqual({ settled: 2, missing: 2 });
  expect(await calls.settle(at(0), at(0))).toEqual({ settled: 0, missing: 0 });
  await app.query('COMMIT');
  expect(await calls.settle(at(0), at(0))).toEqual({ settled: 0, missing: 0 });
  expect(await told()).toHaveLength(2);
  const asked = { at: at(1), until: at(60_000), each: 5, busy: [], receivers: 8 };
  await app.query('BEGIN');
  expect(await createWebhookMessageTable(slow).claim(asked)).toHaveLength(2);
  expect(await messages.claim(asked)).toEqual([]);
  await app.query('COMMIT');
  expect(await messages.claim(asked)).toEqual([]);
});

test.each([
  'UPDATE announced_call SET source_id = source_id',
  'UPDATE announced_call SET call_id_index = call_id_index',
  'UPDATE webhook SET organisation_id = organisation_id',
  'UPDATE webhook_message SET payload = payload',
  'DELETE FROM webhook',
  `INSERT INTO announced_call (id, organisation_id, source_id, call_id_index, facts_sealed, started_at, over_at, expected, reason)
   SELECT gen_random_uuid(), organisation_id, id, sha256('x'), 'x', now(), now(), false, '0701740605' FROM source`,
])('the application may not %s', async (statement) => {
  await expect(app.query(statement)).rejects.toMatchObject({ code: expect.stringMatching(/^(42501|23)/) });
});
