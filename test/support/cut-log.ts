import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import type pg from 'pg';
import { guardsOff, guardsOn } from './guards.ts';
import type { TestDatabase } from './postgres.ts';

const TABLES = [
  ['leaf', 'seq >= $1'],
  ['entry', 'seq >= $1'],
  ['batch', 'size > $1'],
  ['node', '(index + 1) << level > $1'],
  ['checkpoint', 'size > $1'],
  ['cosignature', 'size > $1'],
] as const;

/** Removes everything behind the first `size` entries as a superuser can; `size` is that of a batch's end. */
export const cutLog = async (
  superuser: pg.Client,
  size: number,
  { checkpoints = true }: { readonly checkpoints?: boolean } = {},
): Promise<void> => {
  for (const [table, behind] of TABLES) {
    if (!checkpoints && (table === 'checkpoint' || table === 'cosignature')) continue;
    await guardsOff(superuser, [table]);
    await superuser.query(`DELETE FROM audit.${table} WHERE ${behind}`, [size]);
    await guardsOn(superuser, [table]);
  }
};

/** A copy of the database as it is now, and the way back to it: what a backup and its restoring are. */
export const backUp = async (database: TestDatabase): Promise<{ readonly restore: () => Promise<void> }> => {
  const copy = `${database.clusterDir}.backup`;
  const copyFolder = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to]);
  await database.stopServer();
  await copyFolder(database.clusterDir, copy);
  await database.startServer();
  return {
    restore: async () => {
      await database.stopServer();
      await rm(database.clusterDir, { recursive: true });
      await copyFolder(copy, database.clusterDir);
      await database.startServer();
    },
  };
};
