import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PostgresSettings } from '../../src/core/postgres-settings.ts';
import { freshEvent } from '../support/audit-events.ts';
import { createTestWriters } from '../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase, urlOf } from '../support/postgres.ts';
import { datedBack, makePartitionsSmall, SMALL } from '../support/small-partitions.ts';
import { newVaultFolder, type Ran, type VaultFolder } from '../support/vault.ts';

/** `callvault prune-log` on a database of its own server, with the role that `callvault migrate` makes for it. */
const YEAR = 365.25 * 86_400_000;
const OLD = Date.now() - 7 * YEAR;

let database: TestDatabase;
let superuser: pg.Client;
let folder: VaultFolder;

const cliAs = async (retention: PostgresSettings | null, ...args: string[]): Promise<Ran> => {
  if (retention === null) delete folder.env.RETENTION_DATABASE_URL;
  else folder.env.RETENTION_DATABASE_URL = urlOf(retention);
  return folder.cli(...args);
};
const retention = (): PostgresSettings => ({
  ...database.app,
  user: 'callvault_pruner',
  password: 'f81d4fae7dec11d0a76500a0c91e6bf6',
});
const day = (at: number): string => new Date(at).toISOString().slice(0, 10);

beforeAll(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  await makePartitionsSmall(superuser);
  const writers = createTestWriters(database);
  const writer = writers.open({ batchEvents: 64 });
  await Promise.all(Array.from({ length: SMALL + 3 }, () => writer.append(freshEvent({ at: OLD }))));
  await writers.close();
  await datedBack(superuser, OLD);
  folder = await newVaultFolder({ DATABASE_URL: urlOf(database.app) });
  await (await folder.start()).stop();
});
afterAll(async () => {
  await folder.remove();
  await database.close();
});

test('without the role it is not done', async () => {
  const { code, stderr } = await cliAs(null, 'prune-log', '--before', day(OLD + YEAR));
  expect([code, stderr]).toEqual([3, expect.stringMatching(/Set RETENTION_DATABASE_URL/)]);
});

test('with the database that the vault runs itself it cannot be done in this release, whatever is set', async () => {
  const embedded = await newVaultFolder();
  try {
    await (await embedded.start()).stop();
    const { code, stdout, stderr } = await embedded.cli('prune-log', '--before', day(OLD + YEAR));
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/not in this release.*a server of your own/);
    expect(stderr).not.toContain('RETENTION_DATABASE_URL');
  } finally {
    await embedded.remove();
  }
});

test('migrate makes the role, once', async () => {
  folder.env.MIGRATE_DATABASE_URL = urlOf(database.owner);
  const first = await cliAs(retention(), 'migrate');
  expect(first.stdout).toMatch(/Created role callvault_pruner.*member of callvault_retention_callvault/s);
  expect((await cliAs(retention(), 'migrate')).stdout).not.toMatch(/pruner/);
  delete folder.env.MIGRATE_DATABASE_URL;
});

test('a day that is none, one within the floor, and roles that can do more are refused', async () => {
  for (const before of ['yesterday', '2021-02-30', '2021-1-1', ''])
    expect((await cliAs(retention(), 'prune-log', '--before', before)).code).toBe(2);
  const young = await cliAs(retention(), 'prune-log', '--before', day(Date.now() - YEAR));
  expect([young.code, young.stderr]).toEqual([3, expect.stringMatching(/are kept 5 years/)]);
  const same = await cliAs(database.app, 'prune-log', '--before', day(OLD + YEAR));
  expect([same.code, same.stderr]).toEqual([3, expect.stringMatching(/must be another/)]);
  const boss = await cliAs(database.superuser, 'prune-log', '--before', day(OLD + YEAR));
  expect(boss.code).toBe(3);
  expect(boss.stderr).not.toContain(database.superuser.password);
});

test('what is old goes, and the log verifies', async () => {
  const args = ['prune-log', '--before', day(OLD + YEAR), '--json'];
  const { code, stdout } = await cliAs(retention(), ...args);
  expect([code, JSON.parse(stdout)]).toEqual([
    0,
    { parts: [{ from: 0, to: SMALL, bodies: SMALL }], bodies: SMALL },
  ]);
  const again = await cliAs(retention(), ...args);
  expect([again.code, JSON.parse(again.stdout), again.stderr]).toEqual([
    0,
    { parts: [], bodies: 0 },
    expect.stringMatching(/Nothing was removed/),
  ]);
  const verified = await cliAs(null, 'verify', '--json');
  expect([verified.code, JSON.parse(verified.stdout)]).toEqual([
    0,
    expect.objectContaining({ ok: true, pruned: SMALL, faults: [] }),
  ]);
});
