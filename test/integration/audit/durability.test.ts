import type pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import type { Receipt } from '../../../src/audit/receipt.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, verdictOf } from '../../support/audit-writers.ts';
import { until } from '../../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
const open = async (options: Parameters<typeof startTestDatabase>[0] = {}): Promise<void> => {
  database = await startTestDatabase(options);
  writers = createTestWriters(database);
};
afterEach(async () => {
  await writers.close();
  await database.close();
});

/** Flushes of the write-ahead log so far, by all processes of the server. */
const flushes = async (client: pg.Client): Promise<number> => {
  await client.query('SELECT pg_stat_force_next_flush()');
  const { rows } = await client.query(`SELECT sum(fsyncs)::int AS n FROM pg_stat_io WHERE object = 'wal'`);
  return rows[0].n;
};

test('every acknowledgement is a flush to disk, also where the session asks for none', async () => {
  // The WAL writer would flush now and then by itself; here it sleeps, so that every flush counted is a commit's.
  await open({
    durable: true,
    settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB', autovacuum: 'off' },
  });
  const superuser = await database.connect('superuser');
  await superuser.query('ALTER ROLE callvault SET synchronous_commit = off');

  const careless = await database.connect('app');
  const setting = await careless.query('SHOW synchronous_commit');
  expect(setting.rows[0]).toEqual({ synchronous_commit: 'off' });
  await superuser.query('CREATE TABLE public.careless (n int); GRANT INSERT ON public.careless TO callvault');
  const beforeCareless = await flushes(superuser);
  for (let n = 0; n < 200; n += 1) await careless.query('INSERT INTO public.careless VALUES ($1)', [n]);
  await careless.end();
  // The control: without the function's own insistence, commits do not wait for the disk.
  expect((await flushes(superuser)) - beforeCareless).toBeLessThan(50);

  const writer = writers.open();
  await writer.append(freshEvent());
  const before = await flushes(superuser);
  for (let n = 0; n < 200; n += 1) await writer.append(freshEvent());
  await writer.close();
  expect((await flushes(superuser)) - before).toBeGreaterThanOrEqual(200);
});

/** Appends from `lanes` lanes until told to stop; keeps every receipt that was given. */
const load = (count: number, append: (event: ReturnType<typeof freshEvent>) => Promise<Receipt>) => {
  const acknowledged: Receipt[] = [];
  let stopped = false;
  const lanes = Array.from({ length: count }, async () => {
    while (!stopped) {
      await append(freshEvent()).then(
        (receipt) => acknowledged.push(receipt),
        // Refused while the server is away; a moment later it may be back.
        () => new Promise((resolve) => setTimeout(resolve, 20)),
      );
    }
  });
  return {
    acknowledged,
    stop: async (): Promise<void> => {
      stopped = true;
      await Promise.all(lanes);
    },
  };
};

/** Every acknowledged event lies exactly where its receipt says, once. */
const expectAllThere = async (acknowledged: readonly Receipt[]): Promise<void> => {
  const client = await database.connect('app');
  const { rows } = await client.query('SELECT seq::int, event_id FROM audit.leaf');
  const places = new Map(rows.map(({ seq, event_id }) => [event_id, seq]));
  expect(acknowledged.filter(({ eventId, seq }) => places.get(eventId) !== seq)).toEqual([]);
  expect(rows.length).toBeGreaterThanOrEqual(acknowledged.length);
  expect(await verdictOf(database)).toMatchObject({ ok: true, size: rows.length, bodies: rows.length });
};

test('the whole server killed under load, three times: nothing acknowledged is lost, moved or doubled', async () => {
  await open({ durable: true });
  const [one, other] = [writers.open(), writers.open()];
  const loads = [load(25, one.append), load(25, other.append)];
  for (let round = 0; round < 3; round += 1) {
    const before = loads.map(({ acknowledged }) => acknowledged.length);
    await until(() => loads.every(({ acknowledged }, i) => acknowledged.length > before[i]! + 300));
    await database.stopServer('kill');
    await database.startServer();
    await until(() => one.state() === 'ready' && other.state() === 'ready');
  }
  for (const { stop } of loads) await stop();
  expect([one.state(), other.state()]).toEqual(['ready', 'ready']);
  await expectAllThere(loads.flatMap(({ acknowledged }) => acknowledged));
});

test('sessions ended by the administrator under load, ten times: nothing lost, and the log goes on', async () => {
  await open();
  const superuser = await database.connect('superuser');
  const writer = writers.open();
  const running = load(50, writer.append);
  for (let round = 0; round < 10; round += 1) {
    const before = running.acknowledged.length;
    await until(() => running.acknowledged.length > before + 200);
    await superuser.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'callvault log test%'`,
    );
  }
  await running.stop();
  await expectAllThere(running.acknowledged);
  expect(writer.state()).toBe('ready');
});

test('one process frozen in the middle of its work does not stop the other', async () => {
  await open();
  const superuser = await database.connect('superuser');
  const writer = writers.open();
  await writer.append(freshEvent());
  // A client that holds a transaction open over the log's tables and never comes back.
  const frozen = await database.connect('app');
  await frozen.query('BEGIN');
  await frozen.query('SELECT * FROM audit.batch');
  for (let n = 0; n < 50; n += 1) await writer.append(freshEvent());
  const { rows } = await superuser.query(`SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted`);
  expect(rows[0].n).toBe(0);
  await frozen.query('ROLLBACK');
});
