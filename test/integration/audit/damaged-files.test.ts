import { afterEach, beforeEach, expect, test } from 'vitest';
import { verifyLive } from '../../../src/audit/live-verify.ts';
import type { Verdict } from '../../../src/core/audit/verify.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { editPage } from '../../support/heap-page.ts';
import { startTestDatabase, type TestDatabase, urlOf } from '../../support/postgres.ts';
import { newVaultFolder } from '../../support/vault.ts';

/** Files of the database in which every page is broken: the verifier says so, soon, and does not break off. */
const SIZE = 3_000;

let database: TestDatabase;
beforeEach(async () => {
  database = await startTestDatabase();
  const writers = createTestWriters(database);
  const writer = writers.open();
  await Promise.all(Array.from({ length: SIZE }, () => writer.append(freshEvent())));
  await writers.close();
});
afterEach(() => database.close());

/** Breaks every page of a relation; the server notices by their checksums. */
const breakAll = async (relation: string): Promise<void> => {
  const superuser = await database.connect('superuser');
  const { rows } = await superuser.query<{ file: string; pages: number }>(
    `SELECT pg_relation_filepath($1::regclass) AS file, (pg_relation_size($1::regclass) / 8192)::int AS pages`,
    [relation],
  );
  const { file, pages } = rows[0]!;
  await superuser.end();
  await database.stopServer();
  for (let block = 0; block < pages; block += 1)
    await editPage(database.clusterDir, { file, block }, (page) => page.fill(0x5a, 5000, 5100));
  await database.startServer();
};

const kindsOf = ({ faults }: Verdict): string[] => [...new Set(faults.map(({ kind }) => kind))].sort();

test('every body: named from the first on, in a list that stays short, and the tree is verified', async () => {
  await breakAll('audit.entry_000000');
  const verdict = await verifyLive({ postgres: database.app });
  expect(verdict).toMatchObject({ ok: false, size: SIZE, bodies: 0 });
  expect(verdict.faults[0]).toMatchObject({ kind: 'unreadable', index: 0 });
  expect(kindsOf(verdict)).toEqual(['body', 'unreadable']);
  expect(verdict.faultCount).toBeLessThan(100);
});

test.each([
  ['the commitments', 'audit.leaf'],
  ['the index of the commitments', 'audit.leaf_pkey'],
  ['the nodes', 'audit.node'],
])('%s', async (_what, relation) => {
  await breakAll(relation);
  const verdict = await verifyLive({ postgres: database.app });
  expect(verdict.ok).toBe(false);
  expect(kindsOf(verdict)).toContain('unreadable');
});

test('the record of appends, without which nobody knows how long the log is: the command says so, 1', async () => {
  const folder = await newVaultFolder({ DATABASE_URL: urlOf(database.app) });
  try {
    await (await folder.start()).stop();
    await breakAll('audit.batch_000000');
    const { code, stdout, stderr } = await folder.cli('verify');
    expect(stdout).toMatch(
      /^NOT OK\t0 entries\t[^\n]*\n-\tunreadable\tThe database cannot read rows of audit.batch/,
    );
    expect(stderr).not.toMatch(/\bat .*:\d+|invalid page/);
    expect(code).toBe(1);
  } finally {
    await folder.remove();
  }
});
