import { randomUUID } from 'node:crypto';
import { chmod, copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OrganisationId } from '../../../src/core/ids.ts';
import type { KeyName } from '../../../src/crypto/key-store.ts';
import { keyIdOf } from '../../../src/crypto/secret.ts';
import { openKeyFolder } from '../../../src/keys/key-folder.ts';
import type { KeyProvider } from '../../../src/keys/key-provider.ts';
import { createKeyStore } from '../../../src/keys/key-store.ts';
import { createClock, temporaryFolder } from '../../support/key-material.ts';

const { now } = createClock();
const newName = (purpose: KeyName['purpose'] = 'kek'): KeyName => ({
  organisation: randomUUID() as OrganisationId,
  purpose,
});

const createStore = async () => {
  const directory = await temporaryFolder();
  const folder = await openKeyFolder({ directory, create: true, now });
  const pathOf = ({ organisation, purpose }: KeyName, version: number, state = 'key') =>
    join(folder.keyringFolder, `${organisation}.${purpose}.${version}.${state}`);
  return { directory, pathOf, ...folder };
};

const zeros = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

test('every name and version has a key of its own', async () => {
  const { store } = await createStore();
  const [a, b] = [newName(), newName()];
  const made = [
    await store.create(a, 1),
    await store.create(a, 2),
    await store.create({ ...a, purpose: 'field' }, 1),
    await store.create(b, 1),
  ];
  expect(new Set(made.map(({ keyId }) => keyId)).size).toBe(4);
  for (const { key, keyId } of made) expect(keyIdOf(key)).toBe(keyId);
  expect(await store.versions(a)).toEqual([2, 1]);
  expect(await store.versions({ ...a, purpose: 'index' })).toEqual([]);
});

test('versions are ordered as numbers', async () => {
  const { store } = await createStore();
  const name = newName();
  for (const version of [9, 10, 2]) await store.create(name, version);
  expect(await store.versions(name)).toEqual([10, 9, 2]);
});

test('making a key again opens the one that is there, and the file stays as it was', async () => {
  const { store, pathOf } = await createStore();
  const name = newName();
  const first = await store.create(name, 1);
  const before = await readFile(pathOf(name, 1));
  const second = await store.create(name, 1);
  expect(second.key.equals(first.key)).toBe(true);
  expect(await readFile(pathOf(name, 1))).toEqual(before);
});

test('the file says what it holds, and holds no key', async () => {
  const { store, provider, pathOf } = await createStore();
  const name = newName();
  const { key, keyId } = await store.create(name, 1);
  const text = (await readFile(pathOf(name, 1))).toString();
  expect(JSON.parse(text)).toEqual({
    format: 1,
    ...name,
    version: 1,
    keyId,
    provider: 'file',
    rootKeyId: provider.keyId,
    createdAt: '2026-11-21T00:00:00.000Z',
    blob: expect.any(String),
  });
  for (const encoding of ['hex', 'base64', 'base64url'] as const)
    expect(text).not.toContain(key.export().toString(encoding));
});

test.each([0, -1, 1.5, Number.NaN, 2, 2 ** 31, 2 ** 53])('version %d is not there', async (version) => {
  const { store } = await createStore();
  const name = newName();
  await store.create(name, 1);
  await expect(store.open(name, version)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('a file moved to another organisation, purpose or version is damage there', async () => {
  const { store, pathOf } = await createStore();
  const name = newName();
  await store.create(name, 1);
  const others = [
    [newName(), 1],
    [{ ...name, purpose: 'field' as const }, 1],
    [name, 2],
  ] as const;
  for (const [other, version] of others) {
    await copyFile(pathOf(name, 1), pathOf(other, version));
    await chmod(pathOf(other, version), 0o600);
    await expect(store.open(other, version)).rejects.toMatchObject({ code: 'integrity_failure' });
    // Even when the line itself is made to fit the name: the wrapped key is bound to where it was made.
    const line = { ...JSON.parse((await readFile(pathOf(name, 1))).toString()), ...other, version };
    await writeFile(pathOf(other, version), `${JSON.stringify(line)}\n`);
    await expect(store.open(other, version)).rejects.toMatchObject({ code: 'integrity_failure' });
  }
});

test('no byte of a stored key can be changed unnoticed', async () => {
  const { store, pathOf } = await createStore();
  const name = newName();
  const made = await store.create(name, 1);
  const path = pathOf(name, 1);
  const good = await readFile(path);
  await chmod(path, 0o600);
  const createdAt = good.indexOf('createdAt') + 'createdAt":"'.length;
  for (let at = 0; at < good.length; at += 1) {
    // The date is for people; it is not bound to the key.
    if (at >= createdAt && at < createdAt + 24) continue;
    const copy = Buffer.from(good);
    copy[at] = copy[at]! ^ 1;
    await writeFile(path, copy);
    await expect(store.open(name, 1)).rejects.toMatchObject({
      code: expect.stringMatching(/^(integrity_failure|wrong_key)$/),
    });
  }
  await writeFile(path, good);
  expect((await store.open(name, 1)).key.equals(made.key)).toBe(true);
});

test('a stored key that others can read is refused', async () => {
  const { store, pathOf } = await createStore();
  const name = newName();
  await store.create(name, 1);
  await chmod(pathOf(name, 1), 0o644);
  await expect(store.open(name, 1)).rejects.toMatchObject({ code: 'config_invalid' });
});

test('what was destroyed is gone, is not made again, and its number is remembered', async () => {
  const { store, pathOf, keyringFolder } = await createStore();
  const name = newName();
  await store.create(name, 1);
  await store.create(name, 2);
  await store.destroy(name, 1);
  expect(await store.versions(name)).toEqual([2]);
  await expect(store.open(name, 1)).rejects.toMatchObject({ code: 'wrong_key' });
  await expect(store.create(name, 1)).rejects.toMatchObject({ code: 'wrong_key' });
  const names = (await readdir(keyringFolder)).map((file) => join(keyringFolder, file));
  expect(names).toContain(pathOf(name, 1, 'destroyed'));
  expect(names).not.toContain(pathOf(name, 1));
  await store.destroy(name, 1);
});

test('a destruction that was killed halfway counts at once, and the next start finishes it', async () => {
  const { store, pathOf, directory, keyringFolder } = await createStore();
  const name = newName();
  await store.create(name, 1);
  await store.create(name, 2);
  await writeFile(pathOf(name, 1, 'destroyed'), '{}\n', { mode: 0o400 });
  expect(await store.versions(name)).toEqual([2]);
  await expect(store.open(name, 1)).rejects.toMatchObject({ code: 'wrong_key' });
  await openKeyFolder({ directory, create: false, now });
  expect((await readdir(keyringFolder)).map((file) => join(keyringFolder, file))).not.toContain(
    pathOf(name, 1),
  );
  // A copy of the key that comes back with a backup stays dead.
  await store.create(name, 3);
  expect(await store.versions(name)).toEqual([3, 2]);
});

test('bytes that passed through a provider are overwritten on both ways', async () => {
  const { provider, keyringFolder } = await createStore();
  const seen: Uint8Array[] = [];
  const watched: KeyProvider = {
    ...provider,
    wrap: (context, secret) => {
      seen.push(secret);
      return provider.wrap(context, secret);
    },
    unwrap: async (context, blob) => {
      const secret = await provider.unwrap(context, blob);
      expect(zeros(secret)).toBe(false);
      seen.push(secret);
      return secret;
    },
  };
  const store = createKeyStore({ folder: keyringFolder, provider: watched, now });
  await store.create(newName(), 1);
  expect(seen).toHaveLength(2);
  expect(seen.every(zeros)).toBe(true);
});

test('bytes are overwritten as well when the provider fails', async () => {
  const { provider, keyringFolder } = await createStore();
  let seen: Uint8Array = Buffer.alloc(32, 1);
  const failing: KeyProvider = {
    ...provider,
    wrap: async (_context, secret) => {
      expect(zeros(secret)).toBe(false);
      seen = secret;
      throw new Error('connection lost');
    },
  };
  const store = createKeyStore({ folder: keyringFolder, provider: failing, now });
  const name = newName();
  await expect(store.create(name, 1)).rejects.toThrow('connection lost');
  expect(zeros(seen)).toBe(true);
  expect(await store.versions(name)).toEqual([]);
});
