import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createWipe } from '../../src/agent/import/wipe.ts';
import { createWriters } from '../../src/agent/import/writers.ts';
import { lookAround } from '../../src/agent/open-writers.ts';
import { generatedCall } from '../support/generated-call.ts';
import { hasShare } from '../support/import-share.ts';
import { type Script, takerOf } from '../support/import-taker.ts';

/** What an import removes of a share when the vault has it, and what it leaves. */
const on = hasShare();
const { listed } = on;

/** Old enough wherever the tests run: some processes cannot be looked into. */
const OLD = new Date(Date.now() - 2 * 3_600_000);
const layOld = async (name: string, bytes: Buffer | string): Promise<void> => {
  await writeFile(join(on.share, name), bytes);
  await utimes(join(on.share, name), OLD, OLD);
};

const wipeOf = (
  { journal, questions }: Awaited<ReturnType<typeof takerOf>>,
  seenMs = 60_000,
  look = lookAround,
) => {
  const writersOf = createWriters({ maxAgeMs: 0, look: () => look() });
  const minAge = { seenMs, unseenMs: seenMs === 0 ? 0 : 3_600_000 };
  const deps = { folder: on.share, parallel: 2, journal, questions, writersOf, minAge, now: Date.now };
  const wipe = createWipe({ ...deps, onWiped: () => undefined });
  return () => wipe(AbortSignal.timeout(50_000));
};

/** An import of a vault that answers as it should, then a removal from one that answers by `script`. */
const wipeWith = async (script: Script, minAgeMs?: number, act?: () => Promise<unknown>) => {
  await layOld('a.wav', generatedCall(1));
  const taker = await takerOf(on, {});
  expect(await taker.all()).toEqual({ 'a.wav': 'verified' });
  taker.say(script);
  await act?.();
  return { ...taker, wiped: await wipeOf(taker, minAgeMs)() };
};

describe('before a file goes, the vault reads it back once more', () => {
  test.each<[string, Script, string | null]>([
    ['it is there', {}, null],
    ['it was erased', { verification: 410, code: 'erased' }, 'not_in_vault'],
    ['it is unknown', { verification: 404, code: 'not_found' }, 'not_in_vault'],
    ['the store lost it', { verification: 502 }, 'damaged_in_vault'],
    ['other bytes lie there', { verification: { sha256: 'a'.repeat(64) } }, 'damaged_in_vault'],
    ['the answer is about another', { verification: { id: randomUUID() } }, 'vault_away'],
  ])('%s', async (_what, script, kept) => {
    const { wiped } = await wipeWith(script);
    expect(wiped).toEqual(kept === null ? { wiped: 1, kept: {} } : { wiped: 0, kept: { [kept]: 1 } });
    expect(await listed()).toEqual(kept === null ? [] : ['file a.wav']);
  });

  test('what somebody holds open for writing by then stays, and no byte that he writes is lost', async () => {
    const { wiped } = await wipeWith({}, 60_000, async () => {
      const writer = await open(join(on.share, 'a.wav'), 'a');
      on.afterwards(writer.close.bind(writer));
    });
    expect(wiped).toEqual({ wiped: 0, kept: { growing: 1 } });
    expect(await listed()).toEqual(['file a.wav']);
  });

  test('what was touched a moment ago stays', async () => {
    const { wiped } = await wipeWith({}, 86_400_000);
    expect(wiped).toEqual({ wiped: 0, kept: { growing: 1 } });
  });

  test('where a writer may be unseen, what was touched within the hour is neither taken nor removed', async () => {
    // A folder of processes in which nobody is to be seen is one that hides them.
    const hidden = () => lookAround(join(on.home, 'nowhere'));
    await layOld('a.wav', generatedCall(1));
    const lately = new Date(Date.now() - 10 * 60_000);
    await utimes(join(on.share, 'a.wav'), lately, lately);
    const unseen = createWriters({ maxAgeMs: 0, look: hidden });
    const early = await takerOf(on, {}, 60_000, unseen, 3_600_000);
    expect([await early.all(), early.uploads()]).toEqual([{ 'a.wav': 'growing' }, 0]);
    await early.journal.close();
    const taker = await takerOf(on, {});
    await taker.all();
    expect(await wipeOf(taker, 60_000, hidden)()).toEqual({ wiped: 0, kept: { growing: 1 } });
    await utimes(join(on.share, 'a.wav'), OLD, OLD);
    await taker.all();
    expect(await wipeOf(taker, 60_000, hidden)()).toEqual({ wiped: 1, kept: {} });
  });

  test('a side file that somebody still writes keeps its recording', async () => {
    await layOld('a.wav', generatedCall(1));
    await layOld('a.wav.json', '{"callId":"c"}');
    const taker = await takerOf(on, {});
    expect(await taker.all()).toEqual({ 'a.wav': 'verified', 'a.wav.json': 'side_file' });
    const writer = await open(join(on.share, 'a.wav.json'), 'r+');
    expect(await wipeOf(taker)()).toEqual({ wiped: 0, kept: { growing: 1 } });
    await writer.close();
    expect(await wipeOf(taker)()).toEqual({ wiped: 1, kept: {} });
    expect(await listed()).toEqual([]);
  });
});

describe('what was not removed is known to the next import', () => {
  test('changed in place behind its time, it stays, and the next import takes it again', async () => {
    const { wiped, all, uploads } = await wipeWith({}, 0, async () => {
      const bytes = await readFile(join(on.share, 'a.wav'));
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
      await writeFile(join(on.share, 'a.wav'), bytes);
      await utimes(join(on.share, 'a.wav'), OLD, OLD);
    });
    expect(wiped).toEqual({ wiped: 0, kept: { changed: 1 } });
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'verified' }, 2]);
  });

  test.each<[string, Script]>([
    ['erased', { verification: 410, code: 'erased' }],
    ['damaged', { verification: 502 }],
  ])(
    '%s in the vault, it counts as verified no more: the next import sends it again',
    async (_what, script) => {
      const { all, uploads } = await wipeWith(script);
      await all();
      expect(uploads()).toBe(2);
    },
  );

  test('what became a folder, or was removed by somebody else, is told as gone', async () => {
    const { wiped } = await wipeWith({}, 0, async () => {
      await rm(join(on.share, 'a.wav'));
      await mkdir(join(on.share, 'a.wav'));
    });
    expect(wiped).toEqual({ wiped: 0, kept: { gone: 1 } });
  });
});
