import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AuditReader, createAuditReader, type LogSearch } from '../../../src/audit/reader.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import { fixedId, freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, type TestWriter } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

const ours = { scope: 'organisation', organisation: fixedId(2) } as const;
const theirs = { scope: 'organisation', organisation: fixedId(222) } as const;
const at = 1_763_719_200_000;

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
let writer: TestWriter;
let reader: AuditReader;
beforeAll(async () => {
  database = await startTestDatabase();
  writers = createTestWriters(database);
  writer = writers.open();
  reader = createAuditReader({ postgres: database.app, log: { info() {}, warn() {}, error() {} } });
});
afterAll(async () => {
  await reader.close();
  await writers.close();
  await database.close();
});

/** As the service writes it: the playback's id is the id of its entry. */
const opened = (recording: string, more: Partial<AuditEvent> = {}): AuditEvent => {
  const id = randomUUID();
  const detail = { playback: id, reason: null, expiresAt: at + 3_600_000 };
  return { ...freshEvent({ recording, at, ...more, detail } as never), id } as AuditEvent;
};

const heard = (
  playback: AuditEvent,
  spans: readonly (readonly [number, number])[],
  more: Partial<AuditEvent> = {},
): AuditEvent => {
  const { recording, at: since } = playback;
  const detail = { playback: playback.id, spans };
  return freshEvent({ action: 'playback.heard', recording, at: since + 1000, ...more, detail } as never);
};

const append = async (...events: readonly AuditEvent[]): Promise<void> => {
  for (const event of events) await writer.append(event);
};

const ask = async (recording: string, audience: LogSearch['audience'] = ours) =>
  reader.hearings({ audience, recording });

describe('what was heard', () => {
  test('is merged over all statements of one playback, in order, and of no other', async () => {
    const recording = randomUUID();
    const [first, second, silent] = [opened(recording), opened(recording, { at: at + 5 }), opened(recording)];
    const elsewhere = opened(randomUUID());
    await append(
      ...[first, second, silent],
      heard(first, [
        [8000, 9000],
        [0, 4000],
      ]),
      heard(
        first,
        [
          [4000, 5000],
          [8500, 9500.5],
          [20_000, 20_000],
        ],
        { at: at + 2000 },
      ),
      heard(first, [[0, 100]], { at: at + 3000 }),
      heard(second, [[1, 2]]),
      // Of another recording's playback, though it states this one's id.
      elsewhere,
      heard(elsewhere, [[0, 99_999]], { recording }),
    );
    const { entries, heardComplete } = await ask(recording);
    const told = new Map(entries.map(({ event, heard: what }) => [event.id, what]));
    expect(told.get(first.id)).toEqual({
      statements: 3,
      parts: [
        [0, 5000],
        [8000, 9500.5],
        [20_000, 20_000],
      ],
      partCount: 3,
    });
    expect(told.get(second.id)).toEqual({ statements: 1, parts: [[1, 2]], partCount: 1 });
    expect(told.get(silent.id)).toBeNull();
    expect(entries).toHaveLength(3);
    expect(heardComplete).toBe(true);
  });

  test('a player that states a thousand parts again and again is listed up to a thousand, and counted', async () => {
    const recording = randomUUID();
    const playback = opened(recording);
    const many = (from: number) =>
      Array.from({ length: 1000 }, (_, i) => [from + i * 10, from + i * 10 + 1] as const);
    await append(playback, heard(playback, many(0)), heard(playback, many(5)), heard(playback, many(0)));
    const [entry] = (await ask(recording)).entries;
    expect(entry?.heard).toMatchObject({ statements: 3, partCount: 2000 });
    expect(entry?.heard?.parts).toHaveLength(1000);
    expect(entry?.heard?.parts[1]).toEqual([5, 6]);
  });
});

test('a statement that is not the one committed to is not shown, nor the page it belongs to', async () => {
  const recording = randomUUID();
  const playback = opened(recording);
  await append(playback, heard(playback, [[0, 1]]));
  const superuser = await database.connect('superuser');
  const change = (from: string, to: string) =>
    superuser.query(
      `UPDATE audit.entry SET body = replace(body, $2, $3) WHERE (facts).recording = $1 AND (facts).action = 'playback.heard'`,
      [recording, from, to],
    );
  await superuser.query('ALTER TABLE audit.entry DISABLE TRIGGER USER');
  const stated = `SELECT seq::int FROM audit.entry WHERE (facts).recording = $1 AND (facts).action = 'playback.heard'`;
  const entry: number = (await superuser.query(stated, [recording])).rows[0].seq;
  for (const [from, to] of [
    ['"spans":[[0,1]]', '"spans":[[0,9]]'],
    // No JSON at all behind what the columns are derived from.
    ['"spans":[[0,1]]', '"spans":[[0,1'],
  ] as const) {
    await change(from, to);
    await expect(ask(recording)).rejects.toMatchObject({ code: 'integrity_failure', extras: { entry } });
    await change(to, from);
  }
  expect((await ask(recording)).entries[0]?.heard?.parts).toEqual([[0, 1]]);
});

const HOUR = 3_600_000;
/** Whoever has all rights takes things out of the log. */
const asSuperuser = async (text: string, values: readonly unknown[]) => {
  const superuser = await database.connect('superuser');
  for (const table of ['entry', 'leaf'])
    await superuser.query(`ALTER TABLE audit.${table} DISABLE TRIGGER USER`);
  return (await superuser.query(text, [...values])).rows;
};
const seqOf = async ({ id }: AuditEvent): Promise<number> =>
  (await asSuperuser('SELECT seq::int FROM audit.leaf WHERE event_id = $1', [id]))[0].seq;
const takeOut = (seq: number, table = 'entry') =>
  asSuperuser(`DELETE FROM audit.${table} WHERE seq = $1`, [seq]);

describe('the entry of a playback was taken out, and a statement of its player is there', () => {
  test('nobody is said to have heard nothing: the answer is that the log is damaged, and where', async () => {
    const recording = randomUUID();
    const [playback, before] = [opened(recording), opened(recording, { at: at - HOUR })];
    await append(playback, heard(playback, [[0, 1]]));
    const entry = await seqOf(playback);
    await takeOut(entry);
    await expect(ask(recording)).rejects.toMatchObject({ code: 'integrity_failure', extras: { entry } });
    // Beside others, older and newer ones.
    await append(before, heard(before, [[0, 1]]), opened(recording, { at: at + HOUR }));
    await expect(ask(recording)).rejects.toMatchObject({ extras: { entry } });
    // Nobody of another organisation learns of it.
    expect((await ask(recording, theirs)).entries).toEqual([]);
  });

  test('its place is told also when the skeleton lacks it, by the statement', async () => {
    const recording = randomUUID();
    const playback = opened(recording);
    const stated = heard(playback, [[0, 1]]);
    await append(playback, stated);
    const place = await seqOf(playback);
    for (const table of ['entry', 'leaf']) await takeOut(place, table);
    const entry = await seqOf(stated);
    await expect(ask(recording)).rejects.toMatchObject({ code: 'integrity_failure', extras: { entry } });
  });

  test('on the page, and in the period, to which it belongs', async () => {
    const recording = randomUUID();
    const days = Array.from({ length: 6 }, (_, n) => opened(recording, { at: at + n * 72 * HOUR }));
    for (const playback of days) await append(playback, heard(playback, [[0, 1]]));
    const gone = days[1] as AuditEvent;
    const entry = await seqOf(gone);
    await takeOut(entry);
    const asked = { audience: ours, recording };
    const newest = await reader.hearings({ ...asked, limit: 2 });
    expect(newest.entries.map(({ heard: what }) => what?.statements)).toEqual([1, 1]);
    const cursor = newest.next as string;
    await expect(reader.hearings({ ...asked, limit: 50, cursor })).rejects.toMatchObject({
      extras: { entry },
    });
    const within = (from: number, to: number) => reader.hearings({ ...asked, from, to });
    expect((await within(at, at + HOUR)).entries).toHaveLength(1);
    expect((await within(at + 140 * HOUR, at + 500 * HOUR)).entries).toHaveLength(4);
    await expect(within(gone.at, gone.at + 1)).rejects.toMatchObject({ extras: { entry } });
    expect((await within(at + 1_000 * HOUR, at + 2_000 * HOUR)).entries).toEqual([]);
  });
});

test('a playback whose entry was removed because its time was out, which the log tells, is no damage', async () => {
  const recording = randomUUID();
  const playback = opened(recording);
  await append(playback, heard(playback, [[0, 1]]));
  const entry = await seqOf(playback);
  await takeOut(entry);
  const pruned = (to: number) =>
    freshEvent({
      ...{ action: 'log.pruned', organisation: null, unit: null, recording: null, purpose: null },
      ...{ at, outcome: 'success', detail: { from: 0, to, floor: 5 } },
    } as never);
  await append(pruned(entry));
  await expect(ask(recording)).rejects.toMatchObject({ extras: { entry } });
  const told = pruned(entry + 1);
  await append(told);
  expect((await ask(recording)).entries).toEqual([]);
  await asSuperuser(`UPDATE audit.entry SET body = replace(body, '"floor":5', '"floor":6') WHERE seq = $1`, [
    await seqOf(told),
  ]);
  await expect(ask(recording)).rejects.toMatchObject({ code: 'integrity_failure' });
});

describe('who', () => {
  test('opened, refused, taken out and erased, newest first, and nothing else that happened to it', async () => {
    const recording = randomUUID();
    const event = (action: AuditEvent['action'], n: number, more: object = {}) =>
      freshEvent({ action, recording, at: at + n, ...more });
    const events = [
      event('recording.stored', 0),
      opened(recording, { at: at + 1 }),
      event('recording.viewed', 2),
      event('playback.denied', 3, { outcome: 'denied' }),
      event('recording.key_opened', 4),
      event('hold.placed', 5),
      event('recording.erased', 6),
      event('playback.denied', 7, { outcome: 'denied' }),
    ];
    await append(...events);
    const { entries } = await ask(recording);
    expect(entries.map(({ event: { action } }) => action)).toEqual([
      'playback.denied',
      'recording.erased',
      'recording.key_opened',
      'playback.denied',
      'playback.opened',
    ]);
    expect(entries[0]?.event).toEqual(events[7]);
  });

  test('another organisation’s entries about the same id stay hers, what was heard too', async () => {
    const recording = randomUUID();
    const mine = opened(recording);
    const hers = opened(recording, { organisation: theirs.organisation });
    await append(mine, hers, heard(mine, [[0, 1]], { organisation: theirs.organisation } as never));
    expect((await ask(recording)).entries).toMatchObject([{ event: { id: mine.id }, heard: null }]);
    expect((await ask(recording, theirs)).entries).toMatchObject([{ event: { id: hers.id } }]);
    expect((await ask(recording, { scope: 'installation' })).entries).toEqual([]);
  });

  test('is paged, each playback with what was heard in it, whatever comes meanwhile', async () => {
    const recording = randomUUID();
    const playbacks = Array.from({ length: 25 }, (_, i) => opened(recording, { at: at + i * 10 }));
    await append(...playbacks);
    // Told after all of them were opened: the statements of an early page are newer than the entries of a late one.
    await append(...playbacks.map((playback, i) => heard(playback, [[i, i + 1]], { at: at + 10_000 - i })));
    const found: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await reader.hearings({
        audience: ours,
        recording,
        limit: 4,
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const { event, heard: what } of page.entries) {
        const i = playbacks.findIndex(({ id }) => id === event.id);
        expect(what?.parts).toEqual([[i, i + 1]]);
        found.push(event.id);
      }
      await append(opened(recording, { at: at + 20_000 + found.length }));
      if (page.next === null) break;
      cursor = page.next;
    }
    expect(found).toEqual(playbacks.map(({ id }) => id).reverse());
  });
});

describe('counting', () => {
  const actor = randomUUID();
  const mine = (more: object): AuditEvent =>
    freshEvent({ actor: { type: 'user', id: actor, role: 'nurse' }, ...more });
  beforeAll(() =>
    append(
      mine({ action: 'recording.viewed' }),
      mine({ action: 'recording.viewed', at: at + 100 }),
      mine({ action: 'playback.denied', outcome: 'denied' }),
      mine({ action: 'recording.viewed', organisation: theirs.organisation }),
    ),
  );

  test('by action and outcome, of a period, of one’s own organisation', async () => {
    const tally = (more: Partial<LogSearch> = {}, most = 100) =>
      reader.tally({ audience: ours, actor, ...more }, most);
    expect(await tally()).toEqual([
      { action: 'playback.denied', outcome: 'denied', count: 1 },
      { action: 'recording.viewed', outcome: 'success', count: 2 },
    ]);
    expect(await tally({ from: at + 100 })).toEqual([
      { action: 'recording.viewed', outcome: 'success', count: 1 },
    ]);
    expect(await tally({}, 1)).toEqual([{ action: 'recording.viewed', outcome: 'success', count: 1 }]);
    expect(await tally({ audience: theirs })).toEqual([
      { action: 'recording.viewed', outcome: 'success', count: 1 },
    ]);
  });

  test('how many, from which to which, up to a bound, and as the log was at a size', async () => {
    const count = (more: Partial<LogSearch> = {}, most = 100) =>
      reader.count({ audience: ours, actor, ...more }, most);
    const all = await count();
    expect(all.count).toBe(3);
    expect(all.last! - all.first!).toBe(2);
    expect((await count({}, 2)).count).toBe(2);
    expect(await count({ size: all.first! + 1 })).toEqual({ count: 1, first: all.first, last: all.first });
    expect(await count({ actor: 'nobody' })).toEqual({ count: 0, first: null, last: null });
    expect((await count({ actions: ['recording.viewed', 'playback.denied'] })).count).toBe(3);
    expect((await count({ actions: [] })).count).toBe(0);
  });
});

test('several keys of a patient and several actions are found together, in one order, page by page', async () => {
  const keys = [1, 2, 3].map((version) => `${version}:${randomUUID().replaceAll('-', '')}`);
  const actions = ['recording.viewed', 'hold.placed', 'recording.erased'] as const;
  const events = Array.from({ length: 40 }, (_, i) =>
    freshEvent({ subject: keys[i % 3]!, action: actions[i % 4] ?? 'log.read', at: at + ((i * 7) % 20) }),
  );
  await append(...events, freshEvent({ subject: `4:${'0'.repeat(32)}`, action: 'hold.placed' }));
  const all = async (query: Partial<LogSearch>): Promise<string[]> => {
    const ids: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await reader.search({ audience: ours, limit: 7, ...query, ...(cursor ? { cursor } : {}) });
      ids.push(...page.entries.map(({ event }) => event.id));
      if (page.next === null) return ids;
      cursor = page.next;
    }
  };
  const expected = (wanted: (event: AuditEvent) => boolean): string[] =>
    events
      .map((event, i) => ({ event, i }))
      .filter(({ event }) => wanted(event))
      .sort((a, b) => b.event.at - a.event.at || b.i - a.i)
      .map(({ event }) => event.id);
  const mine = new Set(events.map(({ id }) => id));
  expect(await all({ subjects: keys })).toEqual(expected(() => true));
  expect(await all({ subjects: keys.slice(1) })).toEqual(expected(({ subject }) => subject !== keys[0]));
  expect(await all({ subjects: keys, actions })).toEqual(expected(({ action }) => action !== 'log.read'));
  expect((await all({ actions: [...actions] })).filter((id) => mine.has(id))).toEqual(
    expected(({ action }) => action !== 'log.read'),
  );
  expect(await all({ subjects: [] })).toEqual([]);
});
