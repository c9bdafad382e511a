import { execFileSync } from 'node:child_process';
import {
  chmod,
  link,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import {
  createOnce,
  namesIn,
  ownFolder,
  readOwnerOnly,
  removeDurably,
  sweepTemporary,
} from '../../../src/keys/owner-only-file.ts';
import { temporaryFolder } from '../../support/key-material.ts';

afterEach(() => vi.restoreAllMocks());

const content = Buffer.from('content');
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;
const asAnotherUser = () => vi.spyOn(process, 'geteuid').mockReturnValue((process.geteuid?.() ?? 0) + 1);

test('a file is made once, for the owner to read', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'a.key');
  expect(await createOnce(path, content)).toBe(true);
  expect(await modeOf(path)).toBe(0o400);
  expect(await readOwnerOnly(path, 100)).toEqual(content);
  expect(await createOnce(path, Buffer.from('other'))).toBe(false);
  expect(await readFile(path)).toEqual(content);
  expect(await readdir(folder)).toEqual(['a.key']);
});

test('a umask that takes rights away, or gives all, changes nothing', async () => {
  const folder = await temporaryFolder();
  for (const mask of [0o777, 0]) {
    const before = process.umask(mask);
    try {
      await createOnce(join(folder, `${mask}`), content);
      await ownFolder(join(folder, `folder-${mask}`), true);
    } finally {
      process.umask(before);
    }
    expect(await modeOf(join(folder, `${mask}`))).toBe(0o400);
    expect(await modeOf(join(folder, `folder-${mask}`))).toBe(0o700);
  }
});

test('of many that make the same file at once exactly one does', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'a.key');
  const writers = Array.from({ length: 20 }, (_, i) => createOnce(path, Buffer.from(`writer ${i}`)));
  const made = (await Promise.all(writers)).flatMap((won, i) => (won ? [`writer ${i}`] : []));
  expect(made).toHaveLength(1);
  expect((await readFile(path)).toString()).toBe(made[0]);
  expect(await readdir(folder)).toEqual(['a.key']);
});

test('what is not there is null', async () => {
  expect(await readOwnerOnly(join(await temporaryFolder(), 'none'), 100)).toBeNull();
});

test.each([0o440, 0o404, 0o640, 0o604, 0o644, 0o660, 0o700, 0o500])('mode %o is refused', async (mode) => {
  const path = join(await temporaryFolder(), 'a.key');
  await writeFile(path, content);
  await chmod(path, mode);
  await expect(readOwnerOnly(path, 100)).rejects.toMatchObject({ code: 'config_invalid' });
});

test.each([0o400, 0o600])('mode %o is read', async (mode) => {
  const path = join(await temporaryFolder(), 'a.key');
  await writeFile(path, content);
  await chmod(path, mode);
  expect(await readOwnerOnly(path, 100)).toEqual(content);
});

test('a symbolic link is refused, even one that leads to a good file', async () => {
  const folder = await temporaryFolder();
  await createOnce(join(folder, 'a.key'), content);
  await symlink(join(folder, 'a.key'), join(folder, 'b.key'));
  await symlink(join(folder, 'nowhere'), join(folder, 'c.key'));
  for (const name of ['b.key', 'c.key'])
    await expect(readOwnerOnly(join(folder, name), 100)).rejects.toMatchObject({ code: 'config_invalid' });
  expect(await createOnce(join(folder, 'c.key'), content)).toBe(false);
  expect(await readdir(folder)).not.toContain('nowhere');
});

/** What is said of a path that is another user's: whose it is, who this is, and what to do. */
const anothers = (path: string) => ({
  code: 'config_invalid',
  message: expect.stringMatching(
    new RegExp(`^${path} belongs to another user \\(\\d+, this is \\d+\\): run this as that user`),
  ),
});

test('a file of another user is refused', async () => {
  const path = join(await temporaryFolder(), 'a.key');
  await createOnce(path, content);
  asAnotherUser();
  await expect(readOwnerOnly(path, 100)).rejects.toMatchObject(anothers(path));
});

test('a folder, a pipe and a file that is too long are refused, and none of them makes it wait', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'd'), { mode: 0o700 });
  execFileSync('mkfifo', ['-m', '600', join(folder, 'p')]);
  await writeFile(join(folder, 'l'), Buffer.alloc(101), { mode: 0o600 });
  for (const name of ['d', 'p', 'l'])
    await expect(readOwnerOnly(join(folder, name), 100)).rejects.toMatchObject({ code: 'config_invalid' });
  // Nobody else can read it, so nothing is said of that.
  await expect(readOwnerOnly(join(folder, 'l'), 100)).rejects.toThrow(/is too long to be a key\.$/);
  await expect(readOwnerOnly(join(folder, 'd'), 100)).rejects.toThrow(/Keys must be readable by/);
});

test('a file system that fails makes the keys unavailable', async () => {
  const folder = join(await temporaryFolder(), 'file');
  await writeFile(folder, '', { mode: 0o600 });
  const under = join(folder, 'a.key');
  await expect(readOwnerOnly(under, 100)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await expect(createOnce(under, content)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await expect(removeDurably(under)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await expect(namesIn(folder)).rejects.toMatchObject({ code: 'keys_unavailable' });
});

test('removing is for good, and may be said twice', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'a.key');
  await createOnce(path, content);
  await removeDurably(path);
  await removeDurably(path);
  expect(await readdir(folder)).toEqual([]);
});

test('what a crash left is invisible at once and swept when it is old', async () => {
  const folder = await temporaryFolder();
  const name = '.new-2f0b1c9e-6d7a-4f3e-8a55-0123456789ab';
  await writeFile(join(folder, name), 'half', { mode: 0o400 });
  await writeFile(join(folder, 'notes.txt'), 'not ours');
  expect(await namesIn(folder)).toEqual(['notes.txt']);
  const now = Date.now();
  await sweepTemporary(folder, now);
  expect(await readdir(folder)).toContain(name);
  await utimes(join(folder, name), now / 1000 - 3700, now / 1000 - 3700);
  await utimes(join(folder, 'notes.txt'), now / 1000 - 3700, now / 1000 - 3700);
  await sweepTemporary(folder, now);
  expect(await readdir(folder)).toEqual(['notes.txt']);
  await sweepTemporary(join(folder, 'none'), now);
});

test('a folder that others can enter is refused', async () => {
  const folder = await temporaryFolder();
  await ownFolder(folder, false);
  for (const mode of [0o701, 0o710, 0o750, 0o755, 0o777]) {
    await chmod(folder, mode);
    await expect(ownFolder(folder, true)).rejects.toMatchObject({ code: 'config_invalid' });
    expect(await modeOf(folder)).toBe(mode);
  }
});

test('a folder that is a link, a file, missing or of another user is refused', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'real'), { mode: 0o700 });
  await symlink(join(folder, 'real'), join(folder, 'link'));
  await writeFile(join(folder, 'file'), '');
  await link(join(folder, 'file'), join(folder, 'file2'));
  for (const name of ['link', 'file', 'file2'])
    await expect(ownFolder(join(folder, name), false)).rejects.toMatchObject({ code: 'config_invalid' });
  await expect(ownFolder(join(folder, 'none'), false)).rejects.toMatchObject({ code: 'keys_unavailable' });
  await rm(join(folder, 'link'));
  asAnotherUser();
  await expect(ownFolder(join(folder, 'real'), false)).rejects.toMatchObject(anothers(join(folder, 'real')));
});
