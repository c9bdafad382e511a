import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogProver } from '../../../src/audit/prover.ts';
import { leafOf } from '../../../src/core/audit/commitment.ts';
import { emptyRange, extendRange, rootOf } from '../../../src/core/audit/merkle.ts';
import { isConsistent, rootFromInclusion } from '../../../src/core/audit/proof.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** Proofs read from a real log, across many batches and the first nodes of level 8. */
const ENTRIES = 1_100;

let database: TestDatabase;
let superuser: pg.Client;
let leaves: readonly Buffer[];
let prover: ReturnType<typeof createLogProver>;

beforeAll(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  const writers = createTestWriters(database);
  const writer = writers.open();
  await Promise.all(Array.from({ length: ENTRIES }, () => writer.append(freshEvent())));
  await writers.close();
  const { rows } = await superuser.query<{ commitment: Buffer }>(
    'SELECT commitment FROM audit.leaf ORDER BY seq',
  );
  leaves = rows.map(({ commitment }) => leafOf(commitment));
  prover = createLogProver(
    async ({ text, values }) => (await superuser.query(text, [...values])).rows as never,
  );
});
afterAll(() => database.close());

const rootOfFirst = (size: number): Buffer => rootOf(extendRange(emptyRange, leaves.slice(0, size)));

test('roots of any size, and that of nothing', async () => {
  for (const size of [0, 1, 2, 3, 255, 256, 257, 511, 512, 1_023, 1_024, ENTRIES])
    expect(await prover.root(size)).toEqual(rootOfFirst(size));
});

test('an entry is in every tree that is large enough', async () => {
  for (const size of [1, 2, 256, 257, 700, 1_024, ENTRIES])
    for (const seq of new Set([0, 1, 100, 255, 256, 600, size - 1].filter((one) => one < size)))
      expect(rootFromInclusion(seq, size, leaves[seq]!, await prover.inclusion(seq, size))).toEqual(
        rootOfFirst(size),
      );
});

test('a smaller tree is the beginning of a larger one', async () => {
  for (const to of [1, 2, 256, 257, 700, 1_024, ENTRIES])
    for (const from of [1, 2, 3, 200, 256, 300, 512, to].filter((one) => one <= to)) {
      const pair = { from: rootOfFirst(from), to: rootOfFirst(to) };
      expect(isConsistent(from, to, pair, await prover.consistency(from, to))).toBe(true);
    }
});

test('several entries at once, in any order and the same one twice, have the proofs that each has alone', async () => {
  for (const size of [1, 257, 1_024, ENTRIES]) {
    const seqs = [size - 1, 0, 255, 256, 600, 601, 602, 0].filter((one) => one < size);
    const alone = await Promise.all(seqs.map((seq) => prover.inclusion(seq, size)));
    expect(await prover.inclusions(seqs, size)).toEqual(alone);
  }
  expect(await prover.inclusions([], ENTRIES)).toEqual([]);
  await expect(prover.inclusions([0, ENTRIES], ENTRIES)).rejects.toThrow(RangeError);
});

test('a tree that misses a part proves nothing', async () => {
  await expect(prover.inclusion(0, ENTRIES + 100)).rejects.toMatchObject({ code: 'integrity_failure' });
});

describe('how it is read', () => {
  test('by index alone, whatever the size', async () => {
    const plans: string[] = [];
    const explaining = createLogProver(async ({ text, values }) => {
      await superuser.query('SET enable_seqscan = off');
      const { rows } = await superuser.query(`EXPLAIN ${text}`, [...values]);
      plans.push(rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n'));
      return (await superuser.query(text, [...values])).rows as never;
    });
    await explaining.inclusion(500, ENTRIES);
    await explaining.inclusions([500, 3, 900], ENTRIES);
    expect(plans).toHaveLength(2);
    for (const plan of plans) {
      expect(plan).not.toMatch(/Seq Scan|Hash Join/);
      expect(plan).toMatch(/Index (Only )?Scan (using|on) leaf_pkey/);
      expect(plan).toMatch(/Index (Only )?Scan (using|on) node_pkey/);
    }
  });
});
