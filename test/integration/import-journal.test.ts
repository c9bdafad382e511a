import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, link, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { JournalEntry } from '../../src/agent/import/journal.ts';
import { hasShare, NO_VAULT } from '../support/import-share.ts';

const on = hasShare();
const { journalAt } = on;

const entry = (
  journal: { idOf(path: Buffer): string },
  name: string,
  more: Partial<JournalEntry> = {},
): JournalEntry => ({
  file: journal.idOf(Buffer.from(name)),
  outcome: 'verified',
  bytes: 1,
  ...more,
});

const JOURNAL_MODULE = new URL('../../src/agent/import/journal.ts', import.meta.url).href;
const HOLD = `import(process.argv[1]).then(({ openJournal }) =>
  openJournal(process.argv[2], { vault: '${NO_VAULT}', folder: process.argv[3] })
).then(() => { console.log('held'); setInterval(() => undefined, 60_000); });`;

describe('a journal', () => {
  test('knows after a restart what it was told, and the last word counts', async () => {
    const first = await journalAt();
    await Promise.all([
      first.append(entry(first, 'a', { outcome: 'growing' })),
      first.append(entry(first, 'b')),
      ...Array.from({ length: 3_000 }, (_, n) => first.append(entry(first, `file ${n}`, { bytes: n }))),
    ]);
    await first.append(entry(first, 'a', { bytes: 7 }));
    await first.close();
    const again = await journalAt();
    expect(await again.find(again.idOf(Buffer.from('a')))).toEqual(entry(first, 'a', { bytes: 7 }));
    expect(await again.find(again.idOf(Buffer.from('file 2999')))).toMatchObject({ bytes: 2999 });
    expect(await again.find(again.idOf(Buffer.from('c')))).toBeNull();
    const all: boolean[] = [];
    for await (const { met } of again.entries()) all.push(met);
    expect([all.length, all.filter(Boolean).length]).toEqual([3_002, 2]);
  });

  test('cut at any byte of its last line, it forgets that line alone and goes on', async () => {
    const first = await journalAt();
    await first.append(entry(first, 'a'));
    const kept = (await readFile(join(on.home, 'journal'))).length;
    await first.append(entry(first, 'b', { sha256: 'f'.repeat(64) }));
    await first.close();
    const whole = (await readFile(join(on.home, 'journal'))).length;
    for (let length = kept; length < whole; length += 13) {
      await truncate(join(on.home, 'journal'), length);
      const again = await journalAt();
      expect(await again.find(again.idOf(Buffer.from('a')))).not.toBeNull();
      expect(await again.find(again.idOf(Buffer.from('b')))).toBeNull();
      await again.append(entry(again, 'b', { bytes: length }));
      await again.close();
      const third = await journalAt();
      expect(await third.find(third.idOf(Buffer.from('b')))).toMatchObject({ bytes: length });
      await third.close();
      await truncate(join(on.home, 'journal'), kept);
      await appendFile(join(on.home, 'journal'), ' '.repeat(whole - kept));
    }
  });
});

describe("a journal is one import's at a time", () => {
  test('another is refused, and one that was killed holds it no more', async () => {
    const first = await journalAt();
    await first.append(entry(first, 'a'));
    await expect(journalAt()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('Another import'),
    });
    await link(join(on.home, 'journal'), join(on.home, 'same'));
    await expect(journalAt('same')).rejects.toThrow('Another import');
    await first.close();
    const holder = spawn(process.execPath, ['-e', HOLD, JOURNAL_MODULE, join(on.home, 'journal'), on.share], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    await expect(journalAt()).rejects.toThrow('Another import');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const again = await journalAt();
    expect(await again.find(again.idOf(Buffer.from('a')))).not.toBeNull();
  });

  test('written by somebody on another machine, who is not seen, it takes no line at a wrong place', async () => {
    const first = await journalAt();
    await first.append(entry(first, 'a'));
    await appendFile(join(on.home, 'journal'), `${JSON.stringify(entry(first, 'theirs'))}\n`);
    await expect(first.append(entry(first, 'b'))).rejects.toThrow('Somebody else writes the journal');
    await expect(first.append(entry(first, 'c'))).rejects.toThrow('Somebody else writes the journal');
    await first.close();
    const again = await journalAt();
    expect(await again.find(again.idOf(Buffer.from('theirs')))).not.toBeNull();
    expect(await again.find(again.idOf(Buffer.from('b')))).toBeNull();
  });

  test('what is no journal is left as it is', async () => {
    for (const [name, text] of [
      ['letter', 'Dear operator,\n'],
      ['one line', 'x'.repeat(10_000)],
      ['other', '{"journal":"callvault import","version":2}\n'],
    ] as const) {
      await writeFile(join(on.home, name), text, { mode: 0o600 });
      await expect(journalAt(name)).rejects.toMatchObject({ code: 'config_invalid' });
      expect(await readFile(join(on.home, name), 'utf8')).toBe(text);
    }
    await symlink(join(on.home, 'letter'), join(on.home, 'pointing'));
    await expect(journalAt('pointing')).rejects.toMatchObject({ code: 'config_invalid' });
  });
});
