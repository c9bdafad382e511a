import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** audit.append itself, called as a program of somebody else's with the application's role could call it. */
let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await startTestDatabase();
  client = await database.connect('app');
});
afterAll(() => database.close());

const salt = Buffer.alloc(32);
const freshBody = (): string => encodeEvent(freshEvent()).body;

const append = async (...[writer, known, salts, bodies]: readonly unknown[]) =>
  (await client.query('SELECT * FROM audit.append($1, $2, $3, $4)', [writer, known, salts, bodies])).rows[0];

const rowCounts = async (): Promise<unknown> =>
  (
    await client.query(
      `SELECT (SELECT count(*) FROM audit.leaf) AS leaves, (SELECT count(*) FROM audit.entry) AS entries,
              (SELECT count(*) FROM audit.batch) AS batches, (SELECT count(*) FROM audit.node) AS nodes`,
    )
  ).rows[0];

describe('what cannot be appended leaves nothing behind', () => {
  const good = freshBody();
  test.each([
    ['no body', ['w', 0, [], []], '2202'],
    ['no salt for a body', ['w', 0, [salt], [good, good]], '2202'],
    ['nothing instead of lists', ['w', 0, null, null], '2202'],
    ['a salt of 31 bytes', ['w', 0, [salt.subarray(1)], [good]], '23514'],
    ['no salt', ['w', 0, [null], [good]], '23502'],
    ['no body in the list', ['w', 0, [salt], [null]], '23502'],
    ['a body that is no JSON', ['w', 0, [salt], ['{"id"']], '22P02'],
    ['a body of 65,537 bytes', ['w', 0, [salt], [good.replace('req-1', 'x'.repeat(65_537))]], '23514'],
    ['a body with NUL escaped', ['w', 0, [salt], [good.replace('req-1', '\\u0000')]], '22P05'],
    ['a body with half a surrogate pair', ['w', 0, [salt], [good.replace('req-1', '\\ud800')]], '22P02'],
    ['an id that is no UUID', ['w', 0, [salt], [good.replace(/"id":"[^"]+"/, '"id":"x"')]], '22P02'],
    ['no id', ['w', 0, [salt], [good.replace(/"id":"[^"]+",/, '')]], '23514'],
    ['no time', ['w', 0, [salt], [good.replace(/"at":\d+,/, '')]], '23514'],
    ['a time beyond any', ['w', 0, [salt], [good.replace(/"at":\d+,/, '"at":1e30,')]], '22'],
    ['no detail', ['w', 0, [salt], [good.replace(/,"detail":.*$/, '}')]], '22P02'],
    ['the same event twice', ['w', 0, [salt, salt], [good, good]], '23505'],
    ['a person as the writer', ['Anna Andersson', 0, [salt], [good]], '23514'],
    ['no writer', [null, 0, [salt], [good]], '23502'],
    ['a log that has not come as far as the caller saw it', ['w', 1_000_000, [salt], [good]], 'CV001'],
  ] as const)('%s', async (_, values, code) => {
    const before = await rowCounts();
    await expect(append(...values)).rejects.toMatchObject({
      code: expect.stringMatching(new RegExp(`^${code}`)),
    });
    expect(await rowCounts()).toEqual(before);
  });

  test.each(['REPEATABLE READ', 'SERIALIZABLE'])(
    'in a transaction that is %s: it could not see what others committed',
    async (level) => {
      await client.query(`BEGIN ISOLATION LEVEL ${level}`);
      await expect(append('w', 0, [salt], [freshBody()])).rejects.toMatchObject({ code: '25000' });
      await client.query('ROLLBACK');
    },
  );
});

describe('a caller’s session cannot lead the function astray', () => {
  test('by a search path of its own: nothing but the log’s own tables and functions is used', async () => {
    await client
      .query('CREATE TEMP TABLE leaf (seq bigint); CREATE TEMP TABLE batch (first_seq bigint, size bigint)')
      .catch(() => undefined);
    await client.query(`SET search_path = pg_temp, public, audit`);
    const { previous_size, size } = await append('w', 0, [salt], [freshBody()]);
    await client.query('RESET search_path');
    expect(Number(size)).toBe(Number(previous_size) + 1);
  });

  test('in a transaction that is rolled back: nothing is kept, and the next append takes the same place', async () => {
    await client.query('BEGIN');
    const first = await append('w', 0, [salt], [freshBody()]);
    await client.query('ROLLBACK');
    const second = await append('w', 0, [salt], [freshBody()]);
    expect(second.previous_size).toBe(first.previous_size);
  });
});

test('what others have added since is told up to 4,096 commitments, beyond that it says so', async () => {
  const { size } = await append('w', 0, [salt], [freshBody()]);
  const salts = Array.from({ length: 4_097 }, () => salt);
  await append('w', size, salts, salts.map(freshBody));
  const tooMany = await append('w', size, [salt], [freshBody()]);
  expect(tooMany.others).toBeNull();
  const enough = await append('w', Number(size) + 2, [salt], [freshBody()]);
  expect(enough.others).toHaveLength(32 * 4_096);
  const none = await append('w', enough.size, [salt], [freshBody()]);
  expect(none.others).toHaveLength(0);
});
