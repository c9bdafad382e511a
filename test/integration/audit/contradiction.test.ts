import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CheckpointPlace } from '../../../src/audit/checkpoint-place.ts';
import { type CheckpointRows, createCheckpointRows } from '../../../src/audit/checkpoint-rows.ts';
import { findContradiction } from '../../../src/audit/contradiction.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters } from '../../support/audit-writers.ts';
import {
  type CheckpointScene,
  createCheckpointScene,
  createTestSigner,
  ORIGIN,
} from '../../support/checkpoints.ts';
import { cutLog } from '../../support/cut-log.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** What a declaration of a new epoch says was lost, found on real logs beside real checkpoints. */
let database: TestDatabase;
let superuser: pg.Client;
let writers: ReturnType<typeof createTestWriters>;
let scene: CheckpointScene;
let rows: CheckpointRows;
let place: CheckpointPlace;
const SIZES = [3, 5, 8, 12, 13, 20];

const append = async (count: number): Promise<void> => {
  const writer = writers.open();
  for (let i = 0; i < count; i += 1) await writer.append(freshEvent());
  await writer.close();
};

const find = async (signer = scene.signer, places: readonly CheckpointPlace[] = [place]) =>
  findContradiction(rows, places, { origin: ORIGIN, keys: await signer.keys() });

beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  writers = createTestWriters(database);
  scene = await createCheckpointScene(database);
  place = await scene.openFolder();
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  rows = createCheckpointRows({ postgres: database.app, log: quiet });
  const checkpointer = await scene.open(null);
  let size = 0;
  for (const next of SIZES) {
    await append(next - size);
    await checkpointer.round();
    size = next;
  }
  await checkpointer.close();
});
afterEach(async () => {
  await rows.close();
  await scene.close();
  await writers.close();
  await database.close();
});

test('a log that is what its checkpoints say, and one that has grown since: none', async () => {
  expect(await find()).toBeNull();
  await append(4);
  expect(await find()).toBeNull();
  expect(await find(scene.signer, [])).toBeNull();
});

describe('an older log', () => {
  test.each([
    [12, 12],
    [11, 8],
    [4, 3],
    [2, 0],
    [0, 0],
  ])('of %i entries: lost from %i on, up to the newest checkpoint elsewhere', async (size, lostFrom) => {
    await cutLog(superuser, size);
    expect(await find()).toMatchObject({
      where: scene.folder,
      anchored: { size: 20 },
      head: { size },
      lostFrom,
    });
  });

  test('that has been written to since, past the newest checkpoint elsewhere', async () => {
    await cutLog(superuser, 11);
    await append(15);
    expect(await find()).toMatchObject({ anchored: { size: 20 }, head: { size: 26 }, lostFrom: 8 });
  });
});

describe('H-5 what no restore explains is not declared', () => {
  const halted = { code: 'log_halted' };

  test('the log is shorter than a checkpoint in the same database', async () => {
    await cutLog(superuser, 11, { checkpoints: false });
    await expect(find()).rejects.toMatchObject({
      ...halted,
      message: expect.stringMatching(/no restored backup/),
    });
  });

  test('a checkpoint elsewhere that another key has signed', async () => {
    await cutLog(superuser, 11);
    await expect(find(createTestSigner())).rejects.toMatchObject(halted);
  });
});

test('a place that cannot be read is not taken for one that has nothing to say', async () => {
  await cutLog(superuser, 11);
  const away = { ...place, read: () => Promise.reject(new Error('away')) };
  await expect(find(scene.signer, [away])).rejects.toThrow('away');
});
