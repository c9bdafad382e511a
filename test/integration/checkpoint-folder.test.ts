import { chmod, mkdir, mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCheckpointFolder } from '../../src/storage/checkpoint-folder.ts';

/** Checkpoints as files: once, whole, never replaced. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cvf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('keeps what was first', async () => {
  const place = await openCheckpointFolder(join(folder, 'a', 'b'), Date.now());
  expect(await place.keep('0000000000000001', 'first')).toBe('first');
  expect(await place.keep('0000000000000001', 'second')).toBe('first');
  expect(await readdir(join(folder, 'a', 'b'))).toEqual(['0000000000000001']);
});

test('a place that is named must be there; a room within it is made', async () => {
  const named = join(folder, 'named');
  const open = (room = '') => openCheckpointFolder(join(named, room), Date.now(), { named });
  for (const room of ['', 'epoch-2'])
    await expect(open(room)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(`CHECKPOINT_DIR (${named}) is not there`),
    });
  await expect(readdir(named)).rejects.toThrow(/ENOENT/);
  await writeFile(named, '');
  await expect(open('epoch-2')).rejects.toMatchObject({
    message: `CHECKPOINT_DIR (${named}) is not a folder.`,
  });
  await unlink(named);
  await mkdir(named, { mode: 0o700 });
  await open('epoch-2');
  expect(await readdir(named)).toEqual(['epoch-2']);
});

test('gone while it is used: the error is about checkpoints', async () => {
  const place = await openCheckpointFolder(join(folder, 'gone'), Date.now());
  await rm(join(folder, 'gone'), { recursive: true });
  await expect(place.keep('0000000000000001', 'x')).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: 'The folder of the checkpoints cannot be used now.',
  });
});

test('is refused when others may write to it', async () => {
  const open = join(folder, 'open');
  await openCheckpointFolder(open, Date.now());
  await chmod(open, 0o770);
  await expect(openCheckpointFolder(open, Date.now())).rejects.toMatchObject({ code: 'config_invalid' });
});

test.each(['../x', '1', '0000000000000001/', '0000000000000001.zz', ''])('%j is no name', async (name) => {
  const place = await openCheckpointFolder(folder, Date.now());
  await expect(place.keep(name, 'x')).rejects.toThrow(RangeError);
  expect(() => place.read(name)).toThrow(RangeError);
});

test('names in it that are no checkpoints are passed over, and drafts of the dead removed', async () => {
  const place = await openCheckpointFolder(join(folder, 'c'), Date.now());
  const draft = join(folder, 'c', '.new-00000000-0000-4000-8000-000000000000');
  for (const name of ['x', '1', '0000000000000000', '00000000000000010', '0000000000000003.0badcafe'])
    await writeFile(join(folder, 'c', name), 'x');
  await writeFile(draft, 'x');
  await place.keep('0000000000000012', 'x');
  await place.keep('0000000000000002', 'x');
  expect(await Array.fromAsync(place.sizes(0))).toEqual([2, 12]);
  expect(await Array.fromAsync(place.sizes(3))).toEqual([12]);
  await openCheckpointFolder(join(folder, 'c'), Date.now());
  expect(await readdir(join(folder, 'c'))).toContain('.new-00000000-0000-4000-8000-000000000000');
  await openCheckpointFolder(join(folder, 'c'), Date.now() + 2 * 3_600_000);
  expect(await readdir(join(folder, 'c'))).not.toContain('.new-00000000-0000-4000-8000-000000000000');
});
