import { createHash, randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import type { AuditEvent } from '../../src/core/events.ts';
import { createExportKeys } from '../../src/services/export-keys.ts';
import { writeBundleFile } from '../../src/storage/bundle-file.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { bundleKeyOf, bundleKeyParts } from '../../src/storage/object-key.ts';
import { createWrappedKeyTable, type WrappedKeyTable } from '../../src/storage/wrapped-key-table.ts';
import { openFileStore } from '../support/file-store.ts';
import { createFlakyObjectStore, type Fault } from '../support/flaky-object-store.ts';
import { temporaryFolder } from '../support/key-material.ts';
import { fetched, never, rejection, store as storeBytes } from '../support/opened-store.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { receiptFor } from '../support/receipts.ts';

/** More than two pages of keys, the last of them full; and rows in every status that has none to export. */
const ROWS = 3_000;
const ORGANISATION = '00000000-0000-4000-8000-000000000001';
const SOURCE = '00000000-0000-4000-8000-000000000002';
const HOUR = 3_600_000;

let db: TestDatabase;
let database: Database;
let owner: pg.Client;

const rows = (status: string, count: number): string => `
  INSERT INTO recording (id, organisation_id, source_id, status, intent_id, generation, started_at, announcement, legal_basis,
    retention_class, plain_bytes, sealed_bytes, sealed_sha256, header, key_commitment, wrap_provider, wrap_key_id, wrap_version,
    wrapped_key, media_type, digest_mac, facts_sealed, call_id_index, stored_at, stored_seq)
  SELECT gen_random_uuid(), '${ORGANISATION}', '${SOURCE}', '${status}', gen_random_uuid(), gen_random_uuid(), now(), 'v1', 'public_task',
    'quality', 100, 156, sha256('x'), decode(repeat('28', 40), 'hex'), sha256('k'), 'keyring', '00112233aabbccdd', 1,
    sha256(n::text::bytea), 'audio/wav', sha256('d'), '\\x00', uuid_send(gen_random_uuid()), now(), n FROM generate_series(1, ${count}) AS n`;

beforeAll(async () => {
  db = await startTestDatabase();
  owner = await db.connect('owner');
  await owner.query(`INSERT INTO organisation (id, name) VALUES ('${ORGANISATION}', 'Region')`);
  await owner.query(
    `INSERT INTO source (id, organisation_id, name, client_id, client_secret_hash, api_key_hash, retention_class, legal_basis)
     VALUES ('${SOURCE}', '${ORGANISATION}', 'PBX', 'client', sha256('1'), sha256('2'), 'quality', 'public_task')`,
  );
  await owner.query(rows('stored', ROWS - 5));
  await owner.query(rows('sealed', 5));
  await owner.query(rows('intent', 7));
  await owner.query(rows('erasing', 7));
  database = await openDatabase(db.app);
});
afterAll(async () => {
  await database?.close();
  await db?.close();
});

/** A vault's export on a real table and a file store; `log` may refuse. */
const open = async (...faults: readonly Fault[]) => {
  const opened = await openFileStore();
  const flaky = createFlakyObjectStore(opened.store, faults);
  const entries: AuditEvent[] = [];
  const state = { now: 1_800_000_000_000, pages: 0, log: null as Error | null };
  const table = createWrappedKeyTable(database.prisma);
  const wrappedKeys: WrappedKeyTable = {
    ...table,
    page: (...asked) => {
      state.pages += 1;
      return table.page(...asked);
    },
  };
  const exportKeys = createExportKeys({
    wrappedKeys,
    objects: flaky.store,
    bundleKeyOf,
    bundleKeyParts,
    writeBundleFile,
    audit: {
      append: async (event) => {
        if (state.log !== null) throw state.log;
        entries.push(event);
        return receiptFor({
          action: 'recording.viewed',
          detail: {},
          organisation: ORGANISATION,
          at: state.now,
        });
      },
    },
    installationId: randomUUID(),
    now: () => state.now,
    newId: () => randomUUID(),
  });
  const bundles = async () => (await Array.fromAsync(opened.store.bundles())).map(({ key }) => key);
  return { ...opened, flaky, entries, state, exportKeys, bundles };
};

let opened: Awaited<ReturnType<typeof open>>;
beforeEach(async () => {
  opened = await open();
  return () => opened.close();
});

test('every key that a recording lives by, once, across pages; none of the intended and of those being erased', async () => {
  const { exportKeys, bundles, entries, store } = opened;
  const { count, sha256 } = await exportKeys.toStore('operator', never());
  const lines = (await fetched(store, (await bundles())[0]!)).toString('latin1').split('\n');
  expect(lines.pop()).toBe('');
  const ids = lines.slice(1, -1).map((line) => (JSON.parse(line) as { recording: string }).recording);
  const { rows: expected } = await owner.query<{ id: string }>(
    `SELECT id::text FROM recording WHERE status IN ('stored', 'sealed') ORDER BY id`,
  );
  expect(ids).toEqual(expected.map(({ id }) => id));
  expect(count).toBe(ROWS);
  expect(JSON.parse(lines[0]!)).toMatchObject({ count: ROWS });
  const body = `${lines.slice(0, -1).join('\n')}\n`;
  expect(sha256).toBe(createHash('sha256').update(body).digest('hex'));
  expect(entries).toMatchObject([
    { action: 'keys.exported', detail: { place: 'store', count: ROWS, sha256 } },
  ]);
});

test('no more is read than is taken: memory does not grow with the number of recordings', async () => {
  const { exportKeys, state } = opened;
  const stuck = Promise.withResolvers<never>();
  stuck.promise.catch(() => undefined);
  let taken = 0;
  const slow = { ...opened.flaky.store };
  opened.flaky.store.put = async (_key, body) => {
    for await (const _chunk of body) {
      taken += 1;
      if (taken === 2) return stuck.promise;
    }
    return slow.put(_key, body, { signal: never() });
  };
  const exporting = exportKeys.toStore('system', never());
  exporting.catch(() => undefined);
  await expect.poll(() => taken).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(state.pages).toBe(1);
  stuck.reject(new Error('gone'));
  expect(await rejection(exporting)).toMatchObject({ message: 'gone' });
});

describe('what goes wrong leaves no bundle', () => {
  test('log away: nothing under a name, nothing beside, older bundles stay', async () => {
    const { exportKeys, bundles, state, leftovers } = opened;
    await exportKeys.toStore('operator', never());
    const before = await bundles();
    state.log = new AppError('log_unavailable', 'away');
    state.now += HOUR;
    expect(await rejection(exportKeys.toStore('operator', never()))).toBe(state.log);
    expect(await bundles()).toEqual(before);
    expect(await leftovers()).toEqual([]);
    const folder = await temporaryFolder();
    expect(await rejection(exportKeys.toFolder(folder, never()))).toBe(state.log);
    expect(await readdir(folder)).toEqual([]);
  });

  test('broken off by the vault that closes', async () => {
    const { exportKeys, bundles, entries, leftovers } = opened;
    const reason = new Error('closing');
    expect(await rejection(exportKeys.whenDue(1, AbortSignal.abort(reason)))).toBe(reason);
    expect([await bundles(), entries, await leftovers()]).toEqual([[], [], []]);
  });

  test('a store that refuses', async () => {
    const { exportKeys, flaky, bundles } = opened;
    flaky.plan({ on: 'put', how: 'break', after: 100_000 });
    expect(await rejection(exportKeys.toStore('operator', never()))).toMatchObject({
      code: 'storage_unavailable',
    });
    expect(await bundles()).toEqual([]);
  });

  test('a folder that is not there, or not for us', async () => {
    const { exportKeys, entries } = opened;
    const missing = exportKeys.toFolder(join(await temporaryFolder(), 'nowhere'), never());
    expect(await rejection(missing)).toMatchObject({ code: 'invalid_request' });
    expect(await rejection(exportKeys.toFolder('/proc', never()))).toMatchObject({
      code: 'storage_unavailable',
    });
    expect(entries).toEqual([]);
  });
});

describe('rotation', () => {
  test('keeps the newest two, and none that claims to be from the future', async () => {
    const { exportKeys, bundles, state, store } = opened;
    const future = bundleKeyOf(state.now + 30 * 24 * HOUR, randomUUID());
    await storeBytes(store, future, Buffer.from('x'));
    const made: string[] = [];
    for (let day = 0; day < 4; day += 1) {
      state.now += 24 * HOUR;
      await exportKeys.toStore('system', never());
      made.push((await bundles()).at(-1)!);
      expect(await bundles()).toEqual(made.slice(-2));
    }
  });

  test('says so when an older bundle cannot be removed, and goes on next time', async () => {
    const { exportKeys, flaky, bundles, state } = opened;
    for (let hour = 0; hour < 2; hour += 1) {
      state.now += HOUR;
      await exportKeys.toStore('operator', never());
    }
    state.now += HOUR;
    flaky.plan({ on: 'delete', how: 'refuse' });
    const error = await rejection(exportKeys.toStore('operator', never()));
    expect(error).toMatchObject({ code: 'storage_unavailable' });
    expect((error as AppError).message).toContain('older ones could not be removed');
    expect(await bundles()).toHaveLength(3);
    state.now += HOUR;
    await exportKeys.toStore('operator', never());
    expect(await bundles()).toHaveLength(2);
  });
});

test('due: when there is a key and no bundle, and again after the period; not before, and not by a clock that was wrong', async () => {
  const { exportKeys, state, store } = opened;
  const look = async () => (await exportKeys.whenDue(24 * HOUR, never())) !== null;
  await storeBytes(store, bundleKeyOf(state.now + 9 * HOUR, randomUUID()), Buffer.from('x'));
  expect(await look()).toBe(true);
  expect(await look()).toBe(false);
  state.now += 24 * HOUR - 1;
  expect(await look()).toBe(false);
  state.now += 1;
  expect(await look()).toBe(true);
});

test('page and count go by the primary key', async () => {
  await owner.query('ANALYZE recording');
  await owner.query('SET enable_seqscan = off');
  const { rows: plan } = await owner.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN SELECT id FROM recording WHERE id > '${ORGANISATION}' AND status IN ('sealed', 'stored') ORDER BY id LIMIT 1000`,
  );
  expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toMatch(/Index Scan using recording_pkey/);
});
