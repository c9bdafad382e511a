import { afterEach, beforeEach, expect } from 'vitest';
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
