import { appendFile, copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { flipBit, type KeptRecording, keepRecording } from '../support/kept-recording.ts';
import { expectNothing } from '../support/ways-to-hear.ts';

/** docs/file-format.md §2: segments of an object, and the plaintext in the first and in each other one. */
const SEGMENT = 65_536;
const FIRST = 65_480;
const NEXT = 65_520;
/** Twelve segments and a bit: more than one piece of 512 KiB. */
const BYTES = FIRST + 11 * NEXT + 10_000;

let world: CareLineVault;
/** Its neighbour, which plays whatever becomes of others. */
let sound: KeptRecording;

beforeAll(async () => {
  world = await startCareLine();
  sound = await keepRecording(world, BYTES);
});
afterEach(async () => {
  expect((await world.line.hear(sound.id)).equals(sound.audio)).toBe(true);
  expect((await world.line.http.get('/readyz')).status).toBe(200);
});
afterAll(() => world?.folder.remove());

const listen = async (audioUrl: string, headers: Record<string, string> = {}): Promise<Reply> =>
  world.line.http.get(audioUrl, { token: await world.line.nurse.token(), headers });

const damagedEntries = async (recording: string): Promise<number> => {
  const json = { recording, action: 'recording.damaged' };
  const asked = { token: await world.line.compliance.token(), json };
  const reply = await world.line.http.post('/v1/audit/search', asked);
  return jsonOf<{ entries: unknown[] }>(reply, 200).entries.length;
};

const sizeOf = async (path: string): Promise<number> => (await readFile(path)).length;

test.each<[string, (path: string) => Promise<unknown>]>([
  ['cut at the end of a segment', (path) => truncate(path, 2 * SEGMENT)],
  ['cut within a segment', (path) => truncate(path, 2 * SEGMENT + 100)],
  ['cut by its last byte', async (path) => truncate(path, (await sizeOf(path)) - 1)],
  ['emptied', (path) => truncate(path, 0)],
  ['with bytes appended', (path) => appendFile(path, Buffer.alloc(16))],
  ['gone', (path) => rm(path)],
  ['replaced by another recording of the same length', (path) => copyFile(sound.path, path)],
  ['replaced by zeros of the same length', async (path) => writeFile(path, Buffer.alloc(await sizeOf(path)))],
])('an object %s: not one of its pieces is played', async (_name, damage) => {
  const { id, path, audio } = await keepRecording(world, BYTES);
  await damage(path);
  const audioUrl = await world.line.openPlayback(id);
  for (const range of ['bytes=0-99', `bytes=${FIRST + NEXT}-`, `bytes=${FIRST + 9 * NEXT}-`, 'bytes=-10'])
    expectNothing(await listen(audioUrl, { range }), audio, 502);
  expectNothing(await listen(audioUrl), audio, 502);
  // An alarm, and one entry, however often a player tries.
  expect(await damagedEntries(id)).toBe(1);
  expect(world.vault.output()).toContain('ALARM');
});

test('a bit of the header flipped: the beginning is refused', async () => {
  const { id, path, audio } = await keepRecording(world, BYTES);
  await flipBit(path, 20);
  const audioUrl = await world.line.openPlayback(id);
  expectNothing(await listen(audioUrl, { range: 'bytes=0-99' }), audio, 502);
  expectNothing(await listen(audioUrl), audio, 502);
  expect(await damagedEntries(id)).toBe(1);
});

const swapSegments = async (path: string, one: number): Promise<void> => {
  const bytes = await readFile(path);
  const [at, middle, end] = [one * SEGMENT, (one + 1) * SEGMENT, (one + 2) * SEGMENT];
  const parts = [
    bytes.subarray(0, at),
    bytes.subarray(middle, end),
    bytes.subarray(at, middle),
    bytes.subarray(end),
  ];
  await writeFile(path, Buffer.concat(parts));
};

test.each<[string, (path: string) => Promise<void>]>([
  ['a bit flipped', (path) => flipBit(path, 10 * SEGMENT + 500)],
  ['two segments swapped', (path) => swapSegments(path, 10)],
])(
  '%s in the second half: pieces that touch it are refused whole, and the answer to the whole is cut',
  async (_name, damage) => {
    const { id, path, audio } = await keepRecording(world, BYTES);
    await damage(path);
    const audioUrl = await world.line.openPlayback(id);
    const before = await listen(audioUrl, { range: 'bytes=0-199999' });
    expect(before.status).toBe(206);
    expect(before.body.equals(audio.subarray(0, 200_000))).toBe(true);
    const at = FIRST + 9 * NEXT;
    expectNothing(await listen(audioUrl, { range: `bytes=${at + 400}-${at + 600}` }), audio, 502);
    expectNothing(await listen(audioUrl, { range: `bytes=${at - NEXT}-${at + 600}` }), audio, 502);
    // Headers and what had verified may have left; a player must not take that for the whole.
    await expect(listen(audioUrl)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    expect(await damagedEntries(id)).toBe(1);
  },
);
