import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openWatchState } from '../../../src/agent/watch-state.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cvs-'));
  file = join(folder, 'watch.state');
});
afterEach(() => rmSync(folder, { recursive: true }));

const SHA = 'ab'.repeat(32);
const triples = (count: number): string =>
  Array.from(
    { length: count },
    (_, n) => `${18446744073709551615n - BigInt(n)} ${n} -1763600000000000000`,
  ).join(' ');

// A recording has twelve names under which a side file may lie.
test.each([1, 2, 3, 13])(
  'a refusal is remembered, with the file and all that is named like its side files (%i)',
  async (count) => {
    const before = await openWatchState(file);
    expect(await before.refused(triples(count), { code: 'not_acceptable_metadata', sha256: SHA })).toBe(true);
    const after = await openWatchState(file);
    expect(after.refusalOf(triples(count))).toEqual({ code: 'not_acceptable_metadata', sha256: SHA });
    expect(after.refusalOf(triples(count === 1 ? 2 : count - 1))).toBeNull();
  },
);

test('what was stored and what could not be removed are two things, and neither is the other', async () => {
  const before = await openWatchState(file);
  await before.stored(triples(1), SHA);
  await before.unremoved(triples(2), SHA);
  const after = await openWatchState(file);
  expect([after.isStored(triples(1)), after.isUnremoved(triples(1))]).toEqual([true, false]);
  expect([after.isStored(triples(2)), after.isUnremoved(triples(2))]).toEqual([false, true]);
});

test('lines that it did not write, or half wrote, are nothing', async () => {
  await (await openWatchState(file)).stored(triples(1), SHA);
  appendFileSync(
    file,
    `= ${triples(14)} ${SHA}\n* ${triples(1)} ${SHA}\n= 1 2 ${SHA}\n- ${triples(1)} abc\n= ${triples(3)} ${SHA.slice(1)}`,
  );
  const after = await openWatchState(file);
  expect(after.isUnremoved(triples(14))).toBe(false);
  expect(after.isUnremoved(triples(3))).toBe(false);
  expect(after.refusalOf(triples(1))).toBeNull();
  await after.unremoved(triples(4), SHA);
  expect((await openWatchState(file)).isUnremoved(triples(4))).toBe(true);
  expect(readFileSync(file, 'latin1').split('\n').at(-2)).toBe(`= ${triples(4)} ${SHA}`);
});
