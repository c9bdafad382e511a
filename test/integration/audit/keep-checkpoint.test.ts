import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** The two functions by which the application keeps checkpoints and cosignatures. */
let database: TestDatabase;
let app: pg.Client;
beforeAll(async () => {
  database = await startTestDatabase({ durable: true });
  app = await database.connect('app');
  const writers = createTestWriters(database);
  const writer = writers.open();
  for (let i = 0; i < 3; i += 1) await writer.append(freshEvent());
  await writers.close();
});
afterAll(() => database.close());

const note = (size: number | string, root = 'root'): string =>
  `callvault.x\n${size}\n${root}\n\n— callvault.x AAAA\n`;
const keep = async (size: number, text: string, client = app): Promise<string> =>
  (await client.query('SELECT audit.keep_checkpoint($1, $2) AS kept', [size, text])).rows[0].kept;
const cosign = (size: number, witness: string, line: string) =>
  app.query('SELECT audit.keep_cosignature($1, $2, $3)', [size, witness, line]);

test('what is kept first stays, and whoever comes later is told what it is', async () => {
  expect(await keep(2, note(2))).toBe(note(2));
  expect(await keep(2, note(2, 'other'))).toBe(note(2));
  expect(await keep(2, note(2))).toBe(note(2));
  const { rows } = await app.query('SELECT size::int, note FROM audit.checkpoint');
  expect(rows).toEqual([{ size: 2, note: note(2) }]);
});

test('two who keep the same size at once are both told the same', async () => {
  const clients = await Promise.all(Array.from({ length: 8 }, () => database.connect('app')));
  const kept = await Promise.all(clients.map((client, i) => keep(3, note(3, `root${i}`), client)));
  expect(new Set(kept).size).toBe(1);
});

test.each([
  ['of more than the log has', 4, note(4), 'CV001'],
  ['of nothing', 0, note(0), '23514'],
  ['below nothing', -1, note(-1), '23514'],
  ['whose text names another size', 1, note(2), '23514'],
  ['without lines', 1, '1', '23514'],
  ['that is too long', 1, `${note(1)}${'x'.repeat(65_536)}`, '23514'],
] as const)('a checkpoint %s is refused', async (_what, size, text, code) => {
  await expect(keep(size, text)).rejects.toMatchObject({ code });
});

test('a snapshot that is older than what others kept is refused, not answered with nothing', async () => {
  await app.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await expect(keep(1, note(1))).rejects.toMatchObject({ code: '25000' });
  await app.query('ROLLBACK');
});

test('a cosignature: the first of each witness, under a checkpoint that is kept', async () => {
  await cosign(2, 'w.example+0badcafe', '— w.example one\n');
  await cosign(2, 'w.example+0badcafe', '— w.example two\n');
  await cosign(2, 'v.example+0badcafe', '— v.example three\n');
  const { rows } = await app.query('SELECT size::int, witness, line FROM audit.cosignature ORDER BY witness');
  expect(rows).toEqual([
    { size: 2, witness: 'v.example+0badcafe', line: '— v.example three\n' },
    { size: 2, witness: 'w.example+0badcafe', line: '— w.example one\n' },
  ]);
});

test.each([
  ['under no checkpoint', 1, 'w+0badcafe', '— w x\n', '23503'],
  ['of a witness without an id', 2, 'w', '— w x\n', '23514'],
  ['of two lines', 2, 'u+0badcafe', '— w x\n— w y\n', '23514'],
  ['without its end', 2, 'u+0badcafe', '— w x', '23514'],
  ['that is no line of a note', 2, 'u+0badcafe', 'x\n', '23514'],
] as const)('a cosignature %s is refused', async (_what, size, witness, line, code) => {
  await expect(cosign(size, witness, line)).rejects.toMatchObject({ code });
});

test('what is kept is on disk, whatever the session asked for', async () => {
  const syncs = async (): Promise<number> => {
    await app.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await app.query(
      `SELECT coalesce(sum(fsyncs), 0)::int AS count FROM pg_stat_get_backend_io(pg_backend_pid()) WHERE object = 'wal'`,
    );
    return rows[0].count;
  };
  await app.query('SET synchronous_commit = off');
  const before = await syncs();
  await keep(1, note(1));
  expect(await syncs()).toBe(before + 1);
});
