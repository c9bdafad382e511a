import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type JournalEntry, openJournal } from '../../src/agent/import/journal.ts';
import { settleUnmet, writeReport } from '../../src/agent/import/report.ts';
import { writeNewFile } from '../../src/agent/import/report-file.ts';

let home: string;
const closing: (() => unknown)[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvr-'));
  await mkdir(join(home, 'share'));
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await rm(home, { recursive: true });
});

const about = { vault: 'http://127.0.0.1:1' };
const journalAt = async () => {
  const journal = await openJournal(join(home, 'journal'), { ...about, folder: join(home, 'share') });
  closing.push(journal.close);
  const idOf = (name: string): string => journal.idOf(Buffer.from(name));
  return {
    ...journal,
    put: (name: string, more: Partial<JournalEntry> = {}) =>
      journal.append({ file: idOf(name), outcome: 'verified', bytes: 1, ...more }),
    meet: (...names: string[]) => Promise.all(names.map((name) => journal.find(idOf(name)))),
  };
};

/** What a first run knows: two that are stored, three that stay. */
const firstRun = async (): Promise<void> => {
  const journal = await journalAt();
  await journal.put('a');
  await journal.put('b');
  await journal.put('link', { outcome: 'link' });
  await journal.put('exe', { outcome: 'program_or_archive' });
  await journal.put('side', { outcome: 'side_file' });
  await journal.close();
};

const at = new Date('2026-01-02T03:04:05Z');
const report = (journal: Awaited<ReturnType<typeof journalAt>>, ...names: string[]) =>
  writeReport(
    journal,
    names.map((name) => join(home, name)),
    at,
  );

describe('no report is written over anything', () => {
  test('the next name is taken, and where there is none nothing is written', async () => {
    await firstRun();
    const journal = await journalAt();
    await writeFile(join(home, 'precious.txt'), 'precious', { mode: 0o644 });
    await symlink('nowhere', join(home, 'dangling'));
    const before = await readdir(home);
    for (const taken of ['precious.txt', 'dangling', 'journal', 'share'])
      await expect(report(journal, taken)).rejects.toMatchObject({ code: 'config_invalid' });
    expect(await readdir(home)).toEqual(before);
    expect(await readFile(join(home, 'precious.txt'), 'utf8')).toBe('precious');
    const { path, sha256 } = await report(journal, 'precious.txt', 'journal', 'free');
    expect(path).toBe(join(home, 'free'));
    expect(
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ).toBe(sha256);
  });

  test('a disk that is full is told by the file that it is full for, and no half report stays', async () => {
    const failing = writeNewFile([join(home, 'r')], async (file) => {
      await file.appendFile('half');
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    });
    await expect(failing).rejects.toThrow('The report cannot be written (ENOSPC)');
    await expect(writeNewFile([join(home, 'no', 'r')], async () => undefined)).rejects.toThrow('(ENOENT)');
    expect(await readdir(home)).toEqual(['share']);
  });

  test('a journal on a disk that is full is told as well, and what it held is kept', async () => {
    await firstRun();
    const script = `import(process.argv[1]).then(async ({ openJournal }) => {
      const journal = await openJournal(process.argv[2], { vault: '${about.vault}', folder: process.argv[3] });
      for (let n = 0; n < 10_000; n += 1)
        await journal.append({ file: journal.idOf(Buffer.from('n' + n)), outcome: 'verified' });
    }).catch((error) => console.log(error.message));`;
    const module = new URL('../../src/agent/import/journal.ts', import.meta.url).href;
    const args = ['-c', 'ulimit -f 8; exec "$@"', 'sh', process.execPath, '-e', script, module];
    const { stdout } = await promisify(execFile)('sh', [...args, join(home, 'journal'), join(home, 'share')]);
    expect(stdout).toContain('The journal cannot be written (EFBIG)');
    const journal = await journalAt();
    await journal.meet('a', 'b', 'link', 'exe', 'side');
    expect(journal.metBefore()).toBe(5);
  });
});

describe('what was known and is not met', () => {
  test('all met: as it was, and the sums are right', async () => {
    await firstRun();
    const journal = await journalAt();
    await journal.meet('a', 'b', 'link', 'exe', 'side');
    expect(await report(journal, 'r')).toMatchObject({
      ...{ files: 5, verified: 2, wiped: 0, exceptions: 2, sideFiles: 1, removable: 2, isElsewhere: false },
      ...{ reasons: { link: 1, program_or_archive: 1 }, kept: {} },
    });
  });

  test('an exception stays one, as not_met, until somebody says that it was dealt with', async () => {
    await firstRun();
    const journal = await journalAt();
    await journal.meet('a', 'b', 'link');
    expect(await report(journal, 'r1')).toMatchObject({
      ...{ files: 4, verified: 2, exceptions: 2, isElsewhere: false },
      reasons: { link: 1, not_met: 1 },
    });
    const lines = (await readFile(join(home, 'r1'), 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toContainEqual({
      file: journal.idOf(Buffer.from('exe')),
      outcome: 'not_met',
      was: 'program_or_archive',
    });
    await settleUnmet(journal);
    expect(await report(journal, 'r2')).toMatchObject({ files: 3, exceptions: 1, reasons: { link: 1 } });
    await journal.close();
    const again = await journalAt();
    await again.meet('a', 'b', 'link');
    expect(await report(again, 'r3')).toMatchObject({ files: 3, exceptions: 1 });
  });

  test('nothing at all is met: the share may not be mounted, and every exception stays one', async () => {
    await firstRun();
    const journal = await journalAt();
    await journal.put('new');
    expect(await report(journal, 'r')).toMatchObject({
      ...{ isElsewhere: true, files: 5, verified: 3, exceptions: 2, removable: 1 },
      ...{ reasons: { not_met: 2 }, kept: { gone: 2 } },
    });
  });

  test('an empty folder after everything was removed is no share that is not mounted', async () => {
    const first = await journalAt();
    await first.put('a', { outcome: 'wiped' });
    await first.close();
    expect(await report(await journalAt(), 'r')).toMatchObject({
      ...{ isElsewhere: false, files: 1, verified: 1, wiped: 1, exceptions: 0, removable: 0 },
    });
  });

  test('what a removal left is told for every file', async () => {
    const journal = await journalAt();
    await journal.put('wiped', { outcome: 'wiped' });
    await journal.put('open', { kept: 'growing' });
    await journal.put('folder', { kept: 'gone' });
    await journal.put('other', { outcome: 'changed' });
    await journal.put('lost', { outcome: 'not_in_vault' });
    expect(await report(journal, 'r')).toMatchObject({
      ...{ files: 5, verified: 3, wiped: 1, exceptions: 2, removable: 1 },
      ...{ reasons: { changed: 1, not_in_vault: 1 }, kept: { growing: 1, gone: 1 } },
    });
  });
});
