import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { assertReceipt } from '../../../src/audit/receipt.ts';
import { createAuditWriter } from '../../../src/audit/writer.ts';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import { extendByCommitments } from '../../../src/core/audit/head.ts';
import { emptyRange, rangeBytes, rootOf } from '../../../src/core/audit/merkle.ts';
import { fixedId, freshEvent, ordinaryActions } from '../../support/audit-events.ts';
import { createTestWriters, outcomesOf, verdictOf } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
beforeAll(async () => {
  database = await startTestDatabase();
  writers = createTestWriters(database);
});
afterEach(() => writers.close());
afterAll(() => database.close());

const sizeNow = async (): Promise<number> => {
  const client = await database.connect('app');
  const { rows } = await client.query('SELECT coalesce(max(size), 0)::int AS size FROM audit.batch');
  await client.end();
  return rows[0].size;
};

describe('append', () => {
  test('every action becomes the next entry, readable as it was meant, with a receipt of its own', async () => {
    const writer = writers.open();
    const before = await sizeNow();
    const events = ordinaryActions.map((action) => freshEvent({ action }));
    for (const [i, event] of events.entries()) {
      const receipt = await writer.append(event);
      expect(receipt).toMatchObject({ eventId: event.id, seq: before + i, action: event.action });
      expect(await writer.find(event.id)).toEqual({ seq: before + i, event });
    }
    expect(await writer.head()).toEqual(writer.verifiedHead());
    expect(await verdictOf(database)).toMatchObject({ ok: true, size: before + events.length });
  });

  test('what the receipt covers is what was committed, not what the caller made of the event afterwards', async () => {
    const writer = writers.open();
    const event = structuredClone(freshEvent({ action: 'recordings.searched' }));
    const appended = writer.append(event);
    (event.detail as { results: string[] }).results.push(fixedId(99));
    (event as { organisation: string }).organisation = fixedId(98);
    const receipt = await appended;
    expect(receipt.recordings).toEqual([fixedId(11), fixedId(12)]);
    expect(receipt.organisation).toBe(fixedId(2));
    expect((await writer.find(event.id))?.event).toMatchObject({
      organisation: fixedId(2),
      detail: { count: 2 },
    });
  });

  test('an event that cannot be encoded is refused before it touches the database', async () => {
    const writer = writers.open();
    const before = await sizeNow();
    await expect(writer.append(freshEvent({ recording: 'no id' }))).rejects.toMatchObject({
      code: 'internal',
    });
    await expect(writer.append(null as never)).rejects.toMatchObject({ code: 'internal' });
    expect(await sizeNow()).toBe(before);
  });

  test('hostile text of every kind is stored, and found as it was mended', async () => {
    const writer = writers.open();
    const texts = [
      '\u0000',
      '\ud800',
      '\\u0000',
      '"},"at":1,"x":{"',
      ',"detail":{}}',
      "'; DROP SCHEMA audit; --",
      '{"',
      '\u2028',
      'å'.repeat(1000),
    ];
    for (const request of texts) {
      const event = freshEvent({ request });
      await writer.append(event);
      expect((await writer.find(event.id))?.event).toEqual(encodeEvent(event).event);
    }
    expect((await verdictOf(database)).ok).toBe(true);
  });
});

describe('several events', () => {
  test('many at once go in few batches, in the order they were asked for', async () => {
    const writer = writers.open();
    await writer.append(freshEvent());
    const headsBefore = writer.heads.length;
    const receipts = await Promise.all(Array.from({ length: 500 }, () => writer.append(freshEvent())));
    const first = receipts[0]!.seq;
    expect(receipts.map(({ seq }) => seq)).toEqual(receipts.map((_, i) => first + i));
    expect(writer.heads.length - headsBefore).toBeLessThan(20);
  });

  test('an event enters once: the second is refused, whatever it says, and replaces nothing', async () => {
    const writer = writers.open();
    const event = freshEvent({ outcome: 'denied' });
    const { seq } = await writer.append(event);
    await expect(writer.append(event)).rejects.toMatchObject({ code: 'event_exists' });
    await expect(writer.append({ ...event, outcome: 'success' })).rejects.toMatchObject({
      code: 'event_exists',
    });
    const twice = freshEvent();
    const { values, codes } = await outcomesOf([
      writer.append(twice),
      writer.append(twice),
      writer.append(freshEvent()),
    ]);
    expect([values.length, codes]).toEqual([2, ['event_exists']]);
    expect(await writer.find(event.id)).toEqual({ seq, event });
    expect((await verdictOf(database)).ok).toBe(true);
  });

  test('an event that another process has appended is refused too, and can be asked for', async () => {
    const [one, other] = [writers.open(), writers.open()];
    const event = freshEvent();
    const { seq } = await one.append(event);
    await expect(other.append(event)).rejects.toMatchObject({ code: 'event_exists' });
    expect(await other.receiptOf(event.id)).toMatchObject({ eventId: event.id, seq });
  });
});

describe('the tree', () => {
  test('SQL and TypeScript agree on root and range of every batch', async () => {
    const [one, other] = [writers.open(), writers.open()];
    for (const size of [1, 2, 3, 5, 8, 13, 255, 256, 257, 100, 1, 1])
      await Promise.all(
        [one, other].flatMap((writer) => Array.from({ length: size }, () => writer.append(freshEvent()))),
      );
    const client = await database.connect('app');
    const leaves = (await client.query('SELECT commitment FROM audit.leaf ORDER BY seq')).rows.map(
      (row) => row.commitment,
    );
    const { rows: batches } = await client.query(
      'SELECT first_seq::int, size::int, root, range, writer FROM audit.batch ORDER BY first_seq',
    );
    let range = emptyRange;
    for (const batch of batches) {
      expect(batch.first_seq).toBe(range.size);
      range = extendByCommitments(range, leaves.slice(batch.first_seq, batch.size));
      expect({ root: batch.root, range: batch.range }).toEqual({
        root: rootOf(range),
        range: rangeBytes(range),
      });
    }
    expect(range.size).toBe(leaves.length);
    expect(new Set(batches.map((batch) => batch.writer))).toEqual(new Set(['test-0', 'test-1']));
    const verdict = await verdictOf(database);
    expect(verdict).toMatchObject({ ok: true, size: leaves.length, root: rootOf(range).toString('hex') });
    expect([one.verifiedHead(), other.verifiedHead()]).toContainEqual({
      size: verdict.size,
      root: verdict.root,
    });
  });

  test('two processes with mixed load keep one order without a gap; each receipt names its own place', async () => {
    const pair = [writers.open(), writers.open()];
    const before = await sizeNow();
    const events = Array.from({ length: 2_000 }, () => freshEvent());
    const receipts = await Promise.all(
      events.map(async (event, i) => {
        // Bursts of different size, so that batches of one and of many meet.
        if (i % 7 === 0) await pair[i % 2]!.head();
        return pair[i % 2]!.append(event);
      }),
    );
    expect(receipts.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(events.map((_, i) => before + i));
    for (const i of [0, 1, 999, 1_999])
      expect(await pair[0]!.find(events[i]!.id)).toEqual({ seq: receipts[i]!.seq, event: events[i] });
    expect(await verdictOf(database)).toMatchObject({ ok: true, size: before + 2_000 });
  });

  test('a process that has slept through more than one answer carries reads the rest itself', async () => {
    const [sleeper, other] = [writers.open(), writers.open()];
    await sleeper.append(freshEvent());
    for (let round = 0; round < 10; round += 1)
      await Promise.all(Array.from({ length: 500 }, () => other.append(freshEvent())));
    const { seq } = await sleeper.append(freshEvent());
    expect(sleeper.verifiedHead()).toMatchObject({ size: seq + 1 });
    expect(sleeper.verifiedHead()).toEqual(await other.head());
  });
});

describe('receipts', () => {
  test('one read back opens what the first did, and nothing that was denied', async () => {
    const writer = writers.open();
    const now = Date.now();
    const detail = { playback: randomUUID(), reason: null, expiresAt: now + 60_000 };
    const heard = freshEvent({ at: now, detail });
    const denied = freshEvent({ at: now, detail, outcome: 'denied' });
    for (const event of [heard, denied]) await writer.append(event);
    const scope = {
      actions: ['playback.opened' as const],
      organisation: fixedId(2),
      recording: fixedId(10),
      now,
    };
    const receipt = await writer.receiptOf(heard.id);
    expect(() => {
      assertReceipt(receipt!, scope);
    }).not.toThrow();
    const ofDenied = await writer.receiptOf(denied.id);
    expect(() => {
      assertReceipt(ofDenied!, scope);
    }).toThrow(/does not cover/);
    expect(() => {
      assertReceipt({ ...receipt! }, scope);
    }).toThrow(/not made by the access log/);
  });

  test.each([randomUUID(), 'x', "' OR true --", ''])(
    'there is none for an event the log does not have: %s',
    async (id) => {
      const writer = writers.open();
      expect(await writer.receiptOf(id)).toBeNull();
      expect(await writer.find(id)).toBeNull();
    },
  );
});

describe('life of a writer', () => {
  test('close drains what waits, then refuses', async () => {
    const writer = writers.open();
    const waiting = outcomesOf(Array.from({ length: 1_200 }, () => writer.append(freshEvent())));
    await writer.close();
    expect((await waiting).values).toHaveLength(1_200);
    expect(writer.state()).toBe('closed');
    await expect(writer.append(freshEvent())).rejects.toMatchObject({ code: 'log_unavailable' });
  });

  test('the first appends wait for the connection', async () => {
    const writer = writers.open();
    expect(writer.state()).toBe('away');
    expect(writer.verifiedHead()).toBeNull();
    await writer.append(freshEvent());
    expect(writer.state()).toBe('ready');
  });

  test('a full queue refuses at once, by count and by bytes, and keeps what it had', async () => {
    const small = writers.open({ queueEvents: 10 });
    const { values, codes } = await outcomesOf(Array.from({ length: 15 }, () => small.append(freshEvent())));
    expect([values.length, new Set(codes)]).toEqual([10, new Set(['log_unavailable'])]);
    const narrow = writers.open({ queueBytes: 2_000 });
    const bytes = await outcomesOf(Array.from({ length: 15 }, () => narrow.append(freshEvent())));
    expect(bytes.values.length).toBeGreaterThan(0);
    expect(bytes.values.length + bytes.codes.length).toBe(15);
    expect(bytes.codes.length).toBeGreaterThan(5);
    await narrow.append(freshEvent());
  });

  test('a batch is bounded by count and by bytes', async () => {
    const writer = writers.open({ batchEvents: 7 });
    await Promise.all(Array.from({ length: 50 }, () => writer.append(freshEvent())));
    const sizes = writer.heads.map(({ size }, i) => size - (writer.heads[i - 1]?.size ?? size - 1));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(7);
    const narrow = writers.open({ batchBytes: 10 });
    await Promise.all(Array.from({ length: 20 }, () => narrow.append(freshEvent())));
    expect(narrow.heads).toHaveLength(20);
  });

  test.each(['', 'Upper', 'has space', 'å', 'x'.repeat(65)])(
    'a name the log would refuse is refused at once: %j',
    (name) => {
      const log = { info() {}, warn() {}, error() {} };
      expect(() => createAuditWriter({ postgres: database.app, writer: name, randomBytes, log })).toThrow(
        /1 to 64/,
      );
    },
  );

  test('log lines hold sizes and roots, no body and no id', async () => {
    const writer = writers.open();
    const event = freshEvent();
    await writer.append(event);
    await writer.append(event).catch(() => undefined);
    expect(JSON.stringify(writer.lines)).not.toContain(event.id);
    expect(writer.lines).toContainEqual(
      expect.objectContaining({ level: 'info', message: 'The access log is open' }),
    );
  });
});
