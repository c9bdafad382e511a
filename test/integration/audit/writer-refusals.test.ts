import { inspect } from 'node:util';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fixedId, freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, outcomesOf, type TestWriter, verdictOf } from '../../support/audit-writers.ts';
import { until } from '../../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
let writers: ReturnType<typeof createTestWriters>;
let superuser: pg.Client;
let writer: TestWriter;
beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  writers = createTestWriters(database);
  writer = writers.open();
  await Promise.all(Array.from({ length: 20 }, () => writer.append(freshEvent())));
});
afterEach(async () => {
  await writers.close();
  await database.close();
});

const sizeNow = async (): Promise<number> =>
  (await superuser.query('SELECT max(size)::int AS size FROM audit.batch')).rows[0].size;

/** Leaves nothing of it behind. */
const cure = 'ALTER TABLE audit.entry DROP CONSTRAINT poison; DROP FUNCTION audit.poison(text)';

/** Entries of this care unit make the database fail as it fails for a body it cannot store. */
const poisonUnit = fixedId(666);
const poison = (how: string): Promise<unknown> =>
  superuser.query(`
    CREATE FUNCTION audit.poison(body text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN IF body LIKE '%${poisonUnit}%' THEN ${how} END IF; RETURN true; END $$;
    GRANT EXECUTE ON FUNCTION audit.poison TO PUBLIC;
    ALTER TABLE audit.entry ADD CONSTRAINT poison CHECK (audit.poison(body))`);

describe('an entry the database cannot store', () => {
  test.each([
    ['a data exception (class 22)', 'PERFORM 1 / 0;'],
    ['a constraint (class 23)', 'RETURN false;'],
  ])('%s: it alone is refused, its neighbours are stored in their order', async (_, how) => {
    await poison(how);
    const before = await sizeNow();
    const bad = new Set([0, 57, 58, 199]);
    const events = Array.from({ length: 200 }, (_, i) => freshEvent(bad.has(i) ? { unit: poisonUnit } : {}));
    const settled = await Promise.allSettled(events.map((event) => writer.append(event)));
    // The database's own error quotes the row it refused: the beginning of its salt and of its body.
    expect(inspect(settled, { depth: 9, showHidden: true })).not.toMatch(/\\x[0-9a-f]{16}|"v":1/);
    settled.forEach((one, i) => {
      if (bad.has(i)) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'internal' } });
      else expect(one.status).toBe('fulfilled');
    });
    const seqs = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value.seq] : []));
    expect(seqs).toEqual(Array.from({ length: 196 }, (_, i) => before + i));
    await superuser.query(cure);
    expect(await verdictOf(database)).toMatchObject({ ok: true, size: before + 196 });
    expect(writer.state()).toBe('ready');
  });

  test('a batch in which everything is refused leaves nothing behind', async () => {
    await poison('RETURN false;');
    const before = await sizeNow();
    const { codes } = await outcomesOf(
      Array.from({ length: 33 }, () => writer.append(freshEvent({ unit: poisonUnit }))),
    );
    expect(codes).toEqual(Array(33).fill('internal'));
    expect(await sizeNow()).toBe(before);
    await writer.append(freshEvent());
  });
});

describe('a database that will not store anything: refused as unavailable, recovers by itself', () => {
  const refusesAndRecovers = async (breakIt: string, mendIt: string): Promise<void> => {
    const before = await sizeNow();
    await superuser.query(breakIt);
    const { codes } = await outcomesOf(Array.from({ length: 40 }, () => writer.append(freshEvent())));
    expect(codes).toEqual(Array(40).fill('log_unavailable'));
    expect(await sizeNow()).toBe(before);
    await superuser.query(mendIt);
    expect((await writer.append(freshEvent())).seq).toBe(before);
    expect((await verdictOf(database)).ok).toBe(true);
  };

  test('EXECUTE revoked', () =>
    refusesAndRecovers(
      'REVOKE EXECUTE ON FUNCTION audit.append FROM callvault_app_callvault',
      'GRANT EXECUTE ON FUNCTION audit.append TO callvault_app_callvault',
    ));

  test('disk full', async () => {
    await poison(`RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';`);
    await refusesAndRecovers(
      `CREATE OR REPLACE FUNCTION audit.poison(body text) RETURNS boolean LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$`,
      cure,
    );
  });

  test('the function is gone', () =>
    refusesAndRecovers(
      'ALTER FUNCTION audit.append RENAME TO gone',
      'ALTER FUNCTION audit.gone RENAME TO append',
    ));

  test('a constraint that every entry breaks (class 23)', () =>
    refusesAndRecovers(
      'ALTER TABLE audit.entry ADD CONSTRAINT nothing CHECK (false) NOT VALID',
      'ALTER TABLE audit.entry DROP CONSTRAINT nothing',
    ));

  test('what entries are searched by is computed no more', async () => {
    await superuser.query('ALTER TABLE audit.entry ALTER COLUMN facts DROP EXPRESSION');
    const { codes } = await outcomesOf(Array.from({ length: 40 }, () => writer.append(freshEvent())));
    expect(codes).toEqual(Array(40).fill('log_unavailable'));
    await expect(writer.assertAppendable(0)).rejects.toMatchObject({ code: 'log_unavailable' });
  });

  test('a session whose transactions would not see what others have committed', async () => {
    const before = await sizeNow();
    await superuser.query(`ALTER ROLE callvault SET default_transaction_isolation = 'repeatable read'`);
    const late = writers.open();
    await expect(late.append(freshEvent())).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await sizeNow()).toBe(before);
  });
});

/** Superusers can do this only after they have switched the triggers off. */
const tamper = async (...statements: string[]): Promise<void> => {
  for (const table of ['leaf', 'entry', 'batch', 'node'])
    await superuser.query(`ALTER TABLE audit.${table} DISABLE TRIGGER USER`);
  for (const statement of statements) await superuser.query(statement);
};
const cutLast = [
  'DELETE FROM audit.entry WHERE seq >= (SELECT max(first_seq) FROM audit.batch)',
  'DELETE FROM audit.leaf WHERE seq >= (SELECT max(first_seq) FROM audit.batch)',
  'DELETE FROM audit.batch WHERE first_seq = (SELECT max(first_seq) FROM audit.batch)',
];
const expectHalt = async (): Promise<void> => {
  const { codes } = await outcomesOf(Array.from({ length: 5 }, () => writer.append(freshEvent())));
  expect(codes).toEqual(Array(5).fill('log_halted'));
  expect(writer.state()).toBe('halted');
  await expect(writer.append(freshEvent())).rejects.toMatchObject({ code: 'log_halted' });
  expect(writer.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
};

describe('a log that contradicts what this process has seen: halted', () => {
  test('the newest batch deleted: nothing is appended on top of it', async () => {
    const verified = writer.verifiedHead();
    await tamper(...cutLast);
    const cut = await sizeNow();
    await expectHalt();
    expect(await sizeNow()).toBe(cut);
    expect(writer.verifiedHead()).toEqual(verified);
  });

  test('the newest batch deleted and the log regrown by another process', async () => {
    await tamper(...cutLast);
    const other = writers.open();
    await Promise.all(Array.from({ length: 60 }, () => other.append(freshEvent())));
    await expectHalt();
  });

  test('a commitment of another process changed before this one has seen it', async () => {
    const other = writers.open();
    await other.append(freshEvent());
    await tamper(
      `UPDATE audit.leaf SET commitment = sha256('x') WHERE seq = (SELECT max(seq) FROM audit.leaf)`,
    );
    await expectHalt();
  });

  test('the stored range of the head changed', async () => {
    await tamper(`UPDATE audit.batch SET range = set_byte(range, 0, get_byte(range, 0) # 1)
                   WHERE first_seq = (SELECT max(first_seq) FROM audit.batch)`);
    await expectHalt();
  });

  test('a leaf planted where the next one belongs', async () => {
    await superuser.query(
      `INSERT INTO audit.leaf SELECT max(seq) + 1, sha256('x'), gen_random_uuid() FROM audit.leaf`,
    );
    await expectHalt();
  });

  test('found on reconnecting, before anything is appended', async () => {
    await tamper(...cutLast);
    await superuser.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'callvault log test%'`,
    );
    await until(() => writer.state() === 'halted');
    await expect(writer.append(freshEvent())).rejects.toMatchObject({ code: 'log_halted' });
  });

  test('entries missing from what others have appended', async () => {
    const other = writers.open();
    await Promise.all(Array.from({ length: 30 }, () => other.append(freshEvent())));
    await tamper('DELETE FROM audit.leaf WHERE seq = (SELECT max(seq) FROM audit.leaf)');
    await superuser.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'callvault log test%'`,
    );
    await until(() => writer.state() === 'halted');
  });

  test('a new process refuses a head that does not hold together', async () => {
    await tamper(
      `UPDATE audit.batch SET root = sha256('x') WHERE first_seq = (SELECT max(first_seq) FROM audit.batch)`,
    );
    const late = writers.open();
    await expect(late.append(freshEvent())).rejects.toMatchObject({ code: 'log_halted' });
    expect(late.state()).toBe('halted');
  });
});
