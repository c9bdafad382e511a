import type pg from 'pg';
import { afterEach, beforeEach } from 'vitest';
import { freshEvent } from './audit-events.ts';
import { createTestWriters, type TestWriter } from './audit-writers.ts';
import { type CheckpointScene, createCheckpointScene } from './checkpoints.ts';
import { startTestDatabase, type TestDatabase } from './postgres.ts';

/** For each test of a file a log of its own: its database, its writers, and whatever makes and keeps its checkpoints. */
export const checkpointsLog = () => {
  let database: TestDatabase;
  let superuser: pg.Client;
  let writers: ReturnType<typeof createTestWriters>;
  let scene: CheckpointScene;
  let writer: TestWriter;

  beforeEach(async () => {
    database = await startTestDatabase();
    superuser = await database.connect('superuser');
    writers = createTestWriters(database);
    scene = await createCheckpointScene(database);
    writer = writers.open();
  });
  afterEach(async () => {
    await scene.close();
    await writers.close();
    await database.close();
  });

  return {
    get database() {
      return database;
    },
    get superuser() {
      return superuser;
    },
    get writers() {
      return writers;
    },
    get scene() {
      return scene;
    },
    /** The one that appends unless another is named. */
    get writer() {
      return writer;
    },
    set writer(next: TestWriter) {
      writer = next;
    },
    append: async (count: number, to = writer): Promise<void> => {
      for (let i = 0; i < count; i += 1) await to.append(freshEvent());
    },
    /** The checkpoints in the database, smallest first. */
    kept: async (): Promise<{ size: number; note: string }[]> =>
      (await superuser.query('SELECT size::int, note FROM audit.checkpoint ORDER BY size')).rows,
  };
};
