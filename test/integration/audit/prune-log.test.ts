import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogBodies, createPrune } from '../../../src/audit/log-bodies.ts';
import type { PostgresSettings } from '../../../src/core/postgres-settings.ts';
import { createPruneLog, type PruneLogDeps } from '../../../src/services/prune-log.ts';
import { assertLeastPrivilege } from '../../../src/storage/least-privilege.ts';
import { ensureLoginRole } from '../../../src/storage/login-role.ts';
import { fixedId, freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, type TestWriter, verdictOf } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { datedBack, makePartitionsSmall, SMALL } from '../../support/small-partitions.ts';

/** Removing old bodies, from the question to the verified log, and what becomes of removing them otherwise. */
const YEAR = 365.25 * 86_400_000;
const OLD = Date.now() - 7 * YEAR;
const HELD = fixedId(77);

let database: TestDatabase;
let superuser: pg.Client;
let retention: PostgresSettings;
let writers: ReturnType<typeof createTestWriters>;
let writer: TestWriter;
beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  retention = { ...database.app, user: 'callvault_pruner', password: 'retention-in-a-test-0123' };
  await ensureLoginRole(await database.connect('owner'), retention, { kind: 'retention' });
  await makePartitionsSmall(superuser);
  writers = createTestWriters(database);
  writer = writers.open({ batchEvents: 64 });
});
afterEach(async () => {
  await writers.close();
  await database.close();
});

const append = async (count: number, at: number, recording = fixedId(10)): Promise<void> => {
  await Promise.all(Array.from({ length: count }, () => writer.append(freshEvent({ at, recording }))));
};

/** Two whole partitions of seven years ago and a little of a third. */
const fill = async (): Promise<void> => {
  await append(2 * SMALL + 3, OLD);
  await datedBack(superuser, OLD);
};

const pruneLog = (differing: Partial<PruneLogDeps> = {}) =>
  createPruneLog({
    audit: writer,
    log: writer,
    bodies: createLogBodies(database.app),
    prune: createPrune(retention, (client) => assertLeastPrivilege(client, 'retention')),
    holds: { heldRecordings: async () => [] },
    floorYears: 5,
    now: Date.now,
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 20)),
    ...differing,
  });

const told = async (): Promise<object[]> =>
  (
    await superuser.query(
      `SELECT body::jsonb -> 'detail' AS detail FROM audit.entry WHERE (facts).action = 'log.pruned' ORDER BY seq`,
    )
  ).rows.map(({ detail }) => detail);

const bodiesLeft = async (): Promise<number> =>
  (await superuser.query('SELECT count(*)::int AS count FROM audit.entry')).rows[0].count;

const drop = async (table: string): Promise<void> => {
  await superuser.query(`DROP TABLE audit.${table}`);
};

test('H-5 old partitions go, each told of first; what is left verifies, and the count is told', async () => {
  await append(SMALL, OLD);
  await append(SMALL + 3, OLD + YEAR);
  await datedBack(superuser, OLD);
  // Behind the first partition stands an entry that is younger than the day.
  expect(await pruneLog()(OLD + 86_400_000)).toEqual([]);
  expect(await pruneLog()(OLD + YEAR)).toEqual([
    { from: 0, to: SMALL, bodies: SMALL },
    { from: SMALL, to: 2 * SMALL, bodies: SMALL },
  ]);
  expect(await told()).toEqual([
    { from: 0, to: SMALL, floor: 5 },
    { from: 0, to: 2 * SMALL, floor: 5 },
  ]);
  const after = { ok: true, faults: [], pruned: 2 * SMALL, size: 2 * SMALL + 5, bodies: 5 };
  expect(await verdictOf(database)).toMatchObject(after);
  expect(await pruneLog()(OLD + YEAR)).toEqual([]);
  await append(SMALL, Date.now());
  expect(await verdictOf(database)).toMatchObject({ ok: true, pruned: 2 * SMALL, bodies: SMALL + 5 });
});

describe('what stays', () => {
  test('everything younger than the floor, whatever is asked for', async () => {
    await fill();
    for (const before of [Date.now(), Date.now() - 4.9 * YEAR, Date.now() + YEAR])
      await expect(pruneLog()(before)).rejects.toMatchObject({ code: 'retention_floor' });
    await expect(pruneLog({ floorYears: 8 })(OLD)).rejects.toMatchObject({ code: 'retention_floor' });
    for (const floorYears of [4, 0, Number.NaN, 5.5])
      await expect(pruneLog({ floorYears })(OLD)).rejects.toMatchObject({ code: 'config_invalid' });
    expect(await told()).toEqual([]);
  });

  test('what is younger than the day asked for', async () => {
    await fill();
    expect(await pruneLog()(OLD - 1)).toEqual([]);
    expect([await told(), await bodiesLeft()]).toEqual([[], 2 * SMALL + 3]);
  });

  test('what was dated back: the database knows when it was appended', async () => {
    await append(2 * SMALL + 3, OLD);
    expect(await pruneLog()(OLD + 1)).toEqual([]);
  });

  test('a partition that tells of a recording on hold, until the hold is released', async () => {
    await append(1, OLD, HELD);
    await fill();
    const held = { heldRecordings: async () => [fixedId(76), HELD] };
    await expect(pruneLog({ holds: held })(OLD + 1)).rejects.toMatchObject({ code: 'held' });
    expect([await told(), await bodiesLeft()]).toEqual([[], 2 * SMALL + 4]);
    expect(await pruneLog({ holds: { heldRecordings: async () => [fixedId(76)] } })(OLD + 1)).toHaveLength(2);
  });

  test('everything, when the log does not take the entry', async () => {
    await fill();
    await superuser.query(
      'REVOKE EXECUTE ON FUNCTION audit.append(text, bigint, bytea[], text[]) FROM callvault_app_callvault',
    );
    await expect(pruneLog()(OLD + 1)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await bodiesLeft()).toBe(2 * SMALL + 3);
  });
});

test('broken off between entry and removal: done at the next run, told once', async () => {
  await fill();
  const interrupted = pruneLog({ prune: () => Promise.reject(new Error('killed')) });
  await expect(interrupted(OLD + 1)).rejects.toThrow('killed');
  expect(await verdictOf(database)).toMatchObject({ ok: true, pruned: 0 });
  expect((await pruneLog()(OLD + 1))[0]).toEqual({ from: 0, to: SMALL, bodies: SMALL });
  expect((await told()).filter((detail) => (detail as { to: number }).to === SMALL)).toHaveLength(1);
});

test('while somebody reads the log it waits, and says so when it was too long', async () => {
  await fill();
  const reader = await database.connect('app');
  await reader.query('BEGIN; SELECT count(*) FROM audit.entry');
  const impatient = pruneLog({ pause: async () => undefined });
  await expect(impatient(OLD + 1)).rejects.toMatchObject({ code: 'in_progress' });
  const patient = pruneLog({ pause: async () => void (await reader.query('COMMIT')) });
  expect(await patient(OLD + 1)).toHaveLength(2);
  expect(await told()).toHaveLength(2);
});

describe('the role that removes', () => {
  test.each([
    ['superuser', () => database.superuser, /superuser/],
    ['the application', () => database.app, /member of callvault_app_callvault/],
    ['the owner of the database', () => database.owner, /can do too much/],
  ] as const)('%s is refused', async (_, settings, why) => {
    await fill();
    const prune = createPrune(settings(), (client) => assertLeastPrivilege(client, 'retention'));
    await expect(pruneLog({ prune })(OLD + 1)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(why),
    });
    expect(await bodiesLeft()).toBe(2 * SMALL + 4);
  });

  test.each([
    ['reads the log', 'GRANT SELECT ON audit.entry TO callvault_pruner', /may read or change audit\.entry/],
    ['reads people', 'GRANT SELECT ON public.app_user TO callvault_pruner', /may read or change/],
    [
      'writes the log',
      'GRANT EXECUTE ON FUNCTION audit.append(text, bigint, bytea[], text[]) TO callvault_pruner',
      /may write to the access log/,
    ],
    [
      'adds partitions',
      'GRANT EXECUTE ON FUNCTION audit.add_partitions(bigint) TO callvault_pruner',
      /may write to the access log, by audit\.add_partitions/,
    ],
    [
      'is the application too',
      'GRANT callvault_app_callvault TO callvault_pruner',
      /member of callvault_app/,
    ],
    ['makes roles', 'ALTER ROLE callvault_pruner CREATEROLE', /CREATEROLE/],
  ])('one that also %s is refused', async (_, grant, why) => {
    await superuser.query(grant);
    const client = await database.connect('superuser');
    await client.query('SET SESSION AUTHORIZATION callvault_pruner');
    await expect(assertLeastPrivilege(client, 'retention')).rejects.toThrow(why);
  });

  test('does that and nothing else', async () => {
    const client = await database.connect('superuser');
    await client.query('SET SESSION AUTHORIZATION callvault_pruner');
    await assertLeastPrivilege(client, 'retention');
    for (const statement of [
      'SELECT FROM audit.entry',
      'SELECT FROM audit.leaf',
      'SELECT FROM public.recording',
      `SELECT audit.append('w', 0, ARRAY[sha256('')], ARRAY[''])`,
      'SELECT audit.oldest_bodies()',
      'DROP TABLE audit.entry_000000',
      'CREATE TEMPORARY TABLE x ()',
    ])
      await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' });
    await expect(client.query('SELECT audit.prune(0, 5)')).rejects.toMatchObject({ code: 'CV003' });
  });
});

describe('H-5 a superuser removes bodies otherwise, and it is found', () => {
  test('a partition without the entry: missing', async () => {
    await fill();
    await drop('entry_000000');
    expect(await verdictOf(database)).toMatchObject({
      ok: false,
      pruned: 0,
      faults: [{ kind: 'body', index: 0, message: `The bodies of entries 0 to ${SMALL - 1} are missing.` }],
    });
  });

  test('a young partition with the entry: too early', async () => {
    await append(2 * SMALL + 3, Date.now() - 4 * YEAR);
    await writer.append(
      freshEvent({ action: 'log.pruned', at: Date.now(), detail: { from: 0, to: SMALL, floor: 5 } }),
    );
    await drop('entry_000000');
    expect(await verdictOf(database)).toMatchObject({
      ok: false,
      pruned: 0,
      faults: [{ kind: 'early_prune', index: 0 }],
    });
  });

  test('a young partition with an entry of the year 2099', async () => {
    await append(2 * SMALL + 3, Date.now() - YEAR);
    await writer.append(
      freshEvent({
        action: 'log.pruned',
        at: Date.parse('2099-01-01'),
        detail: { from: 0, to: SMALL, floor: 5 },
      }),
    );
    await drop('entry_000000');
    expect((await verdictOf(database)).faults).toMatchObject([{ kind: 'early_prune', index: 0 }]);
  });

  test('commitments together with the bodies: the skeleton stays for ever', async () => {
    await fill();
    await append(5, Date.now());
    await pruneLog()(OLD + 1);
    await superuser.query('ALTER TABLE audit.leaf DISABLE TRIGGER USER');
    await superuser.query('DELETE FROM audit.leaf WHERE seq < 10');
    expect((await verdictOf(database)).faults[0]).toMatchObject({ kind: 'leaf', index: 0 });
  });
});
