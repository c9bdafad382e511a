import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { datedBack, makePartitionsSmall, SMALL } from '../../support/small-partitions.ts';

/** audit.prune, the only way by which bodies of the log are removed. */
const YEAR = 365.25 * 86_400_000;
const OLD = Date.now() - 7 * YEAR;
const retention = 'callvault_retention_callvault';
const owner = 'callvault_audit_owner_callvault';

let database: TestDatabase;
let superuser: pg.Client;
let writers: ReturnType<typeof createTestWriters>;
beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  await makePartitionsSmall(superuser);
  writers = createTestWriters(database);
});
afterEach(async () => {
  await writers.close();
  await database.close();
});

const append = async (count: number, at: number): Promise<void> => {
  const writer = writers.open({ batchEvents: 64 });
  await Promise.all(Array.from({ length: count }, () => writer.append(freshEvent({ at }))));
  await writer.close();
};

/** Two whole partitions of the age given and a little of a third. */
const fill = async (at: number): Promise<void> => {
  await append(2 * SMALL + 3, at);
  await datedBack(superuser, at);
};

const tell = async (detail: object, at = Date.now()): Promise<void> => {
  const writer = writers.open();
  await writer.append(freshEvent({ action: 'log.pruned', id: randomUUID(), at, detail }));
  await writer.close();
};

const asRole = async (role: string, number: number, floor: number | null): Promise<number> => {
  const client = await database.connect('superuser');
  try {
    if (role !== 'postgres') await client.query(`SET ROLE ${role}`);
    const { rows } = await client.query('SELECT audit.prune($1, $2)::int AS removed', [number, floor]);
    return rows[0].removed;
  } finally {
    await client.end();
  }
};

const bodies = async (): Promise<number[]> =>
  (await superuser.query('SELECT DISTINCT seq >> 8 AS part FROM audit.entry ORDER BY 1')).rows.map(
    ({ part }) => Number(part),
  );

test('H-5 an old partition goes, whole and alone; commitments, nodes and appends stay', async () => {
  await fill(OLD);
  await tell({ from: 0, to: SMALL, floor: 5 });
  const counts = `SELECT (SELECT count(*)::int FROM audit.leaf) AS leaves, (SELECT count(*)::int FROM audit.batch) AS batches,
                         (SELECT count(*)::int FROM audit.node) AS nodes`;
  const before = (await superuser.query(counts)).rows;
  expect(await asRole(retention, 0, 5)).toBe(SMALL);
  expect(await bodies()).toEqual([1, 2]);
  expect((await superuser.query(counts)).rows).toEqual(before);
  // What is gone is not made again, and cannot be removed twice.
  await append(3, OLD);
  expect(await bodies()).toEqual([1, 2]);
  await expect(asRole(retention, 0, 5)).rejects.toMatchObject({ code: 'CV003' });
});

describe('H-5 refused, whoever asks', () => {
  const roles = [retention, owner, 'postgres'];
  const refused = async (number: number, floor: number | null, why: RegExp): Promise<void> => {
    for (const role of roles)
      await expect(asRole(role, number, floor)).rejects.toMatchObject({
        code: 'CV003',
        message: expect.stringMatching(why),
      });
    expect(await bodies()).toEqual([0, 1, 2]);
  };

  test('a floor below five years, or none', async () => {
    await fill(OLD);
    await tell({ from: 0, to: SMALL, floor: 4 });
    for (const floor of [4, 0, -5, null]) await refused(0, floor, /five years or longer/);
  });

  test('a young partition, though the entry says it is old enough', async () => {
    await fill(Date.now() - 4.9 * YEAR);
    await tell({ from: 0, to: SMALL, floor: 5 });
    await refused(0, 5, /younger than 5 years/);
  });

  test('one that is old enough for five years and not for the floor that is asked for', async () => {
    await fill(OLD);
    await tell({ from: 0, to: SMALL, floor: 8 });
    await refused(0, 8, /younger than 8 years/);
  });

  test('one whose last entry is young', async () => {
    await append(SMALL - 1, OLD);
    await append(1, Date.now() - YEAR);
    await append(10, OLD);
    await datedBack(superuser, OLD);
    await append(SMALL, OLD);
    await tell({ from: 0, to: SMALL, floor: 5 });
    await refused(0, 5, /younger/);
  });

  test('one behind which everything is young: nothing shows when its last entry was written', async () => {
    await append(SMALL, OLD);
    await datedBack(superuser, OLD);
    await append(SMALL + 1, Date.now());
    await tell({ from: 0, to: SMALL, floor: 5 });
    await refused(0, 5, /younger/);
  });

  test('entries dated back: the database knows when they were appended', async () => {
    await append(2 * SMALL + 3, OLD);
    await tell({ from: 0, to: SMALL, floor: 5 });
    await refused(0, 5, /younger/);
  });

  test.each([
    ['none', null],
    ['of another end', { from: 0, to: SMALL - 1, floor: 5 }],
    ['of more than is removed', { from: 0, to: 2 * SMALL, floor: 5 }],
    ['of another beginning', { from: 1, to: SMALL, floor: 5 }],
    ['of another floor', { from: 0, to: SMALL, floor: 6 }],
  ])('an entry that tells of it: %s', async (_, detail) => {
    await fill(OLD);
    if (detail !== null) await tell(detail);
    await refused(0, 5, /no entry/);
  });

  test('an entry that tells of it by a clock far ahead, or far behind', async () => {
    await fill(Date.now() - 4 * YEAR);
    await tell({ from: 0, to: SMALL, floor: 5 }, Date.now() + 10 * YEAR);
    await refused(0, 5, /younger/);
  });

  test('a younger partition before an older one, and the newest', async () => {
    await fill(OLD);
    await tell({ from: 0, to: 2 * SMALL, floor: 5 });
    await tell({ from: 0, to: 3 * SMALL, floor: 5 });
    for (const number of [1, 2, 3, -1]) await refused(number, 5, /not the oldest/);
  });
});

test('the newest partition stays, whatever its age', async () => {
  await append(3, OLD);
  await datedBack(superuser, OLD);
  await tell({ from: 0, to: SMALL, floor: 5 }, OLD);
  await expect(asRole('postgres', 0, 5)).rejects.toMatchObject({ code: 'CV003' });
});

test('who serves and who reads may not ask at all', async () => {
  await fill(OLD);
  await tell({ from: 0, to: SMALL, floor: 5 });
  for (const role of ['callvault_app_callvault', 'callvault_officer_callvault', 'pg_write_all_data'])
    await expect(asRole(role, 0, 5)).rejects.toMatchObject({ code: '42501' });
  expect(await bodies()).toEqual([0, 1, 2]);
});

test('while somebody reads the log it is refused at once, and appends go on', async () => {
  await fill(OLD);
  await tell({ from: 0, to: SMALL, floor: 5 });
  const reader = await database.connect('app');
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await reader.query('SELECT count(*) FROM audit.entry');
  const asked = asRole(retention, 0, 5);
  const written = append(1, Date.now());
  await expect(asked).rejects.toMatchObject({ code: '55P03' });
  await written;
  await reader.query('COMMIT');
  expect(await asRole(retention, 0, 5)).toBe(SMALL);
});
