import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openKeyFolder } from '../../../src/keys/key-folder.ts';

let home: string;
let options: { directory: string; rootKeyFile: string; now: () => number };

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'keys-'));
  mkdirSync(join(home, 'mounted'), { mode: 0o700 });
  options = {
    directory: join(home, 'data.keys'),
    rootKeyFile: join(home, 'mounted', 'vault.key'),
    now: Date.now,
  };
});
afterEach(() => rmSync(home, { recursive: true }));

test('a root key kept elsewhere is made there and read from there, and none in the key folder', async () => {
  const first = await openKeyFolder({ ...options, create: true });
  expect(first.rootKeyFile).toBe(options.rootKeyFile);
  expect(existsSync(options.rootKeyFile)).toBe(true);
  expect(existsSync(join(options.directory, 'root.key'))).toBe(false);
  const second = await openKeyFolder({ ...options, create: false });
  expect(second.provider.keyId).toBe(first.provider.keyId);
});

test('without it the keys do not open, and no other root key takes its place', async () => {
  await openKeyFolder({ ...options, create: true });
  const { directory, now } = options;
  for (const create of [true, false])
    await expect(openKeyFolder({ directory, now, create })).rejects.toMatchObject({ code: 'wrong_key' });
  expect(existsSync(join(directory, 'root.key'))).toBe(false);
});
