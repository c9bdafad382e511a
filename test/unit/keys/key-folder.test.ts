import { randomUUID } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OrganisationId } from '../../../src/core/ids.ts';
import { openKeyFolder } from '../../../src/keys/key-folder.ts';
import { createClock, temporaryFolder } from '../../support/key-material.ts';

const { now } = createClock();
const ORGANISATION = '11111111-2222-4333-8444-555555555555' as OrganisationId;
const KEK = { organisation: ORGANISATION, purpose: 'kek' } as const;

const createFolder = async () => {
  const directory = join(await temporaryFolder(), 'keys');
  const folder = await openKeyFolder({ directory, create: true, now });
  return { directory, ...folder };
};
const reopen = (directory: string, create = false) => openKeyFolder({ directory, create, now });

/** Writes over a file that is read-only. */
const overwrite = async (path: string, content: Uint8Array | string): Promise<void> => {
  await chmod(path, 0o600);
  await writeFile(path, content);
};
const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = copy[at]! ^ 1;
  return copy;
};

test('the first start makes the root key and the canary, for the owner alone', async () => {
  const { directory, rootKeyFile, keyringFolder } = await createFolder();
  expect(rootKeyFile).toBe(join(directory, 'root.key'));
  expect(await readdir(directory)).toEqual(['keyring', 'root.key']);
  expect(await readdir(keyringFolder)).toEqual(['00000000-0000-0000-0000-000000000000.canary.1.key']);
  const modes = [directory, keyringFolder, rootKeyFile].map(async (path) => (await stat(path)).mode & 0o777);
  expect(await Promise.all(modes)).toEqual([0o700, 0o700, 0o400]);
  const root = await readFile(rootKeyFile);
  expect(root).toHaveLength(56);
  expect(root.subarray(0, 8).toString()).toBe('CVROOT1\n');
});

test('the next start finds the same keys and makes nothing', async () => {
  const { directory, store, provider } = await createFolder();
  const made = await store.create(KEK, 1);
  const again = await reopen(directory);
  expect(again.provider.keyId).toBe(provider.keyId);
  const found = await again.store.open(KEK, 1);
  expect(found.key.equals(made.key)).toBe(true);
  expect(found.keyId).toBe(made.keyId);
});

test('without leave to create, nothing is made', async () => {
  const directory = await temporaryFolder();
  await expect(reopen(directory)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await mkdir(join(directory, 'keyring'), { mode: 0o700 });
  await expect(reopen(directory)).rejects.toMatchObject({ code: 'keys_unavailable' });
  expect(await readdir(directory)).toEqual(['keyring']);
});

test('a root key is never made beside keys that another one wraps', async () => {
  const { directory, rootKeyFile } = await createFolder();
  await rm(rootKeyFile);
  for (const create of [true, false])
    await expect(reopen(directory, create)).rejects.toMatchObject({ code: 'wrong_key' });
  expect(await readdir(directory)).toEqual(['keyring']);
});

test('the root key of another vault is refused at start as the wrong one', async () => {
  const [here, there] = [await createFolder(), await createFolder()];
  await rm(here.rootKeyFile);
  await copyFile(there.rootKeyFile, here.rootKeyFile);
  await expect(reopen(here.directory)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('a damaged root key file is refused at whatever byte', async () => {
  const { directory, rootKeyFile } = await createFolder();
  const good = await readFile(rootKeyFile);
  for (let at = 0; at < good.length; at += 1) {
    await overwrite(rootKeyFile, flipped(good, at));
    await expect(reopen(directory)).rejects.toMatchObject({ code: 'wrong_key' });
  }
  await overwrite(rootKeyFile, good);
  await reopen(directory);
});

test.each([0, 8, 32, 55])('a root key file of %i bytes is refused', async (length) => {
  const { directory, rootKeyFile } = await createFolder();
  const good = await readFile(rootKeyFile);
  await overwrite(rootKeyFile, good.subarray(0, length));
  await expect(reopen(directory)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('a longer root key file, and one that others can read, are refused', async () => {
  const { directory, rootKeyFile } = await createFolder();
  const good = await readFile(rootKeyFile);
  await overwrite(rootKeyFile, Buffer.concat([good, Buffer.from('\n')]));
  await expect(reopen(directory)).rejects.toMatchObject({ code: 'config_invalid' });
  await overwrite(rootKeyFile, good);
  await chmod(rootKeyFile, 0o640);
  await expect(reopen(directory)).rejects.toMatchObject({ code: 'config_invalid' });
});

test('a key ring without its canary, or with a damaged one, is refused', async () => {
  const { directory, keyringFolder, store } = await createFolder();
  await store.create(KEK, 1);
  const canary = join(keyringFolder, '00000000-0000-0000-0000-000000000000.canary.1.key');
  const good = await readFile(canary);
  await overwrite(canary, good.subarray(0, -1));
  await expect(reopen(directory)).rejects.toMatchObject({ code: 'integrity_failure' });
  await rm(canary);
  for (const create of [true, false])
    await expect(reopen(directory, create)).rejects.toMatchObject({ code: 'integrity_failure' });
});

test('a root key taken away or exchanged while the vault runs opens nothing more', async () => {
  const [here, there] = [await createFolder(), await createFolder()];
  await here.store.create(KEK, 1);
  await rename(here.rootKeyFile, `${here.rootKeyFile}.away`);
  await expect(here.store.check()).rejects.toMatchObject({ code: 'keys_unavailable' });
  await expect(here.store.open(KEK, 1)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await expect(here.store.create(KEK, 2)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await copyFile(there.rootKeyFile, here.rootKeyFile);
  await expect(here.store.check()).rejects.toMatchObject({ code: 'wrong_key' });
  await expect(here.store.create(KEK, 2)).rejects.toMatchObject({ code: 'wrong_key' });
  await rm(here.rootKeyFile);
  await rename(`${here.rootKeyFile}.away`, here.rootKeyFile);
  await here.store.check();
  expect(await here.store.versions(KEK)).toEqual([1]);
});

test('a start that was killed between root key and canary is finished by the next one', async () => {
  const { directory, keyringFolder, provider } = await createFolder();
  await rm(join(keyringFolder, '00000000-0000-0000-0000-000000000000.canary.1.key'));
  await expect(reopen(directory, false)).rejects.toMatchObject({ code: 'integrity_failure' });
  const again = await reopen(directory, true);
  expect(again.provider.keyId).toBe(provider.keyId);
});

test('several first starts at once end with one root key', async () => {
  const directory = join(await temporaryFolder(), 'keys');
  const starts = await Promise.all(Array.from({ length: 8 }, () => reopen(directory, true)));
  expect(new Set(starts.map(({ provider }) => provider.keyId)).size).toBe(1);
  expect(await readdir(join(directory, 'keyring'))).toHaveLength(1);
});

test('a copy of both parts, as a backup makes it, opens the same keys', async () => {
  const { directory, store } = await createFolder();
  const made = await store.create(KEK, 1);
  const copy = join(await temporaryFolder(), 'copy');
  await cp(directory, copy, { recursive: true });
  expect((await (await reopen(copy)).store.open(KEK, 1)).key.equals(made.key)).toBe(true);
});

test('files that are none of ours are left alone', async () => {
  const { directory, keyringFolder } = await createFolder();
  const names = [
    'README',
    `${randomUUID()}.kek.01.key`,
    `${ORGANISATION}.other.1.key`,
    'x.kek.1.key',
    '.DS_Store',
  ];
  for (const name of names) await writeFile(join(keyringFolder, name), 'x');
  const { store } = await reopen(directory);
  expect(await store.versions(KEK)).toEqual([]);
  expect((await readdir(keyringFolder)).length).toBe(names.length + 1);
});
