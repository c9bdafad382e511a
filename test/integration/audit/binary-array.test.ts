import { afterAll, beforeAll, expect, test } from 'vitest';
import { byteaArray, textArray } from '../../../src/audit/binary-array.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await startTestDatabase({ migrated: false });
});
afterAll(() => database.close());

test('arrays arrive as they were sent', async () => {
  const client = await database.connect('owner');
  const texts = ['', 'a', '{"quoted":"\\"\\\\"}', 'Åsa 🩺', 'NULL', '{,}', 'x'.repeat(70_000)];
  const bytes = [Buffer.alloc(0), Buffer.from([0, 255, 92, 34]), Buffer.alloc(70_000, 7)];
  for (const count of [0, 1, 3, texts.length]) {
    const { rows } = await client.query('SELECT $1::text[] AS texts, $2::bytea[] AS bytes', [
      textArray(texts.slice(0, count)),
      byteaArray(bytes.slice(0, count)),
    ]);
    expect(rows[0]).toEqual({ texts: texts.slice(0, count), bytes: bytes.slice(0, count) });
  }
});

test('text that PostgreSQL cannot hold is its refusal, not a broken message', async () => {
  const client = await database.connect('owner');
  await expect(client.query('SELECT $1::text[]', [textArray(['a\u0000b'])])).rejects.toMatchObject({
    code: '22021',
  });
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
});
