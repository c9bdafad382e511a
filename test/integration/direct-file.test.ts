import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDirectFiles } from '../../src/storage/direct-file.ts';
import { writeFileDurably } from '../../src/storage/file-object-writer.ts';
import { inChunks } from '../support/byte-streams.ts';
import { sampleBytes } from '../support/object-bodies.ts';
import { never } from '../support/opened-store.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-direct-'));
});
afterEach(() => rm(folder, { recursive: true }));

const name = (n: number | string): string => join(folder, String(n));
const PIECE = 512 * 1024;
const CUTS = [1000, 65_552, 300_000];

test('the trial leaves nothing, and where it cannot succeed no file is opened', async () => {
  const files = await createDirectFiles(name('trial'));
  expect(await readdir(folder)).toEqual([]);
  const file = await files.open(name(1));
  await file?.handle.close();
  await file?.release();
  expect(file, 'this file system takes writes past the page cache').not.toBeNull();
  const none = await createDirectFiles(join(folder, 'missing', 'trial'));
  expect(await none.open(name(2))).toBeNull();
  expect(await readdir(folder)).toEqual(['1']);
});

test('never more than its buffers: the 33rd file at once is refused, and the next after one was released is not', async () => {
  const files = await createDirectFiles(name('trial'));
  const opened = await Promise.all(Array.from({ length: 33 }, (_, n) => files.open(name(n))));
  expect(opened.filter((file) => file === null)).toHaveLength(1);
  const [first, ...others] = opened.filter((file) => file !== null);
  await first?.handle.close();
  await first?.release();
  const again = await files.open(name('again'));
  expect(again).not.toBeNull();
  for (const file of [...others, again]) {
    await file?.handle.close();
    await file?.release();
  }
});

test('a file that is there already is not written over, and its buffers come back', async () => {
  const files = await createDirectFiles(name('trial'));
  await writeFileDurably(name('a'), inChunks(Buffer.from('before'), 3), { signal: never() });
  for (let i = 0; i < 40; i += 1)
    await expect(files.open(name('a'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect((await readFile(name('a'))).toString()).toBe('before');
  const file = await files.open(name('b'));
  expect(file).not.toBeNull();
  await file?.handle.close();
  await file?.release();
});

// A buffer still holds what the file before it wrote: none of it may follow the shorter file's end.
test('what was written is what was given, file after file and 40 at once, whatever the cuts', async () => {
  const directFiles = await createDirectFiles(name('trial'));
  const lengths = [3 * PIECE + 17, 5, 4096, 4095, PIECE, PIECE + 1, 2 * PIECE - 1, 0];
  const write = async (n: number, length: number, cut: number): Promise<void> => {
    const bytes = sampleBytes(length);
    const written = await writeFileDurably(name(n), inChunks(Buffer.from(bytes), cut), {
      signal: never(),
      directFiles,
    });
    expect(written).toBe(length);
    expect((await readFile(name(n))).equals(bytes), `${length} bytes in cuts of ${cut}`).toBe(true);
  };
  for (const [i, length] of lengths.entries())
    for (const [j, cut] of CUTS.entries()) await write(i * CUTS.length + j, length, cut);
  await Promise.all(Array.from({ length: 40 }, (_, i) => write(100 + i, 900_000 + i, 65_552)));
});
