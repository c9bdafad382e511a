import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** `callvault verify` against heads that the vault wrote into its own log, and what it leaves in the access log itself. */
let world: CareLineVault;

type Head = { readonly size: number; readonly root: string };

/** The heads a vault has told so far, as whoever collects its log has them. */
const headsIn = (output: string): Head[] =>
  output
    .split('\n')
    .filter((line) => line.includes('"Head of the access log"'))
    .map((line) => JSON.parse(line) as Head)
    .map(({ size, root }) => ({ size, root }));

const verify = (...args: string[]) => world.folder.cli('verify', ...args);

const onServer = <T>(text: string, values: readonly unknown[] = []): Promise<T[]> =>
  inDatabase(
    world.folder,
    async (client) => (await client.query(text, [...values])).rows as T[],
    'superuser',
  );

type Told = { readonly seq: number; readonly outcome: string; readonly detail: object };
const verifications = () =>
  onServer<Told>(`SELECT seq::int, (facts).outcome AS outcome, body::jsonb -> 'detail' AS detail FROM audit.entry
    WHERE (facts).action = 'log.verified' ORDER BY seq`);

/** What the first start applies. */
const migrations = readdirSync(join(import.meta.dirname, '../../prisma/migrations'), {
  withFileTypes: true,
}).filter((entry) => entry.isDirectory()).length;

let head: Head;
beforeAll(async () => {
  world = await startCareLine();
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  head = headsIn(world.vault.output()).at(-1) as Head;
  world = { ...world, vault: await world.folder.start() };
});
afterAll(() => world?.folder.remove());

test('the setting-up of the vault is the first entry, once, however often it starts', async () => {
  const found = await onServer<{
    seq: number;
    event: string;
    installation: string;
    detail: { schema: number };
  }>(
    `SELECT e.seq::int, (e.facts).event_id AS event, i.id AS installation, body::jsonb -> 'detail' AS detail
       FROM audit.entry e, installation i WHERE (facts).action = 'installation.created'`,
  );
  expect(found).toEqual([
    {
      seq: 0,
      event: found[0]?.installation,
      installation: expect.any(String),
      detail: { schema: migrations },
    },
  ]);
});

describe('an entry of each verification', () => {
  test('beside a running vault and without one', async () => {
    const before = await verifications();
    const beside = JSON.parse((await verify('--json')).stdout) as Head & { ok: boolean; entry: number };
    await world.vault.stop();
    const alone = JSON.parse((await verify('--json')).stdout) as typeof beside;
    world = { ...world, vault: await world.folder.start() };
    expect((await verifications()).slice(before.length)).toEqual(
      [beside, alone].map(({ size, ok, entry }) => ({
        seq: entry,
        outcome: 'success',
        detail: { size, ok },
      })),
    );
    expect(beside).toMatchObject({ ok: true, entry: beside.size });
    expect(alone.size).toBeGreaterThan(beside.size);
  });

  test('a log that takes no entry: the verdict is given all the same', async () => {
    const append = 'FUNCTION audit.append(text, bigint, bytea[], text[])';
    await onServer(`REVOKE EXECUTE ON ${append} FROM callvault_app_callvault`);
    try {
      const { code, stdout, stderr } = await verify('--json');
      expect({ code, ...(JSON.parse(stdout) as object) }).toMatchObject({ code: 0, ok: true, entry: null });
      expect(stderr).toMatch(/not in the access log/);
    } finally {
      await onServer(`GRANT EXECUTE ON ${append} TO callvault_app_callvault`);
    }
  });
});

describe('heads that were written down elsewhere', () => {
  test('the log contains them: in hex, in base64, several', async () => {
    const base64 = Buffer.from(head.root, 'hex').toString('base64');
    expect(
      await verify('--head', `${head.size}:${head.root}`, '--head', `${head.size}:${base64}`),
    ).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok\t/),
    });
  });

  test('another root of the same size: 1', async () => {
    const { code, stdout, stderr } = await verify('--head', `${head.size}:${'0'.repeat(64)}`);
    expect(stdout).toMatch(/^NOT OK\t.*\n0\tanchor\tThe first \d+ entries are not those of the known head/);
    expect(stderr).toContain('security officer');
    expect(code).toBe(1);
    expect((await verifications()).at(-1)).toMatchObject({ outcome: 'failed', detail: { ok: false } });
  });

  test.each(['', 'abc', '12', '12:', `12:${'0'.repeat(63)}`, `0:${'0'.repeat(64)}`, `-1:${'0'.repeat(64)}`])(
    '%j is none: 2, and nothing was verified',
    async (text) => {
      const before = await verifications();
      const { code, stdout, stderr } = await verify(`--head=${text}`);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('SIZE:ROOT');
      expect(await verifications()).toEqual(before);
    },
  );
});

describe('H-5 the tail is cut off by a superuser, consistently', () => {
  /** Entries from here on are gone. */
  let cut: number;
  beforeAll(async () => {
    const firsts = await onServer<{ first: number }>(
      'SELECT first_seq::int AS first FROM audit.batch WHERE first_seq < $1 ORDER BY first_seq DESC LIMIT 4',
      [head.size],
    );
    cut = firsts.at(-1)?.first as number;
    // With every checkpoint, which lie within reach here: what was logged elsewhere is all there is left.
    await rm(join(world.folder.dataDir, 'checkpoints'), { recursive: true });
    for (const [table, column] of [
      ['leaf', 'seq'],
      ['entry', 'seq'],
      ['batch', 'first_seq'],
      ['checkpoint', 'size'],
    ]) {
      await onServer(`ALTER TABLE audit.${table} DISABLE TRIGGER ALL`);
      await onServer(`DELETE FROM audit.${table} WHERE ${column} >= $1`, [cut]);
      for (const trigger of ['refuse_change', 'refuse_truncate'])
        await onServer(`ALTER TABLE audit.${table} ENABLE ALWAYS TRIGGER ${trigger}`);
    }
    // The vault that runs has seen more, and would halt; one that starts afterwards has not.
    await world.vault.kill();
  });

  test('the log alone agrees with itself', async () => {
    expect(await verify()).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok\t/) });
  });

  test('a head that was logged before names what is missing: 1', async () => {
    const { code, stdout } = await verify('--head', `${head.size}:${head.root}`);
    expect(stdout).toMatch(/^NOT OK\t/);
    // One entry has come since, of the verification before.
    expect(stdout).toContain(`its tail is missing, entries ${cut + 1} to ${head.size - 1}.`);
    expect(code).toBe(1);
  });

  test('grown again beyond that size, it is another log: 1', async () => {
    for (let size = cut + 2; size < head.size; size += 1) await verify();
    const { code, stdout } = await verify('--head', `${head.size}:${head.root}`);
    expect(stdout).toMatch(/anchor\tThe first \d+ entries are not those of the known head of that size/);
    expect(code).toBe(1);
  });
});
