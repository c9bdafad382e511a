import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { plantHead } from '../../support/planted-log.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

const PARTITION = 2 ** 20;

let database: TestDatabase;
let superuser: pg.Client;
let writers: ReturnType<typeof createTestWriters>;
beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  writers = createTestWriters(database);
});
afterEach(async () => {
  await writers.close();
  await database.close();
});

const partitions = async (): Promise<string[]> =>
  (
    await superuser.query(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits
        WHERE inhparent IN ('audit.entry'::regclass, 'audit.batch'::regclass) ORDER BY 1`,
    )
  ).rows.map(({ name }) => name);

const appendMany = (count: number) => {
  const writer = writers.open();
  return Promise.all(Array.from({ length: count }, () => writer.append(freshEvent())));
};

const first = ['audit.batch_000000', 'audit.entry_000000'];
const second = ['audit.batch_000000', 'audit.batch_000001', 'audit.entry_000000', 'audit.entry_000001'];

test('the next partition is made in the middle of the one before', async () => {
  await plantHead(superuser, PARTITION / 2 - 1);
  await appendMany(1);
  expect(await partitions()).toEqual(first);
  await appendMany(1);
  expect(await partitions()).toEqual(second);
});

test('a batch may begin in one partition and end in the next, up to the last node of both', async () => {
  await plantHead(superuser, PARTITION - 5);
  const receipts = await appendMany(20);
  expect(receipts.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, i) => PARTITION - 5 + i));
  const { rows } = await superuser.query(
    'SELECT tableoid::regclass::text AS name, count(*)::int FROM audit.entry GROUP BY 1 ORDER BY 1',
  );
  expect(rows).toEqual([
    { name: 'audit.entry_000000', count: 5 },
    { name: 'audit.entry_000001', count: 15 },
  ]);
  const nodes = await superuser.query('SELECT level, index::int FROM audit.node ORDER BY level');
  expect(nodes.rows).toEqual([
    { level: 8, index: 4095 },
    { level: 16, index: 15 },
  ]);
});

test('while somebody holds the parent, the log goes on in what it has', async () => {
  await plantHead(superuser, PARTITION / 2);
  const blocker = await database.connect('superuser');
  await blocker.query('BEGIN; LOCK TABLE audit.entry IN SHARE UPDATE EXCLUSIVE MODE');
  await appendMany(3);
  expect(await partitions()).toEqual(first);
  await blocker.query('COMMIT');
  await appendMany(1);
  expect(await partitions()).toEqual(second);
});

test('at the very edge there is nothing to go on in: refused, nothing half made, and well again afterwards', async () => {
  await plantHead(superuser, PARTITION);
  const blocker = await database.connect('superuser');
  await blocker.query('BEGIN; LOCK TABLE audit.entry IN SHARE UPDATE EXCLUSIVE MODE');
  await expect(appendMany(1)).rejects.toMatchObject({ code: 'log_unavailable' });
  await blocker.query('COMMIT');
  expect(await partitions()).toEqual(first);
  expect((await appendMany(1))[0]).toMatchObject({ seq: PARTITION });
  expect(await partitions()).toEqual(second);
});

test('a reader in a long transaction does not keep the next partition from being made', async () => {
  await plantHead(superuser, PARTITION / 2);
  const reader = await database.connect('app');
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await reader.query('SELECT count(*) FROM audit.entry JOIN audit.batch ON true');
  await appendMany(1);
  expect(await partitions()).toEqual(second);
  await reader.query('COMMIT');
});

test('entries of every partition are found and read', async () => {
  await plantHead(superuser, PARTITION - 1);
  const writer = writers.open();
  const events = [freshEvent(), freshEvent(), freshEvent()];
  for (const [i, event] of events.entries()) {
    await writer.append(event);
    expect(await writer.find(event.id)).toEqual({ seq: PARTITION - 1 + i, event });
  }
  const page = await writer.search({
    audience: { scope: 'organisation', organisation: events[0]!.organisation! },
  });
  expect(page.entries.map(({ seq }) => seq)).toEqual([PARTITION + 1, PARTITION, PARTITION - 1]);
});
