import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, outcomesOf, verdictOf } from '../../support/audit-writers.ts';
import { until } from '../../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** A writer that somebody else stops: at rest, at work, before it has begun and while its database is away. */
const APPEND_LOCK = 4_850_752_217_034_121_216n;
const reason = new AppError('log_halted', 'for the test');

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
beforeAll(async () => {
  database = await startTestDatabase();
  writers = createTestWriters(database);
});
afterEach(() => writers.close());
afterAll(() => database.close());

const size = async (): Promise<number> => (await verdictOf(database)).size;

test('at rest: nothing is appended any more, and it says why it cannot', async () => {
  const writer = writers.open();
  await writer.append(freshEvent());
  const before = await size();
  writer.halt(reason);
  await expect(writer.append(freshEvent())).rejects.toMatchObject({ code: 'log_halted' });
  await expect(writer.assertAppendable()).rejects.toMatchObject({ code: 'log_halted' });
  expect(writer.state()).toBe('halted');
  expect(await size()).toBe(before);
});

test('at work: who waits is refused at once, and no new session is opened', async () => {
  const blocker = await database.connect('app');
  const sessions = async (): Promise<number> => {
    const text = `SELECT FROM pg_stat_activity WHERE application_name LIKE 'callvault log test-%'`;
    return (await blocker.query(text)).rowCount ?? 0;
  };
  // Those of the test before end a moment after their writers.
  await until(async () => (await sessions()) === 0);
  const writer = writers.open();
  await writer.append(freshEvent());
  const before = await size();
  await blocker.query('SELECT pg_advisory_lock($1)', [APPEND_LOCK]);
  const waiting = outcomesOf(Array.from({ length: 600 }, () => writer.append(freshEvent())));
  const isAtWork = async (): Promise<boolean> =>
    (await blocker.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).rowCount === 1;
  await until(isAtWork);
  writer.halt(reason);
  const { values, codes } = await waiting;
  expect(values).toEqual([]);
  expect(new Set(codes)).toEqual(new Set(['log_halted']));
  await blocker.query('SELECT pg_advisory_unlock($1)', [APPEND_LOCK]);
  await writers.close();
  // What was under way may have been committed; what waited behind it was not.
  expect(await size()).toBeLessThanOrEqual(before + 256);
  expect(await sessions()).toBeLessThanOrEqual(1);
  await until(async () => (await sessions()) === 0);
});

test('before it has connected', async () => {
  const before = await size();
  const writer = writers.open();
  writer.halt(reason);
  await expect(writer.append(freshEvent())).rejects.toMatchObject({ code: 'log_halted' });
  await writers.close();
  expect(await size()).toBe(before);
});

test('while it is connecting', async () => {
  const before = await size();
  const writer = writers.open();
  const waiting = writer.append(freshEvent());
  await Promise.resolve();
  writer.halt(reason);
  await expect(waiting).rejects.toMatchObject({ code: 'log_halted' });
  await writers.close();
  expect(await size()).toBe(before);
});

test('while the database is away: it does not come back with it', async () => {
  const writer = writers.open();
  await writer.append(freshEvent());
  await database.stopServer();
  await until(() => writer.state() === 'away');
  writer.halt(reason);
  await database.startServer();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(writer.state()).toBe('halted');
  await expect(writer.append(freshEvent())).rejects.toMatchObject({ code: 'log_halted' });
});
