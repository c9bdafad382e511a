import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { createRecordingTable, type RecordingTable } from '../../src/storage/recording-table.ts';
import type { SealedColumns } from '../../src/storage/upload-statements.ts';
import { freshEvent } from '../support/audit-events.ts';
import { createTestWriters } from '../support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';

/** What an upload waits for. Each of its steps is on disk before the next one counts on it. */
const UPLOADS = 60;
const [organisation, source] = [randomUUID(), randomUUID()];

let server: TestDatabase;
let database: Database;
let superuser: pg.Client;
let writers: ReturnType<typeof createTestWriters>;
let recordings: RecordingTable;

beforeAll(async () => {
  // The WAL writer would flush now and then by itself; here it sleeps, so that every flush counted is a commit's.
  server = await startTestDatabase({
    durable: true,
    settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB', autovacuum: 'off' },
  });
  superuser = await server.connect('superuser');
  await superuser.query('INSERT INTO organisation (id, name) VALUES ($1, $2)', [organisation, 'Region']);
  await superuser.query(
    `INSERT INTO source (id, organisation_id, name, client_id, client_secret_hash, api_key_hash, retention_class, legal_basis)
     VALUES ($1, $2, 'PBX', 'client', sha256('1'), sha256('2'), 'quality', 'public_task')`,
    [source, organisation],
  );
  database = await openDatabase(server.app);
  recordings = createRecordingTable(database);
  writers = createTestWriters(server);
});
afterAll(async () => {
  await writers?.close();
  await database?.close();
  await server?.close();
});

/** Whether everything written so far is on disk; now and then the server itself has just written a line more. */
const isFlushed = async (): Promise<boolean> => {
  const { rows } = await superuser.query(
    'SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() AS yes',
  );
  return rows[0].yes;
};
/** How many of these were on disk as soon as they were answered. */
const flushedAtOnce = async (
  ids: readonly string[],
  work: (id: string) => Promise<unknown>,
): Promise<number> => {
  let count = 0;
  for (const id of ids) {
    await work(id);
    if (await isFlushed()) count += 1;
  }
  return count;
};

const bytes = (length: number) => new Uint8Array(randomBytes(length));

const announce = (id: string): Promise<void> =>
  recordings.insertIntent({
    id,
    organisationId: organisation,
    sourceId: source,
    intentId: randomUUID(),
    generation: randomUUID(),
    createdAt: new Date(),
    touchedAt: new Date(),
    callIdIndex: bytes(16),
    startedAt: new Date(),
    segment: 0,
    factsSealed: bytes(40),
    announcement: 'v1',
    legalBasis: 'public_task',
    retentionClass: 'quality',
    pauses: [[1, 2]],
  });
const sealed: SealedColumns = {
  mediaType: 'audio/wav',
  codec: 'pcm_s16',
  sampleRate: 8000,
  channels: 1,
  declaredDurationMs: null,
  durationMs: 1_000,
  flags: ['truncated'],
  peaksSealed: null,
  soundPlace: null,
  digestMac: bytes(32),
  plainBytes: 2n ** 40n,
  sealedBytes: 2n ** 40n + 56n,
  sealedSha256: bytes(32),
  header: bytes(40),
  keyCommitment: bytes(32),
  wrapProvider: 'keyring',
  wrapKeyId: 'a',
  wrapVersion: 1,
  wrappedKey: bytes(60),
};

test('what was sealed goes to the disk with its entry and not before; everything else at once', async () => {
  const ids = Array.from({ length: UPLOADS }, () => randomUUID());
  expect(await flushedAtOnce(ids, announce)).toBeGreaterThan(UPLOADS * 0.9);

  const sealing = async (id: string) => expect(await recordings.seal(id, new Date(), sealed)).toBe('sealed');
  expect(await flushedAtOnce(ids, sealing)).toBeLessThan(UPLOADS / 4);

  const { rows } = await superuser.query('SELECT pg_current_wal_insert_lsn() AS written');
  const writer = writers.open();
  await writer.append(freshEvent());
  const after = await superuser.query('SELECT pg_current_wal_flush_lsn() >= $1 AS flushed', [
    rows[0].written,
  ]);
  expect(after.rows[0].flushed).toBe(true);

  const storing = (id: string) => recordings.store(id, 1, new Date());
  expect(await flushedAtOnce(ids, storing)).toBeGreaterThan(UPLOADS * 0.9);
  const row = await recordings.find(ids[0] as string);
  expect(row).toMatchObject({ ...sealed, status: 'stored', storedSeq: 1n, pauses: [[1, 2]], holdCount: 0 });
  // The setting was that statement's alone.
  const setting = await database.pool.query('SHOW synchronous_commit');
  expect(setting.rows[0]).toEqual({ synchronous_commit: 'on' });
});

test('the same call twice: the second is told when it is sealed; one that is gone, too', async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  const callIdIndex = bytes(16);
  for (const id of [first, second]) {
    await announce(id);
    await superuser.query('UPDATE recording SET call_id_index = $2 WHERE id = $1', [
      id,
      Buffer.from(callIdIndex),
    ]);
  }
  expect(await recordings.seal(first, new Date(), sealed)).toBe('sealed');
  expect(await recordings.seal(second, new Date(), sealed)).toBe('duplicate');
  expect(await recordings.seal(first, new Date(), sealed)).toBe('gone');
  expect(await recordings.seal(randomUUID(), new Date(), sealed)).toBe('gone');
});
