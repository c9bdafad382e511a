import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, outcomesOf, type TestWriter, verdictOf } from '../../support/audit-writers.ts';
import { until } from '../../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { createPostgresProxy, type PostgresProxy } from '../../support/postgres-proxy.ts';

/** The lock that appends take turns by; any session can hold it, so the tests use it to keep an append waiting. */
const APPEND_LOCK = 4_850_752_217_034_121_216n;

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
let proxy: PostgresProxy;
let writer: TestWriter;
beforeAll(async () => {
  database = await startTestDatabase();
  writers = createTestWriters(database);
});
beforeEach(async () => {
  proxy = await createPostgresProxy(database.app);
  writer = writers.open({ statementMs: 4_000 }, proxy.settings);
  await writer.append(freshEvent());
});
afterEach(async () => {
  await writers.close();
  await proxy.close();
  expect((await verdictOf(database)).ok).toBe(true);
});
afterAll(() => database.close());

const countOf = async (eventId: string): Promise<number> => {
  const client = await database.connect('superuser');
  const { rows } = await client.query(
    'SELECT count(*)::int AS count FROM audit.entry WHERE (facts).event_id = $1',
    [eventId],
  );
  await client.end();
  return rows[0].count;
};

describe('a session that is lost while an append is on its way', () => {
  test('after COMMIT, before the answer: the entry is found, acknowledged, and in the log once', async () => {
    const event = freshEvent();
    proxy.strike('lose-answer');
    const receipt = await writer.append(event);
    expect(await writer.find(event.id)).toEqual({ seq: receipt.seq, event });
    expect(await countOf(event.id)).toBe(1);
  });

  test('before the server saw it: sent again, in the log once', async () => {
    const event = freshEvent();
    proxy.strike('lose-request');
    const receipt = await writer.append(event);
    expect(await writer.find(event.id)).toEqual({ seq: receipt.seq, event });
    expect(await countOf(event.id)).toBe(1);
  });

  test('a whole batch, with others waiting behind it', async () => {
    const events = Array.from({ length: 300 }, () => freshEvent());
    proxy.strike('lose-answer');
    const receipts = await Promise.all(events.map((event) => writer.append(event)));
    expect(new Set(receipts.map(({ seq }) => seq)).size).toBe(300);
    for (const i of [0, 150, 299]) expect((await writer.find(events[i]!.id))?.seq).toBe(receipts[i]!.seq);
  });

  test('while the old session is still at work: whichever copy comes first is the entry, the other is none', async () => {
    const blocker = await database.connect('app');
    await blocker.query('SELECT pg_advisory_lock($1)', [APPEND_LOCK]);
    const event = freshEvent();
    const appended = writer.append(event);
    const waiting = async (): Promise<number> =>
      (
        await blocker.query(
          `SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`,
        )
      ).rows[0].n;
    await until(async () => (await waiting()) === 1);
    // The client's side breaks; the server's session does not know and keeps waiting for its turn.
    proxy.abandon();
    await until(async () => (await waiting()) === 2);
    await blocker.query('SELECT pg_advisory_unlock($1)', [APPEND_LOCK]);
    const receipt = await appended;
    await blocker.end();
    expect(await writer.find(event.id)).toEqual({ seq: receipt.seq, event });
    expect(await countOf(event.id)).toBe(1);
  });
});

describe('a session that is lost again, or says nothing', () => {
  test('twice in a row before the server saw it: refused as unavailable, and not in the log', async () => {
    const event = freshEvent();
    proxy.strike('lose-request', 'lose-request');
    await expect(writer.append(event)).rejects.toMatchObject({
      code: 'log_unavailable',
      extras: { retryAfter: 1 },
    });
    expect(await countOf(event.id)).toBe(0);
    await writer.append(event);
  });

  test('twice in a row, the second time after COMMIT: acknowledged all the same', async () => {
    const event = freshEvent();
    proxy.strike('lose-request', 'lose-answer');
    const { seq } = await writer.append(event);
    expect((await writer.find(event.id))?.seq).toBe(seq);
    expect(await countOf(event.id)).toBe(1);
  });

  test('a network that says nothing: given up after the deadline, then settled', async () => {
    const event = freshEvent();
    proxy.strike('swallow');
    const { seq } = await writer.append(event);
    expect((await writer.find(event.id))?.seq).toBe(seq);
    expect(await countOf(event.id)).toBe(1);
  });

  test('idle: the next append goes through a new one', async () => {
    const admin = await database.connect('superuser');
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'callvault log test%'`,
    );
    await admin.end();
    await until(
      () => writer.lines.filter(({ message }) => message === 'The access log is open').length === 2,
    );
    await writer.append(freshEvent());
  });
});

describe('a database that does not answer in time', () => {
  test('appends are refused when the turn does not come, and go on when it does', async () => {
    const blocker = await database.connect('app');
    await blocker.query('SELECT pg_advisory_lock($1)', [APPEND_LOCK]);
    const { codes } = await outcomesOf(Array.from({ length: 20 }, () => writer.append(freshEvent())));
    expect(codes).toEqual(Array(20).fill('log_unavailable'));
    await blocker.end();
    await writer.append(freshEvent());
    expect(writer.state()).toBe('ready');
  });
});

describe('a database that is away', () => {
  const reopened = () => until(() => writer.state() === 'ready');

  test('stopped: refused at once while it is away, recovers by itself', async () => {
    await database.stopServer('fast');
    const { codes } = await outcomesOf(Array.from({ length: 50 }, () => writer.append(freshEvent())));
    expect(new Set(codes)).toEqual(new Set(['log_unavailable']));
    expect(codes).toHaveLength(50);
    await until(() => writer.state() === 'away');
    await expect(writer.find(freshEvent().id)).rejects.toMatchObject({ code: 'log_unavailable' });
    await expect(writer.head()).rejects.toMatchObject({ code: 'log_unavailable' });
    await database.startServer();
    await reopened();
    await writer.append(freshEvent());
  });

  test('a writer that starts before the database: refuses, then serves', async () => {
    await database.stopServer('fast');
    const early = writers.open();
    await expect(early.append(freshEvent())).rejects.toMatchObject({ code: 'log_unavailable' });
    await database.startServer();
    await until(() => early.state() === 'ready');
    await early.append(freshEvent());
    await reopened();
  });

  test('closed while it is away: ends, and leaves nothing waiting', async () => {
    await database.stopServer('fast');
    const waiting = outcomesOf([writer.append(freshEvent())]);
    await writer.close();
    expect((await waiting).codes).toEqual(['log_unavailable']);
    await database.startServer();
  });
});
