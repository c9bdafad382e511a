import { afterEach, beforeEach, expect } from 'vitest';
import { isAlive } from './child.ts';
import { createIntegrator } from './integrator.ts';
import type { startScene } from './scene.ts';
import type { VaultFolder } from './vault.ts';
import { type Inspection, inspect } from './vault-inspection.ts';

/** Rows, objects and files, without the entries that tell of the refusals. */
export const storedIn = async (folder: VaultFolder): Promise<Omit<Inspection, 'endings'>> => {
  const { endings: _told, ...stored } = await inspect(folder);
  return stored;
};

/** Every test of this file leaves behind exactly what it found. */
export const expectUnchanged = (folder: () => VaultFolder): void => {
  let before: Awaited<ReturnType<typeof storedIn>>;
  beforeEach(async () => {
    before = await storedIn(folder());
  });
  afterEach(async () => {
    expect(await storedIn(folder())).toEqual(before);
  });
};

/** After whatever was asked of it the same process serves, has logged no fault and holds what it held; closes it. */
export const closeUnharmed = async (scene: Awaited<ReturnType<typeof startScene>>): Promise<void> => {
  const { own, http, vault } = scene;
  expect((await http.get('/readyz')).status).toBe(200);
  expect(isAlive(vault.pid)).toBe(true);
  expect(vault.output()).not.toMatch(/"level":(50|60)/);
  expect(await createIntegrator(scene).search(own.nurse, {})).toEqual([own.recording.id]);
  await scene.close();
};
