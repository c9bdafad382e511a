import { randomUUID } from 'node:crypto';
import { access, copyFile, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { type KeptRecording, keepRecording } from '../support/kept-recording.ts';

let world: CareLineVault;
let sound: KeptRecording;
beforeAll(async () => {
  world = await startCareLine();
  sound = await keepRecording(world, 100_000);
});
afterAll(() => world?.folder.remove());

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const MONTH_MS = 30 * 24 * 60 * 60_000;

/** What a process leaves that froze before it discarded an upload that had been given up, and then died. */
const plant = async (ageMs: number): Promise<string> => {
  const generation = randomUUID();
  const shard = dirname(sound.path);
  const path = join(shard, `${basename(shard)}${generation.slice(2)}`);
  await copyFile(sound.path, path);
  const at = new Date(Date.now() - ageMs);
  await utimes(path, at, at);
  return path;
};

test('an object that no recording answers for is found at the start; a young one, and every recording, stay', async () => {
  const [old, young] = [await plant(MONTH_MS), await plant(0)];
  await utimes(sound.path, 0, 0);
  expect(await world.vault.stop()).toBe(0);
  const vault = await world.folder.start();
  // Said once the last of them is gone.
  await until(async () => vault.output().includes('objects that no recording answers for were removed'));
  expect(await isThere(old)).toBe(false);
  expect([await isThere(young), await isThere(sound.path)]).toEqual([true, true]);
  expect((await world.line.hear(sound.id)).equals(sound.audio)).toBe(true);
  expect(await vault.stop()).toBe(0);
});
