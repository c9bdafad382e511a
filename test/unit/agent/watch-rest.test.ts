import { expect, test } from 'vitest';
import type { Sight } from '../../../src/agent/open-writers.ts';
import type { Found } from '../../../src/agent/scan-folder.ts';
import type { WatchEvent } from '../../../src/agent/watch-options.ts';
import { createRest, SILENT_BYTES, SILENT_TIMES, UNSEEN_REST_MS } from '../../../src/agent/watch-rest.ts';

const sightOf = (isWritten: boolean, mayBe: boolean): Sight => ({
  isWritten: async () => isWritten,
  mayBeWritten: async () => mayBe,
});
const foundOf = (size: number, agoMs = 0, metadataAgoMs = agoMs): Found => ({
  path: Buffer.from('/a.wav'),
  key: '/a.wav',
  signature: '1 1 1',
  hasSide: false,
  stat: {
    dev: 1n,
    ino: 1n,
    uid: 1n,
    size: BigInt(size),
    mtimeMs: BigInt(Date.now() - agoMs),
    ctimeMs: BigInt(Date.now() - metadataAgoMs),
  },
});
const restOf = () => {
  const events: WatchEvent[] = [];
  return { events, ...createRest({ unseenRestMs: UNSEEN_REST_MS, onEvent: (event) => events.push(event) }) };
};
const LOUD = SILENT_BYTES;
const SILENT_REST_MS = UNSEEN_REST_MS * SILENT_TIMES;

test('two minutes, and an hour', () => {
  expect([UNSEEN_REST_MS, SILENT_REST_MS]).toEqual([120_000, 3_600_000]);
});

test('everybody seen: who writes keeps it, and nobody lets it go at once', async () => {
  const { isFinished, events } = restOf();
  expect(await isFinished(foundOf(0), { ms: 1e9, looks: 99 }, sightOf(true, false))).toBe(false);
  expect(await isFinished(foundOf(0), { ms: 0, looks: 1 }, sightOf(false, false))).toBe(true);
  expect(events).toEqual([]);
});

test.each([
  ['with sound, too short', LOUD, UNSEEN_REST_MS - 1, 99, false],
  ['with sound, in too few looks', LOUD, UNSEEN_REST_MS, 2, false],
  ['with sound', LOUD, UNSEEN_REST_MS, 3, 'unsure'],
  ['with a header alone, for as long', 44, UNSEEN_REST_MS, 99, false],
  ['empty, for as long', 0, SILENT_REST_MS - 1, 99, false],
  ['nearly without sound', LOUD - 1, SILENT_REST_MS - 1, 99, false],
  ['empty, for an hour', 0, SILENT_REST_MS, 99, 'unsure'],
] as const)('somebody unseen may write it: one that rested %s', async (_, size, ms, looks, expected) => {
  const { isFinished } = restOf();
  expect(await isFinished(foundOf(size), { ms, looks }, sightOf(false, true))).toBe(expected);
});

test('who is seen to write it keeps it, however long it rests, also where others are not seen', async () => {
  const { isFinished } = restOf();
  expect(await isFinished(foundOf(LOUD), { ms: 1e9, looks: 99 }, sightOf(true, true))).toBe(false);
});

test('what is not known is said once, when it keeps a file', async () => {
  const { isFinished, events } = restOf();
  await isFinished(foundOf(LOUD), { ms: UNSEEN_REST_MS, looks: 3 }, sightOf(false, true));
  expect(events).toEqual([]);
  // Not of a process that begins or ends just now.
  await isFinished(foundOf(LOUD), { ms: 0, looks: 2 }, sightOf(false, true));
  expect(events).toEqual([]);
  for (let n = 0; n < 3; n += 1) await isFinished(foundOf(LOUD), { ms: 0, looks: 3 }, sightOf(false, true));
  expect(events).toEqual([{ event: 'unseen', restMs: UNSEEN_REST_MS, silentRestMs: SILENT_REST_MS }]);
});

test('told that two looks are enough, it does not wait; who is seen to write it keeps it', async () => {
  const events: WatchEvent[] = [];
  const { isFinished } = createRest({ unseenRestMs: 0, onEvent: (event) => events.push(event) });
  expect(await isFinished(foundOf(0), { ms: 0, looks: 2 }, sightOf(false, true))).toBe('unsure');
  expect(await isFinished(foundOf(0, -1e6), null, sightOf(false, true))).toBe('unsure');
  expect(await isFinished(foundOf(0), { ms: 1e9, looks: 9 }, sightOf(true, true))).toBe(false);
  expect(events).toEqual([]);
});

test('an agent that ends at once goes by the later of the times of the file', async () => {
  const { isFinished } = restOf();
  const unseen = sightOf(false, true);
  expect(await isFinished(foundOf(LOUD, UNSEEN_REST_MS), null, unseen)).toBe('unsure');
  expect(await isFinished(foundOf(LOUD, UNSEEN_REST_MS - 5_000), null, unseen)).toBe(false);
  // Its time put back, as a copy keeps it.
  expect(await isFinished(foundOf(LOUD, 1e9, 0), null, unseen)).toBe(false);
  // A clock ahead.
  expect(await isFinished(foundOf(LOUD, -86_400_000), null, unseen)).toBe(false);
});
