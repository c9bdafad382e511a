import {
  chmod,
  link,
  mkdir,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFileObjectStore } from '../../src/storage/file-object-store.ts';
import type { ObjectKey } from '../../src/storage/object-store.ts';
import { collected } from '../support/byte-streams.ts';
import { openFileStore } from '../support/file-store.ts';
import { asSealed, sampleBytes } from '../support/object-bodies.ts';
import {
  expectNothingLeft,
  fetched,
  listedKeys,
  never,
  newKey,
  refusal,
  store,
} from '../support/opened-store.ts';
import { startStoreProcess } from '../support/store-process.ts';

const MiB = 1024 ** 2;
const FUTURE = new Date('2999-01-01');

let opened: Awaited<ReturnType<typeof openFileStore>>;
beforeEach(async () => {
  opened = await openFileStore();
});
afterEach(async () => opened?.close());

const pathOf = (key: ObjectKey): string => {
  const [room, organisation, generation] = key.split('/') as [string, string, string];
  return join(opened.root, room, organisation, generation.slice(0, 2), generation);
};

describe('folder of the file store', () => {
  test('is for its owner only, and so is every folder and file in it', async () => {
    await store(opened.store, newKey(), sampleBytes(10));
    await opened.strand();
    const modes: Record<string, string> = {};
    const entries = await readdir(opened.root, { recursive: true, withFileTypes: true });
    for (const entry of entries.filter(({ parentPath, name }) => !join(parentPath, name).endsWith('.part')))
      modes[entry.isDirectory() ? 'folder' : 'file'] = (
        (await stat(join(entry.parentPath, entry.name))).mode & 0o7777
      ).toString(8);
    expect(modes).toEqual({ folder: '700', file: '600' });
    expect((await stat(opened.root)).mode & 0o7777).toBe(0o700);
  });

  test.each([0o750, 0o705, 0o755, 0o770, 0o701])(
    'is refused with mode %o, and left as it is',
    async (mode) => {
      await chmod(opened.root, mode);
      await refusal(createFileObjectStore({ root: opened.root, freeBytesFloor: 0 }), 'config_invalid');
      expect((await stat(opened.root)).mode & 0o777).toBe(mode);
    },
  );

  test('is made with all that is missing above it', async () => {
    const root = join(opened.root, 'deep', 'deeper', 'objects');
    const made = await createFileObjectStore({ root, freeBytesFloor: 0 });
    await made.check();
    expect((await stat(dirname(root))).mode & 0o777).toBe(0o700);
  });

  test('that is a file is refused', async () => {
    const root = join(opened.root, 'file');
    await writeFile(root, '');
    const refused = createFileObjectStore({ root, freeBytesFloor: 0 });
    await refusal(refused, 'storage_unavailable');
  });

  test('may hold things of others: they are neither listed nor swept', async () => {
    const key = newKey();
    await store(opened.store, key, sampleBytes(10));
    const folder = dirname(pathOf(key));
    await writeFile(join(folder, 'notes.txt'), 'x');
    await writeFile(join(folder, newKey().split('/')[2]!.replace(/^../, 'zz')), 'x');
    await writeFile(join(opened.root, 'recordings', 'notes.txt'), 'x');
    await writeFile(join(opened.root, 'incoming', 'notes.txt'), 'x');
    await symlink('/etc/hostname', join(folder, `${folder.slice(-2)}${newKey().split('/')[2]!.slice(2)}`));
    expect(await listedKeys(opened.store)).toEqual([key]);
    expect(await opened.store.sweep(FUTURE)).toEqual({ removed: 0 });
  });

  test('leads nowhere else by a planted link', async () => {
    const key = newKey();
    await mkdir(dirname(pathOf(key)), { recursive: true });
    await symlink('/etc/hostname', pathOf(key));
    await refusal(opened.store.get(key, { signal: never() }), 'storage_unavailable');
    expect(await opened.store.head(key)).toBeNull();
    await refusal(store(opened.store, key, sampleBytes(1)), 'conflict');
    await opened.store.delete(key);
    await store(opened.store, key, sampleBytes(1));
    expect(await fetched(opened.store, key)).toHaveLength(1);
  });
});

describe('disk of the file store', () => {
  test('with too little space takes nothing and says so, but gives back and deletes', async () => {
    const key = newKey();
    await store(opened.store, key, sampleBytes(1000));
    const free = (await opened.store.freeBytes()) as number;
    const low = await createFileObjectStore({ root: opened.root, freeBytesFloor: free * 2 });
    await refusal(low.check(), 'storage_full');
    const refused = newKey();
    await refusal(store(low, refused, sampleBytes(1)), 'storage_full');
    await refusal(low.put(refused, asSealed(sampleBytes(1)), { signal: never() }), 'storage_full');
    await expectNothingLeft(opened, refused);
    expect(await fetched(low, key)).toHaveLength(1000);
    await low.delete(key);
    await expectNothingLeft(opened, key);
  });

  test('counts what is announced: an upload that would cross the floor is refused before its first byte', async () => {
    const free = (await opened.store.freeBytes()) as number;
    const key = newKey();
    const asked: string[] = [];
    const body = (async function* () {
      asked.push('a byte');
      yield Buffer.alloc(1);
    })();
    await refusal(opened.store.put(key, body, { bytes: free * 2, signal: never() }), 'storage_full');
    expect(asked).toEqual([]);
    await expectNothingLeft(opened, key);
  });

  test('that fails midway is told with its cause, and leaves nothing', async () => {
    const key = newKey();
    // A limit on the size of files makes the system itself refuse the write that crosses it; one block more than
    // 2 MiB makes it take a part of a piece before.
    const limited = ['sh', '-c', 'ulimit -f 4097 && exec "$@"', 'limited'];
    const child = startStoreProcess('attempt', key, { kind: 'file', at: opened.root }, limited);
    expect(await child.said).toEqual({ code: 'storage_unavailable', cause: 'EFBIG' });
    await child.ended;
    await expectNothingLeft(opened, key);
    await store(opened.store, key, sampleBytes(8 * MiB));
  });

  test('that is gone is told by everything', async () => {
    const key = newKey();
    await store(opened.store, key, sampleBytes(10));
    await rename(opened.root, `${opened.root}.away`);
    await refusal(opened.store.check(), 'storage_unavailable');
    await refusal(store(opened.store, newKey(), sampleBytes(1)), 'storage_unavailable');
    await refusal(opened.store.sweep(FUTURE), 'storage_unavailable');
    await refusal(opened.store.freeBytes(), 'storage_unavailable');
    await rename(`${opened.root}.away`, opened.root);
    await opened.store.check();
    expect(await fetched(opened.store, key)).toHaveLength(10);
  });

  test('whose folders were taken away heals with the second upload', async () => {
    const organisation = newKey().split('/')[1]!;
    const key = newKey(organisation);
    await store(opened.store, key, sampleBytes(10));
    await rm(join(opened.root, 'recordings', organisation), { recursive: true });
    await refusal(store(opened.store, key, sampleBytes(10)), 'storage_unavailable');
    await store(opened.store, key, sampleBytes(10));
    expect(await fetched(opened.store, key)).toHaveLength(10);
  });

  test('that cuts an object while it is read makes an error, never an end', async () => {
    const key = newKey();
    await store(opened.store, key, sampleBytes(2 * MiB));
    const { body } = await opened.store.get(key, { signal: never() });
    await truncate(pathOf(key), MiB + 1);
    await refusal(collected(body), 'storage_unavailable');
  });
});

describe('object of the file store that has been read', () => {
  const read = async (key: ObjectKey): Promise<Buffer> => fetched(opened.store, key);
  let key: ObjectKey;
  beforeEach(async () => {
    key = newKey();
    await store(opened.store, key, sampleBytes(MiB));
    await read(key);
  });

  test('is missing when its file is', async () => {
    await rm(pathOf(key));
    await refusal(opened.store.get(key, { signal: never() }), 'not_found');
  });

  test('is as long as its file is now', async () => {
    await truncate(pathOf(key), 1000);
    const { totalBytes, body } = await opened.store.get(key, { start: 2000, signal: never() });
    expect(totalBytes).toBe(1000);
    expect(await collected(body)).toHaveLength(0);
    expect((await read(key)).equals(sampleBytes(1000))).toBe(true);
  });

  test('is the file that bears its name now', async () => {
    await writeFile(`${pathOf(key)}.new`, 'restored');
    await rename(`${pathOf(key)}.new`, pathOf(key));
    expect((await read(key)).toString()).toBe('restored');
  });

  test('cannot be reached after its deletion, though another name of its file is left', async () => {
    // What a crash between making the name and removing the draft leaves.
    await link(pathOf(key), join(opened.root, 'incoming', `${newKey().slice(-36)}.part`));
    const reading = read(key);
    await opened.store.delete(key);
    await reading.catch(() => undefined);
    await refusal(opened.store.get(key, { signal: never() }), 'not_found');
  });
});

describe('process of the file store', () => {
  test('killed in the middle of an upload leaves nothing to see, and the sweep removes the rest', async () => {
    const key = newKey();
    const child = startStoreProcess('half', key, { kind: 'file', at: opened.root });
    expect(await child.said).toEqual({ half: true });
    await child.kill();
    expect(await opened.store.head(key)).toBeNull();
    expect(await listedKeys(opened.store)).toEqual([]);
    expect(await opened.leftovers()).toHaveLength(1);
    expect(await opened.store.sweep(new Date(0))).toEqual({ removed: 0 });
    expect(await opened.store.sweep(FUTURE)).toEqual({ removed: 1 });
    await store(opened.store, key, sampleBytes(10));
  });

  test('killed after an upload leaves the object whole', async () => {
    const key = newKey();
    const child = startStoreProcess('whole', key, { kind: 'file', at: opened.root });
    expect(await child.said).toEqual({ stored: true });
    await child.kill();
    expect((await fetched(opened.store, key)).equals(sampleBytes(4 * MiB))).toBe(true);
    expect(await opened.leftovers()).toEqual([]);
  });

  test('does not grow with 2 GiB in and out', async () => {
    const child = startStoreProcess('memory', newKey(), { kind: 'file', at: opened.root });
    const { growthMiB } = (await child.said) as { growthMiB: number };
    await child.ended;
    expect(growthMiB).toBeLessThan(150);
  });

  test('refuses to start twice at the same key, whichever process comes first', async () => {
    const key = newKey();
    const places = Array.from({ length: 3 }, () =>
      startStoreProcess('attempt', key, { kind: 'file', at: opened.root }),
    );
    const outcomes = await Promise.all(places.map(({ said }) => said as Promise<{ code: string | null }>));
    expect(outcomes.map(({ code }) => code).toSorted()).toEqual(['conflict', 'conflict', null]);
  });
});
