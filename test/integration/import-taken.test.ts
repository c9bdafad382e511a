import { randomUUID } from 'node:crypto';
import { appendFile, open, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { createWriters } from '../../src/agent/import/writers.ts';
import { generatedCall } from '../support/generated-call.ts';
import { hasShare } from '../support/import-share.ts';
import { type Script, takerOf } from '../support/import-taker.ts';

/** What an import takes of a share, file by file, and what it believes of what the vault says. */
const on = hasShare();

describe('one file that never gets through keeps no import from its end', () => {
  beforeEach(async () => {
    for (const name of ['a', 'b', 'c']) await writeFile(join(on.share, `${name}.wav`), generatedCall(1));
  });
  test.each<[string, 'cut' | number]>([
    ['its connection is cut each time, and the vault says that it is well', 'cut'],
    ['the vault fails on it each time', 500],
  ])('%s', async (_what, end) => {
    const { all } = await takerOf(on, { upload: (name) => (name.startsWith('b') ? end : null) });
    expect(await all()).toEqual({ 'a.wav': 'verified', 'b.wav': 'undelivered', 'c.wav': 'verified' });
  });
});

describe('a file is verified only when the vault says that its own bytes lie there', () => {
  beforeEach(() => writeFile(join(on.share, 'a.wav'), generatedCall(1)));
  test.each<[string, Script, string]>([
    ['the same', {}, 'verified'],
    ['other bytes', { verification: { sha256: 'a'.repeat(64) } }, 'damaged_in_vault'],
    ['fewer bytes', { verification: { bytes: 3 } }, 'damaged_in_vault'],
    ['something about another recording', { verification: { id: randomUUID() } }, 'undelivered'],
    ['that they are damaged', { verification: 502 }, 'damaged_in_vault'],
    ['nothing that is understood', { verification: { sha256: 5 } }, 'undelivered'],
  ])('%s', async (_what, script, outcome) => {
    const { all } = await takerOf(on, script);
    expect(await all()).toEqual({ 'a.wav': outcome });
  });

  test('what was just written is left, whatever it is', async () => {
    const { all, uploads } = await takerOf(on, {}, 60_000);
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'growing' }, 0]);
  });

  test('what is verified is neither read nor sent again; what changed since is', async () => {
    const { all, uploads } = await takerOf(on, {});
    await all();
    await all();
    expect(uploads()).toBe(1);
    await appendFile(join(on.share, 'a.wav'), 'more');
    expect(await all()).toEqual({ 'a.wav': 'verified' });
    expect(uploads()).toBe(2);
  });

  test('what a process holds open for writing is left, however long nothing was written', async () => {
    const { all, uploads } = await takerOf(on, {}, 1_000, createWriters({ maxAgeMs: 0 }));
    const old = new Date(Date.now() - 120_000);
    await utimes(join(on.share, 'a.wav'), old, old);
    const writer = await open(join(on.share, 'a.wav'), 'a');
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'growing' }, 0]);
    await writer.close();
    const reader = await open(join(on.share, 'a.wav'), 'r');
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'verified' }, 1]);
    await reader.close();
  });
});
