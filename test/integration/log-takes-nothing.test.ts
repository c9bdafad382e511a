import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

/** A database that is up and refuses every entry for what is in it, as somebody with a superuser's rights can make it. */
let db: TestDatabase;
let world: CareLineVault;
let superuser: pg.Client;

beforeAll(async () => {
  db = await startTestDatabase();
  superuser = await db.connect('superuser');
  const { user, password, host, database } = db.app;
  world = await startCareLine({
    DATABASE_URL: `postgresql://${user}:${password}@/${database}?host=${encodeURIComponent(host)}`,
  });
});
afterAll(async () => {
  await world?.folder.remove();
  await superuser?.end();
  await db?.close();
});

const ready = async (): Promise<boolean> => (await world.line.http.get('/readyz')).status === 200;
const signIn = () => {
  const { email, password } = world.line.nurse;
  return world.line.http.post('/v1/auth/login', { json: { email, password } });
};

const expectShut = async (): Promise<void> => {
  const replies = await Promise.all([signIn(), world.line.deliver(newCall(10_000))]);
  for (const { status, body } of replies) {
    expect(status).toBe(503);
    expect(JSON.parse(body.toString())).toMatchObject({ code: 'log_unavailable' });
  }
  const from = performance.now();
  await until(async () => !(await ready()));
  expect(performance.now() - from).toBeLessThan(20_000);
  const { stdout } = await world.folder.cli('doctor');
  expect(stdout).toMatch(/^FAULT\tlog\tlog_unavailable$/m);
};

test('a constraint that every entry breaks: 503, not ready; mended, all is taken again', async () => {
  expect(await ready()).toBe(true);
  await superuser.query('ALTER TABLE audit.entry ADD CONSTRAINT nothing CHECK (false) NOT VALID');
  await expectShut();
  await superuser.query('ALTER TABLE audit.entry DROP CONSTRAINT nothing');
  // By itself, though nobody writes an entry.
  await until(ready);
  expect((await world.line.deliver(newCall(10_000))).status).toBe(201);
});

test('what entries are searched by is computed no more: 503, not ready', async () => {
  await superuser.query('ALTER TABLE audit.entry ALTER COLUMN facts DROP EXPRESSION');
  await expectShut();
});
