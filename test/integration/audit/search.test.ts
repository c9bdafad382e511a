import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AuditReader, createAuditReader, type LogSearch } from '../../../src/audit/reader.ts';
import { formatCursor, searchStatement } from '../../../src/audit/search.ts';
import { type AuditAction, type AuditEvent, eventScope } from '../../../src/core/events.ts';
import { everyAction, fixedId, freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

const ours = fixedId(2);
const theirs = fixedId(222);
const ourOfficer = { scope: 'organisation', organisation: ours } as const;
const theirOfficer = { scope: 'organisation', organisation: theirs } as const;
const auditor = { scope: 'installation' } as const;

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
let reader: AuditReader;
let events: AuditEvent[];

const pick = <T>(values: readonly T[], i: number): T => values[i % values.length]!;

beforeAll(async () => {
  database = await startTestDatabase();
  writers = createTestWriters(database);
  reader = createAuditReader({ postgres: database.app, log: { info() {}, warn() {}, error() {} } });
  // Every field takes several values in different rhythms; times repeat and are not in the order of the log.
  events = Array.from({ length: 900 }, (_, i) =>
    freshEvent({
      action: pick(everyAction, i),
      at: 1_763_719_200_000 + ((i * 7919) % 300),
      outcome: pick(['success', 'success', 'denied', 'failed'] as const, i),
      actor: { type: 'user', id: pick([fixedId(4), fixedId(44), null], i), role: 'nurse' },
      organisation: pick([ours, ours, ours, theirs, null], i),
      unit: pick([fixedId(3), fixedId(33), null], i),
      recording: pick([fixedId(10), fixedId(101), fixedId(102), null], i),
      subject: pick(['v1.one', 'v1.two', null], i),
      purpose: pick(['care', 'quality', 'complaint', null] as const, i),
      session: pick([fixedId(6), fixedId(66)], i),
    }),
  );
  const writer = writers.open();
  for (let at = 0; at < events.length; at += 50)
    await Promise.all(events.slice(at, at + 50).map((event) => writer.append(event)));
});
afterAll(async () => {
  await reader.close();
  await writers.close();
  await database.close();
});

const visible = ({ audience }: LogSearch, event: AuditEvent): boolean => {
  const installation = event.organisation === null || eventScope[event.action] === 'installation';
  return audience.scope === 'installation'
    ? installation
    : !installation && event.organisation === audience.organisation;
};

/** What a search must find, by looking at every event. */
const expected = (query: LogSearch): string[] =>
  events
    .map((event, seq) => ({ event, seq }))
    .filter(({ event }) => visible(query, event))
    .filter(({ event }) => query.actor === undefined || event.actor.id === query.actor)
    .filter(({ event }) => query.from === undefined || event.at >= query.from)
    .filter(({ event }) => query.to === undefined || event.at < query.to)
    .filter(({ event }) =>
      (['recording', 'subject', 'action', 'outcome', 'unit', 'purpose', 'session'] as const).every(
        (field) => query[field] === undefined || event[field] === query[field],
      ),
    )
    .sort((a, b) => b.event.at - a.event.at || b.seq - a.seq)
    .map(({ event }) => event.id);

const everything = async (query: LogSearch): Promise<string[]> => {
  const ids: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await reader.search({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    ids.push(...page.entries.map(({ event }) => event.id));
    if (page.next === null) return ids;
    cursor = page.next;
  }
};

const at = 1_763_719_200_000;
const queries: [string, Omit<LogSearch, 'audience'>][] = [
  ['all', {}],
  ['actor', { actor: fixedId(44) }],
  ['recording', { recording: fixedId(101) }],
  ['subject', { subject: 'v1.two' }],
  ['a usual action', { action: 'playback.opened' }],
  ['a rare action', { action: 'recording.key_opened' }],
  ['an action of the installation', { action: 'session.refused' }],
  ['a rare outcome', { outcome: 'failed' }],
  ['the usual outcome', { outcome: 'success' }],
  ['unit', { unit: fixedId(33) }],
  ['purpose', { purpose: 'complaint' }],
  ['session', { session: fixedId(66) }],
  ['time', { from: at + 50, to: at + 150 }],
  ['an instant', { from: at + 50, to: at + 51 }],
  ['no time at all', { from: at + 50, to: at + 50 }],
  [
    'everything at once',
    { actor: fixedId(4), recording: fixedId(10), outcome: 'success', from: at, to: at + 299 },
  ],
  ['nobody', { actor: 'nobody' }],
];

describe.each([
  ['our officer', ourOfficer],
  ['their officer', theirOfficer],
  ['the installation auditor', auditor],
])('%s', (_, audience) => {
  test.each(queries)(
    'H-2 by %s: exactly what she may see, newest first, page by page',
    async (_name, query) => {
      for (const limit of [7, 200])
        expect(await everything({ ...query, audience, limit })).toEqual(expected({ ...query, audience }));
    },
  );

  test('reads one entry if it is hers, and cannot tell another’s from one that does not exist', async () => {
    for (let seq = 0; seq < 60; seq += 1) {
      const entry = await reader.read(seq, audience);
      expect(entry).toEqual(visible({ audience }, events[seq]!) ? { seq, event: events[seq] } : null);
    }
    for (const seq of [-1, 0.5, 900, Number.NaN, 2 ** 60])
      expect(await reader.read(seq, audience)).toBeNull();
  });
});

describe('pages', () => {
  test('stay the same while the log grows', async () => {
    const page = await reader.search({ audience: ourOfficer, limit: 5 });
    const before = await reader.search({ audience: ourOfficer, limit: 5, cursor: page.next! });
    const newest = freshEvent({ at: at + 1_000 });
    await writers.open().append(newest);
    events.push(newest);
    expect(await reader.search({ audience: ourOfficer, limit: 5, cursor: page.next! })).toEqual(before);
    expect((await reader.search({ audience: ourOfficer, limit: 5 })).entries[0]?.event).toEqual(newest);
  });

  test('a cursor of another search grants nothing', async () => {
    const { next } = await reader.search({ audience: theirOfficer, limit: 1 });
    const page = await reader.search({ audience: ourOfficer, limit: 200, cursor: next! });
    expect(page.entries.every(({ event }) => event.organisation === ours)).toBe(true);
  });

  test.each([
    '',
    'x',
    'MS4x.',
    Buffer.from('1').toString('base64url'),
    Buffer.from('NaN.NaN').toString('base64url'),
    Buffer.from('-1.2').toString('base64url'),
    Buffer.from('1.2; DROP').toString('base64url'),
    Buffer.from('01.2').toString('base64url'),
    'A'.repeat(100_000),
    '\u0000',
  ])('a cursor that is none of ours is refused: %#', async (cursor) => {
    await expect(reader.search({ audience: ourOfficer, cursor })).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  test.each([0, -1, 201, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'a page of %s is refused',
    async (limit) => {
      await expect(reader.search({ audience: ourOfficer, limit })).rejects.toMatchObject({
        code: 'invalid_request',
      });
    },
  );
});

describe('values nobody can have', () => {
  test.each([
    { recording: "x' OR true --" },
    { unit: '1' },
    { session: '' },
    { subject: 'a\u0000b' },
    { from: 1e300 },
    { to: 0.5 },
  ] as Partial<LogSearch>[])('%j is refused as a request, not as a broken log', async (query) => {
    await expect(reader.search({ ...query, audience: ourOfficer })).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  test.each([{ actor: "' OR true --" }, { action: 'nothing' as AuditAction }, { subject: '%' }])(
    '%j finds nothing',
    async (query) => {
      expect((await reader.search({ ...query, audience: ourOfficer })).entries).toEqual([]);
    },
  );
});

test.each([
  ['all', {}, 'organisation_at_seq_action_purpose'],
  ['the newest before a time', { to: at + 100 }, 'organisation_at_seq_action_purpose'],
  [
    'the next page',
    { cursor: formatCursor({ at: at + 100, seq: 50 }) },
    'organisation_at_seq_action_purpose',
  ],
  ['actor', { actor: fixedId(44) }, 'actor_at_seq'],
  ['recording', { recording: fixedId(101) }, 'recording_at_seq'],
  ['subject', { subject: 'v1.two' }, 'subject_at_seq'],
  ['a rare action', { action: 'hold.placed' }, 'action_organisation_at_seq'],
  ['a rare outcome', { outcome: 'failed' }, 'outcome_organisation_at_seq_unit_actor'],
  // Fails when an action of the installation is added without its index.
  ['the installation', { audience: auditor }, 'at_seq'],
] as const)('a search by %s follows an index in its order', async (_, query, index) => {
  const client = await database.connect('app');
  // A small table is quickest to read whole; at ten million entries nothing but the index will do.
  await client.query('SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off');
  const { text, values } = searchStatement({ audience: ourOfficer, ...query });
  const { rows } = await client.query(`EXPLAIN ${text}`, [...values]);
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toContain(`Index Scan Backward using entry_000000_${index}_idx`);
  expect(plan).not.toContain('Sort');
});

test.each([
  ['a body that is no entry', `replace(body, '"outcome":"', '"outcome" :"')`],
  ['another well-formed entry', `replace(body, '"outcome":"success"', '"outcome":"failed"')`],
])(
  'an entry that is not the one committed is not shown, and an alarm is raised once: %s',
  async (_, forgery) => {
    const alarms: [object, string][] = [];
    const error = (fields: object, message: string) => void alarms.push([fields, message]);
    const reader = createAuditReader({ postgres: database.app, log: { info() {}, warn() {}, error } });
    const superuser = await database.connect('superuser');
    const seq = events.findIndex(
      (event) =>
        event.organisation === ours &&
        event.outcome === 'success' &&
        eventScope[event.action] === 'organisation',
    );
    await superuser.query('ALTER TABLE audit.entry DISABLE TRIGGER USER');
    const { rows } = await superuser.query('SELECT body FROM audit.entry WHERE seq = $1', [seq]);
    await superuser.query(`UPDATE audit.entry SET body = ${forgery} WHERE seq = $1`, [seq]);
    const refused = { code: 'integrity_failure', extras: { entry: seq } };
    await expect(reader.read(seq, ourOfficer)).rejects.toMatchObject(refused);
    await expect(reader.find(events[seq]!.id)).rejects.toMatchObject(refused);
    await expect(reader.receiptOf(events[seq]!.id)).rejects.toMatchObject(refused);
    await superuser.query('UPDATE audit.entry SET body = $2 WHERE seq = $1', [seq, rows[0].body]);
    expect((await reader.find(events[seq]!.id))?.event).toEqual(events[seq]);
    expect(alarms).toEqual([[{ seq }, expect.stringMatching(/^ALARM: an entry of the access log/)]]);
    await reader.close();
  },
);
