import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, type TestWriter, verdictOf } from '../../support/audit-writers.ts';
import { until } from '../../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { createPostgresProxy, type PostgresProxy } from '../../support/postgres-proxy.ts';

const APPEND = 'FUNCTION audit.append(text, bigint, bytea[], text[])';

let database: TestDatabase;
let superuser: Awaited<ReturnType<TestDatabase['connect']>>;
let writers: ReturnType<typeof createTestWriters>;
let proxy: PostgresProxy;
let writer: TestWriter;
beforeAll(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  writers = createTestWriters(database);
});
beforeEach(async () => {
  proxy = await createPostgresProxy(database.app);
  writer = writers.open({ statementMs: 4_000 }, proxy.settings);
});
afterEach(async () => {
  await writers.close();
  await proxy.close();
  expect((await verdictOf(database)).ok).toBe(true);
});
afterAll(async () => {
  await superuser.end();
  await database.close();
});

const app = (): string => `callvault_app_${database.app.database}`;
const revoke = () => superuser.query(`REVOKE EXECUTE ON ${APPEND} FROM ${app()}`);
const grant = () => superuser.query(`GRANT EXECUTE ON ${APPEND} TO ${app()}`);
const unavailable = { code: 'log_unavailable' };

describe('a trial', () => {
  test('goes through where an append would, and leaves nothing', async () => {
    await writer.append(freshEvent());
    const before = await writer.head();
    expect(await writer.tryAppend()).toBe(true);
    expect(await writer.head()).toEqual(before);
    const receipt = await writer.append(freshEvent());
    expect(receipt.seq).toBe(before.size);
  });

  test('fails where an append would: without the right, and without room', async () => {
    await revoke();
    expect(await writer.tryAppend()).toBe(false);
    await grant();
    await superuser.query(`CREATE FUNCTION audit.full(body text) RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$`);
    await superuser.query('ALTER TABLE audit.entry ADD CONSTRAINT room CHECK (audit.full(body)) NOT VALID');
    try {
      expect(await writer.mayAppend()).toBe(true);
      expect(await writer.tryAppend()).toBe(false);
    } finally {
      await superuser.query('ALTER TABLE audit.entry DROP CONSTRAINT room');
      await superuser.query('DROP FUNCTION audit.full(text)');
    }
    expect(await writer.tryAppend()).toBe(true);
  });
});

test('waits for the first connection, as an append does', async () => {
  await writer.assertAppendable();
  expect(writer.state()).toBe('ready');
});

test('an append that was refused closes the door until one succeeds', async () => {
  await writer.append(freshEvent());
  await writer.assertAppendable();
  await revoke();
  // Nobody has tried: what was known a moment ago still counts.
  await writer.assertAppendable();
  await expect(writer.append(freshEvent())).rejects.toMatchObject(unavailable);
  await expect(writer.assertAppendable()).rejects.toMatchObject(unavailable);
  await grant();
  await writer.append(freshEvent());
  await writer.assertAppendable();
});

test('a question that must be new finds the right gone although nobody has tried to append', async () => {
  await writer.append(freshEvent());
  await revoke();
  await expect(writer.assertAppendable(0)).rejects.toMatchObject(unavailable);
  await expect(writer.assertAppendable()).rejects.toMatchObject(unavailable);
  await grant();
  // By itself, with no append.
  await expect.poll(() => writer.assertAppendable().then(() => 'open')).toBe('open');
});

test('with the database out of reach nothing is open', async () => {
  await writer.append(freshEvent());
  await proxy.close();
  await until(() => writer.state() === 'away');
  await expect(writer.assertAppendable()).rejects.toMatchObject(unavailable);
});

test('a writer that is closed', async () => {
  await writer.append(freshEvent());
  await writer.close();
  await expect(writer.assertAppendable()).rejects.toMatchObject(unavailable);
});
