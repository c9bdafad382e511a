import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../../src/core/audit/checkpoint.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { checkpointsLog } from '../../support/checkpointed-log.ts';
import { cuttable, ORIGIN } from '../../support/checkpoints.ts';

/** Checkpoints of a real log: made, kept, copied, and compared with the log ever after. */
const log = checkpointsLog();
const head = async (): Promise<{ size: number; root: Buffer }> =>
  (await log.superuser.query('SELECT size::int, root FROM audit.batch ORDER BY first_seq DESC LIMIT 1'))
    .rows[0];

describe('a round', () => {
  test('of an empty log makes none', async () => {
    const one = await log.scene.open(log.writer);
    await one.round();
    expect(await log.kept()).toEqual([]);
    expect(await readdir(log.scene.folder)).toEqual([]);
  });

  test('signs size and root, keeps the note and copies it; one without growth does nothing', async () => {
    const one = await log.scene.open(log.writer);
    await log.append(3);
    await one.round();
    const [made, ...others] = await log.kept();
    expect(others).toEqual([]);
    const checkpoint = openCheckpoint(made!.note, { origin: ORIGIN, keys: await log.scene.signer.keys() });
    expect(checkpoint).toEqual({ origin: ORIGIN, ...(await head()) });
    expect(await readdir(log.scene.folder)).toEqual(['0000000000000003']);
    const copy = join(log.scene.folder, '0000000000000003');
    expect(await readFile(copy, 'utf8')).toBe(made!.note);
    expect((await stat(copy)).mode & 0o777).toBe(0o400);
    await one.round();
    expect(await log.kept()).toHaveLength(1);
    await log.append(1);
    await one.round();
    expect((await log.kept()).map(({ size }) => size)).toEqual([3, 4]);
  });

  test('reads only what is new, also after a restart', async () => {
    await log.append(300);
    const one = await log.scene.open(log.writer);
    await one.round();
    await one.close();
    await log.append(2);
    await log.superuser.query('SELECT pg_stat_reset()');
    const two = await log.scene.open(log.writer);
    await two.resume();
    await two.round();
    await two.close();
    const client = await log.database.connect('superuser');
    const { rows } = await client.query(
      `SELECT coalesce(idx_tup_fetch, 0)::int + coalesce(seq_tup_read, 0)::int AS read FROM pg_stat_user_tables
        WHERE schemaname = 'audit' AND relname = 'leaf'`,
    );
    // 300 is one node of 256, and 44 leaves that no stored node covers; more than once, but never all 302 at a time.
    expect(rows[0].read).toBeGreaterThan(0);
    expect(rows[0].read).toBeLessThan(200);
    expect((await log.kept()).map(({ size }) => size)).toEqual([300, 302]);
  });
});

test('a place that is away delays its copy and nothing else', async () => {
  const place = cuttable(await log.scene.openFolder());
  const one = await log.scene.open(log.writer, { place });
  place.away = true;
  await log.append(2);
  await one.round();
  expect((await log.kept()).map(({ size }) => size)).toEqual([2]);
  expect(one.copies()).toEqual([{ where: log.scene.folder, size: 0 }]);
  expect(one.lines).toContainEqual(expect.objectContaining({ level: 'warn' }));
  place.away = false;
  // The log has not grown; the copy is made up for all the same.
  await one.round();
  expect(await readdir(log.scene.folder)).toEqual(['0000000000000002']);
  expect(one.copies()).toEqual([{ where: log.scene.folder, size: 2 }]);
  await log.writer.append(freshEvent());
});

test('the database away: nothing is halted, and the next round makes up for it', async () => {
  const one = await log.scene.open(log.writer);
  await log.append(1);
  await one.round();
  await log.database.stopServer();
  await expect(one.round()).rejects.toMatchObject({ code: 'log_unavailable' });
  await log.database.startServer();
  await one.round();
  expect(one.alarms()).toEqual([]);
});

test('a place that does not have the newest one is told of, and gets the next', async () => {
  const one = await log.scene.open(log.writer);
  await log.append(2);
  await one.round();
  const there = await log.scene.open(log.writer);
  await there.resume();
  expect(there.lines).toEqual([]);
  await rm(log.scene.folder, { recursive: true });
  const gone = await log.scene.open(log.writer);
  await gone.resume();
  expect(gone.lines).toEqual([
    {
      level: 'warn',
      fields: { what: log.scene.folder, size: 2 },
      message: expect.stringContaining('does not have the newest'),
    },
  ]);
  await gone.round();
  expect(await readdir(log.scene.folder)).toEqual(['0000000000000002']);
});

test('at the end there is a last one', async () => {
  const one = await log.scene.open(log.writer);
  one.start();
  await one.round();
  await log.append(5);
  await one.close();
  expect((await log.kept()).at(-1)?.size).toBe(5);
});

describe('two processes', () => {
  test('that checkpoint at once keep the same, and neither takes the other for a liar', async () => {
    const other = log.writers.open();
    const [one, two] = [await log.scene.open(log.writer), await log.scene.open(other)];
    for (let i = 0; i < 10; i += 1) {
      await log.append(3);
      await log.append(2, other);
      await Promise.all([one.round(), two.round()]);
    }
    // While both write and both sign.
    await Promise.all([
      log.append(30),
      log.append(30, other),
      ...Array.from({ length: 10 }, async () => {
        await one.round();
        await two.round();
      }),
    ]);
    await Promise.all([one.round(), two.round()]);
    expect([...one.alarms(), ...two.alarms()]).toEqual([]);
    const all = await log.kept();
    expect(all.at(-1)?.size).toBe(110);
    const keys = await log.scene.signer.keys();
    for (const { size, note } of all) expect(openCheckpoint(note, { origin: ORIGIN, keys })?.size).toBe(size);
    expect((await readdir(log.scene.folder)).at(-1)).toBe('0000000000000110');
  });

  test('one that writes nothing sees the log of the other grow', async () => {
    const [one, two] = [await log.scene.open(log.writer), await log.scene.open(null)];
    await log.append(2);
    await one.round();
    await two.round();
    await log.append(2);
    await one.round();
    await log.append(1);
    await two.round();
    expect(two.alarms()).toEqual([]);
    expect((await log.kept()).map(({ size }) => size)).toEqual([2, 4, 5]);
  });
});
