import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { createKeyBundleAge } from '../../../src/services/key-bundle-age.ts';
import { bundleKeyOf, bundleKeyParts } from '../../../src/storage/object-key.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = 1_800_000_000_000;

let state: { now: number; bundles: number[]; keys: number; lists: number; away: Error | null };
beforeEach(() => {
  state = { now: START, bundles: [], keys: 1, lists: 0, away: null };
});

const ageOf = (since: number | null) =>
  createKeyBundleAge({
    objects: {
      async *bundles() {
        state.lists += 1;
        if (state.away !== null) throw state.away;
        for (const at of state.bundles) yield { key: bundleKeyOf(at, randomUUID()) } as never;
      },
    },
    bundleKeyParts,
    wrappedKeys: { page: async () => Array.from({ length: state.keys }, () => ({}) as never) },
    everyMs: DAY,
    since,
    now: () => state.now,
  });

describe('of a vault that runs', () => {
  test.each<[string, number[], number, 'old' | null]>([
    ['a bundle of today', [START + 9 * DAY], 10 * DAY, null],
    ['three periods, to the millisecond', [START + 7 * DAY], 10 * DAY, null],
    ['a millisecond more', [START + 7 * DAY - 1], 10 * DAY, 'old'],
    ['several: the newest counts', [START, START + 9 * DAY, START + 2 * DAY], 10 * DAY, null],
    ['one that claims to be of the future', [START + 90 * DAY], 10 * DAY, 'old'],
    ['none yet', [], 3 * DAY, null],
    ['none for too long', [], 3 * DAY + 1, 'old'],
    ['an old one, and the vault was off until now', [START - 90 * DAY], 3 * DAY, null],
    ['an old one, and none was made since the start', [START - 90 * DAY], 3 * DAY + 1, 'old'],
  ])('%s', async (_what, bundles, after, fault) => {
    state.now = START + after;
    state.bundles = bundles;
    expect(await ageOf(START).fault()).toBe(fault);
  });

  test('without a key there is nothing to bundle', async () => {
    state.now += 30 * DAY;
    state.keys = 0;
    expect(await ageOf(START).fault()).toBeNull();
  });
});

test('a command that looks at what lies there: an old bundle is old, none says nothing', async () => {
  state.bundles = [START - 3 * DAY - 1];
  expect(await ageOf(null).fault()).toBe('old');
  state.bundles = [];
  expect(await ageOf(null).fault()).toBeNull();
});

test('the store is asked once a minute, and again at once when it was away', async () => {
  state.bundles = [START];
  const age = ageOf(START);
  for (let n = 0; n < 5; n += 1) expect(await age.newest()).toBe(START);
  expect(state.lists).toBe(1);
  state.now += 60_001;
  state.away = new Error('away');
  await expect(age.fault()).rejects.toBe(state.away);
  state.away = null;
  expect(await age.newest()).toBe(START);
  expect(state.lists).toBe(3);
});
