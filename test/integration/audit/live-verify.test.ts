import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyLive } from '../../../src/audit/live-verify.ts';
import type { AuditHead } from '../../../src/audit/reader.ts';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import type { PostgresSettings } from '../../../src/core/postgres-settings.ts';
import { fixedId, freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, verdictOf } from '../../support/audit-writers.ts';
import { guardsOff, guardsOn } from '../../support/guards.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

const SIZE = 600;

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
let known: AuditHead;
let copies = 0;

beforeAll(async () => {
  database = await startTestDatabase();
  writers = createTestWriters(database);
  const writer = writers.open({ batchEvents: 9 });
  await Promise.all(Array.from({ length: SIZE }, () => writer.append(freshEvent())));
  known = writer.verifiedHead()!;
  await writers.close();
});
afterAll(() => database.close());

type Copy = { readonly settings: PostgresSettings; readonly superuser: pg.Client };

/** A copy of the log in a database of its own, to be tampered with. */
const withCopy = async <T>(use: (copy: Copy) => Promise<T>): Promise<T> => {
  copies += 1;
  const settings = { ...database.superuser, database: `copy_${copies}` };
  const admin = new pg.Client({ ...database.superuser, database: 'postgres' });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${settings.database} TEMPLATE callvault`);
  const superuser = new pg.Client(settings);
  await superuser.connect();
  try {
    return await use({ settings, superuser });
  } finally {
    await superuser.end();
    await admin.query(`DROP DATABASE ${settings.database} WITH (FORCE)`);
    await admin.end();
  }
};

/** What only a superuser can do, and only after switching every guard off. */
const tamper = async ({ superuser }: Copy, statements: readonly string[]): Promise<void> => {
  await guardsOff(superuser);
  for (const statement of statements) await superuser.query(statement);
  await guardsOn(superuser);
};

/** Where the batch begins that entry 70 was appended with. */
const batchOf70 = async ({ superuser }: Copy): Promise<number> =>
  (await superuser.query('SELECT max(first_seq)::int AS first FROM audit.batch WHERE first_seq <= 70'))
    .rows[0].first;

/** Entries of a log that was cut. */
const sizeOf = async ({ superuser }: Copy): Promise<number> =>
  (await superuser.query('SELECT max(size)::int AS size FROM audit.batch')).rows[0].size;

const finding = async ({ settings }: Copy, anchors: readonly AuditHead[] = []) => {
  const { ok, faults } = await verifyLive({ postgres: settings, anchors });
  return { ok, kind: faults[0]?.kind, index: faults[0]?.index };
};

test('a sound log: every entry and body, progress to the end, the head the writer knows', async () => {
  const seen: [number, number][] = [];
  const onProgress = (seq: number, size: number): void => {
    seen.push([seq, size]);
  };
  const verdict = await verifyLive({ postgres: database.app, anchors: [known], onProgress });
  expect(verdict).toEqual({
    ok: true,
    size: SIZE,
    root: known.root,
    bodies: SIZE,
    pruned: 0,
    epochs: [],
    faultCount: 0,
    faults: [],
  });
  expect(seen.at(-1)).toEqual([SIZE, SIZE]);
});

test('a log that is empty, and one that grows while it is walked through', async () => {
  const other = await startTestDatabase();
  const others = createTestWriters(other);
  try {
    expect(await verdictOf(other)).toMatchObject({ ok: true, size: 0, bodies: 0 });
    const writer = others.open();
    await writer.append(freshEvent());
    const appended: Promise<unknown>[] = [];
    const onProgress = (): void => {
      appended.push(...Array.from({ length: 20 }, () => writer.append(freshEvent())));
    };
    expect(await verifyLive({ postgres: other.app, onProgress })).toMatchObject({ ok: true, size: 1 });
    await Promise.all(appended);
    expect(await verdictOf(other)).toMatchObject({ ok: true, size: 21 });
  } finally {
    await others.close();
    await other.close();
  }
});

test('a database that cannot be read is no verdict', async () => {
  const away = { ...database.app, database: 'nowhere' };
  await expect(verifyLive({ postgres: away })).rejects.toMatchObject({ code: 'log_unavailable' });
});

test('a walk that is called off ends with the reason given', async () => {
  const reason = new Error('shutting down');
  const called = verifyLive({ postgres: database.app, signal: AbortSignal.abort(reason) });
  await expect(called).rejects.toBe(reason);
});

/** Stands for the place where the batch of entry 70 begins. */
const BATCH_OF_70 = -1;

const salted = `sha256('\\x02'::bytea || salt || convert_to(body, 'UTF8'))`;
const attacks: [string, readonly string[], { kind: string; index: number }][] = [
  [
    'a body edited',
    [`UPDATE audit.entry SET body = replace(body, '"success"', '"denied"') WHERE seq = 70`],
    { kind: 'body', index: 70 },
  ],
  [
    'white space in a body',
    [`UPDATE audit.entry SET body = replace(body, '{"v":1,', '{"v":1, ') WHERE seq = 70`],
    { kind: 'body', index: 70 },
  ],
  [
    'a salt edited',
    [`UPDATE audit.entry SET salt = sha256(salt) WHERE seq = 70`],
    { kind: 'body', index: 70 },
  ],
  [
    'a body and its commitment edited',
    [
      `UPDATE audit.entry SET body = replace(body, '"success"', '"denied"') WHERE seq = 70`,
      `UPDATE audit.leaf l SET commitment = ${salted} FROM audit.entry e WHERE e.seq = l.seq AND l.seq = 70`,
    ],
    { kind: 'tree', index: BATCH_OF_70 },
  ],
  ['a body deleted', ['DELETE FROM audit.entry WHERE seq = 70'], { kind: 'body', index: 70 }],
  [
    'a whole entry deleted',
    ['DELETE FROM audit.entry WHERE seq = 70', 'DELETE FROM audit.leaf WHERE seq = 70'],
    { kind: 'leaf', index: 70 },
  ],
  [
    'an entry deleted and the rest renumbered',
    [
      'DELETE FROM audit.entry WHERE seq = 70',
      'DELETE FROM audit.leaf WHERE seq = 70',
      'UPDATE audit.entry SET seq = seq + 10000 WHERE seq > 70',
      'UPDATE audit.entry SET seq = seq - 10001 WHERE seq > 10000',
      'UPDATE audit.leaf SET seq = seq + 10000 WHERE seq > 70',
      'UPDATE audit.leaf SET seq = seq - 10001 WHERE seq > 10000',
    ],
    { kind: 'tree', index: BATCH_OF_70 },
  ],
  [
    'two entries swapped',
    [
      ...['entry', 'leaf'].flatMap((table) => [
        `UPDATE audit.${table} SET seq = 1000000 WHERE seq = 70`,
        `UPDATE audit.${table} SET seq = 70 WHERE seq = 590`,
        `UPDATE audit.${table} SET seq = 590 WHERE seq = 1000000`,
      ]),
    ],
    { kind: 'tree', index: BATCH_OF_70 },
  ],
  [
    'an event id exchanged',
    [`UPDATE audit.leaf SET event_id = '${fixedId(7)}' WHERE seq = 70`],
    { kind: 'columns', index: 70 },
  ],
  [
    'a record of an append deleted',
    ['DELETE FROM audit.batch WHERE first_seq <= 70 AND size > 70'],
    { kind: 'batch', index: BATCH_OF_70 },
  ],
  [
    'a root edited',
    [`UPDATE audit.batch SET root = sha256(root) WHERE first_seq <= 70 AND size > 70`],
    { kind: 'tree', index: BATCH_OF_70 },
  ],
  [
    'a node edited',
    [`UPDATE audit.node SET hash = sha256(hash) WHERE level = 8 AND index = 1`],
    { kind: 'tree', index: 256 },
  ],
  ['a node deleted', ['DELETE FROM audit.node WHERE index = 1'], { kind: 'tree', index: 256 }],
  [
    'a leaf planted far ahead',
    [`INSERT INTO audit.leaf VALUES (900000, sha256(''), gen_random_uuid())`],
    { kind: 'beyond', index: 900_000 },
  ],
  [
    'an entry planted far ahead',
    [`INSERT INTO audit.entry (seq, salt, body) SELECT 900000, salt, body FROM audit.entry WHERE seq = 1`],
    { kind: 'beyond', index: 900_000 },
  ],
  ['a node planted', [`INSERT INTO audit.node VALUES (8, 2, sha256(''))`], { kind: 'beyond', index: 512 }],
  [
    'the last leaves cut, their record left',
    ['DELETE FROM audit.leaf WHERE seq >= 598'],
    { kind: 'leaf', index: 598 },
  ],
  ['the last bodies cut', ['DELETE FROM audit.entry WHERE seq >= 598'], { kind: 'body', index: 598 }],
  ['all records of appends deleted', ['DELETE FROM audit.batch'], { kind: 'beyond', index: 0 }],
];

describe('H-5 what a superuser did is found at its place', () => {
  test.each(attacks)('%s', (_, statements, expected) =>
    withCopy(async (copy) => {
      const first = await batchOf70(copy);
      await tamper(copy, statements);
      const { kind, index } = expected;
      expect(await finding(copy)).toEqual({ ok: false, kind, index: index === BATCH_OF_70 ? first : index });
    }),
  );

  test('a search column edited, after the column was cut loose from the body', () =>
    withCopy(async (copy) => {
      await tamper(copy, [
        'ALTER TABLE audit.entry ALTER COLUMN facts DROP EXPRESSION',
        `UPDATE audit.entry SET facts.actor = 'somebody else' WHERE seq = 70`,
      ]);
      expect(await finding(copy)).toEqual({ ok: false, kind: 'columns', index: 70 });
    }));

  test('the function that derives the columns replaced, and a row written through it', () =>
    withCopy(async (copy) => {
      const { rows } = await copy.superuser.query('SELECT salt, body FROM audit.entry WHERE seq = 70');
      const body = rows[0].body.replace(/"id":"[^"]+"/, `"id":"${fixedId(5)}"`);
      await tamper(copy, [
        `CREATE OR REPLACE FUNCTION audit.facts_of(body text) RETURNS audit.facts LANGUAGE sql IMMUTABLE
           RETURN (SELECT ROW((b ->> 'id')::uuid, 0, b ->> 'action', 'success', NULL, NULL, NULL, NULL, NULL, NULL, NULL)::audit.facts
                     FROM (SELECT body::jsonb AS b) AS parsed)`,
      ]);
      await copy.superuser.query('SELECT audit.append($1, 0, $2, $3)', ['w', [rows[0].salt], [body]]);
      expect(await finding(copy)).toEqual({ ok: false, kind: 'columns', index: SIZE });
    }));

  test('a body that the log committed to but that is no entry', () =>
    withCopy(async (copy) => {
      const body = `{"id":"${fixedId(5)}","at":1,"action":"x","outcome":"success","detail":{}}`;
      await copy.superuser.query('SELECT audit.append($1, 0, $2, $3)', ['w', [Buffer.alloc(32)], [body]]);
      expect(await finding(copy)).toEqual({ ok: false, kind: 'form', index: SIZE });
    }));
});

describe('H-5 what cannot be seen from within the log is seen from a head kept elsewhere', () => {
  const cutTail = ['entry', 'leaf'].map(
    (table) => `DELETE FROM audit.${table} WHERE seq >= (SELECT max(first_seq) FROM audit.batch)`,
  );
  const cutHead = 'DELETE FROM audit.batch WHERE first_seq = (SELECT max(first_seq) FROM audit.batch)';

  test('the tail cut off cleanly', () =>
    withCopy(async (copy) => {
      await tamper(copy, [...cutTail, cutHead]);
      expect((await finding(copy)).ok).toBe(true);
      const cut = await sizeOf(copy);
      expect(await finding(copy, [known])).toEqual({ ok: false, kind: 'anchor', index: cut });
    }));

  test('the tail cut off and grown longer', () =>
    withCopy(async (copy) => {
      await tamper(copy, [...cutTail, cutHead]);
      const bodies = Array.from({ length: 100 }, () => encodeEvent(freshEvent()).body);
      const salts = bodies.map(() => Buffer.alloc(32));
      await copy.superuser.query('SELECT audit.append($1, 0, $2, $3)', ['w', salts, bodies]);
      expect((await finding(copy)).ok).toBe(true);
      expect(await finding(copy, [known])).toEqual({ ok: false, kind: 'anchor', index: 0 });
    }));
});
