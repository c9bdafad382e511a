import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { eventsOf, type ImportRun, importInto, reportsOf } from '../support/import-run.ts';
import { objectPathOf } from '../support/kept-recording.ts';
import { inspect } from '../support/vault-inspection.ts';

/** What may be removed from a share, what may not, and what is told of it. */
const OLD = new Date(Date.now() - 10 * 60_000);
let world: CareLineVault;
let seed = 31_000;

beforeAll(async () => {
  world = await startCareLine();
});
afterAll(() => world?.folder.remove());

type Share = { readonly folder: string; readonly run: ImportRun; lay(name: string): Promise<string> };
const shareOf = async (name: string, ...files: string[]): Promise<Share> => {
  const folder = join(world.folder.home, name);
  await mkdir(folder);
  const lay = async (file: string): Promise<string> => {
    seed += 1;
    const path = join(folder, file);
    await writeFile(path, file.endsWith('.exe') ? '\x7fELF\x02\x01\x01' : generatedCall(1, seed));
    await utimes(path, OLD, OLD);
    return path;
  };
  for (const file of files) await lay(file);
  return { folder, run: await importInto(world, folder, `${name}.journal`), lay };
};
const wipe = ({ run }: Share, count: number) => run.run('--wipe', '--yes-wipe', String(count));
const wiped = (ran: Awaited<ReturnType<ImportRun['run']>>) =>
  eventsOf(ran).find(({ event }) => event === 'wiped');

test('weeks later: what the store of the vault has lost by then is not removed, and is told from then on', async () => {
  const share = await shareOf('lost', 'a.wav', 'b.wav');
  expect((await share.run.run()).code).toBe(0);
  const { recording } = (await share.run.report()).lines[0] as { recording: string };
  const row = (await inspect(world.folder)).rows.find(({ id }) => id === recording);
  await unlink(objectPathOf(world.folder.dataDir, row?.object ?? ''));
  const ran = await wipe(share, 2);
  expect(wiped(ran)).toMatchObject({ wiped: 1, kept: { damaged_in_vault: 1 } });
  expect(ran.code).toBe(1);
  expect(await readdir(share.folder)).toHaveLength(1);
  expect((await share.run.report()).totals).toMatchObject({ verified: 1, exceptions: 1 });
  const again = await share.run.run();
  expect(again.code).toBe(1);
  expect((await share.run.report()).totals.reasons).toEqual({ damaged_in_vault: 1 });
});

test('a call on hold: what a process holds open for writing is neither taken nor removed', async () => {
  const share = await shareOf('hold', 'a.wav', 'hold.wav');
  const path = join(share.folder, 'hold.wav');
  const early = await open(path, 'a');
  expect((await share.run.run()).code).toBe(1);
  const { totals, lines } = await share.run.report();
  expect(totals).toMatchObject({ verified: 1, reasons: { growing: 1 } });
  expect(lines.find(({ outcome }) => outcome === 'growing')).toMatchObject({ code: 'held_open' });
  await early.close();
  expect((await share.run.run()).code).toBe(0);
  const late = await open(path, 'a');
  expect(wiped(await wipe(share, 2))).toMatchObject({ wiped: 1, kept: { growing: 1 } });
  await late.appendFile(Buffer.alloc(50_000));
  await late.close();
  expect((await readFile(path)).length).toBeGreaterThan(50_000);
  expect((await share.run.report()).totals).toMatchObject({ verified: 2, wiped: 1, kept: { growing: 1 } });
});

test('two imports with one journal: the second is refused in a sentence, and neither report is false', async () => {
  const share = await shareOf('twice', ...Array.from({ length: 60 }, (_, n) => `${n}.wav`));
  const both = await Promise.all([share.run.run(), share.run.run()]);
  const codes = both.map(({ code }) => code).toSorted();
  // The second may begin when the first has ended.
  expect([
    [0, 3],
    [0, 0],
  ]).toContainEqual(codes);
  for (const { code, stderr } of both) if (code === 3) expect(stderr).toBe(`${OTHERS}\n`);
  for (const path of await reportsOf(share.run.journal)) {
    const totals = JSON.parse((await readFile(path, 'utf8')).trimEnd().split('\n').at(-1) as string);
    expect(totals).toMatchObject({ files: 60, verified: 60, exceptions: 0 });
  }
});
const OTHERS =
  'callvault: Another import is working with this journal: wait for its end, or name another with --journal.';

test('no report overwrites a file, and every report that the log knows is still there', async () => {
  const share = await shareOf('reports', 'a.wav', 'b.exe');
  const precious = join(world.folder.home, 'precious.txt');
  await writeFile(precious, 'precious');
  for (const place of [precious, share.run.journal]) {
    const ran = await share.run.run('--report', place);
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('not overwritten')]);
  }
  expect(await readFile(precious, 'utf8')).toBe('precious');
  expect(eventsOf(await share.run.run()).at(-1)).toMatchObject({ event: 'report', verified: 1 });
  await share.run.run();
  await wipe(share, 1);
  const reports = await reportsOf(share.run.journal);
  expect(reports).toHaveLength(4);
  const { http, compliance } = world.line;
  const asked = { token: await compliance.token(), json: { action: 'import.reported' } };
  const { entries } = jsonOf<{ entries: { detail: { sha256: string } }[] }>(
    await http.post('/v1/audit/search', asked),
    200,
  );
  const known = new Set(entries.map(({ detail }) => detail.sha256));
  for (const path of reports)
    expect(known).toContain(
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    );
});

test('a share that is not mounted: told, and what stayed earlier stays an exception', async () => {
  const share = await shareOf('mount', 'a.wav', 'b.exe', 'c.exe');
  expect((await share.run.run()).code).toBe(1);
  await rename(share.folder, `${share.folder}.away`);
  await mkdir(share.folder);
  const ran = await share.run.run();
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain('is the share mounted?');
  const told = (await share.run.report()).totals;
  expect(told).toMatchObject({ verified: 1, exceptions: 2, reasons: { not_met: 2 }, kept: { gone: 1 } });
  await rm(share.folder, { recursive: true });
  await rename(`${share.folder}.away`, share.folder);
  await rm(join(share.folder, 'b.exe'));
  expect((await share.run.run()).code).toBe(1);
  expect((await share.run.report()).totals.reasons).toEqual({ program_or_archive: 1, not_met: 1 });
  await rm(join(share.folder, 'c.exe'));
  const dealtWith = await share.run.run('--accept-missing');
  expect(dealtWith.code).toBe(0);
  expect((await share.run.report()).totals).toMatchObject({ files: 1, verified: 1, exceptions: 0 });
});

test('--accept-missing while nothing of the journal lies there settles nothing, unless the number is confirmed', async () => {
  const share = await shareOf('accept', 'a.wav', 'b.exe', 'c.exe');
  await share.run.run();
  await wipe(share, 1);
  await rename(share.folder, `${share.folder}.away`);
  await mkdir(share.folder);
  for (const more of [[], ['--yes-missing', '3']]) {
    const refused = await share.run.run('--accept-missing', ...more);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('Is the share mounted?');
    expect(refused.stderr).toContain('confirm with --yes-missing 2');
    expect((await share.run.report()).totals.reasons).toEqual({ not_met: 2 });
  }
  expect((await share.run.run('--yes-missing', '2')).code).toBe(2);
  expect((await share.run.run('--accept-missing', '--yes-missing', '2')).code).toBe(0);
  expect((await share.run.report()).totals).toMatchObject({ verified: 1, wiped: 1, exceptions: 0 });
});

test('what became something else, or was removed meanwhile, is accounted for', async () => {
  const share = await shareOf('gone', 'a.wav', 'b.wav', 'c.wav');
  await share.run.run();
  await rm(join(share.folder, 'a.wav'));
  await mkdir(join(share.folder, 'a.wav'));
  await rm(join(share.folder, 'b.wav'));
  const refused = await wipe(share, 3);
  expect(refused.stderr).toContain(
    '--yes-wipe says 3, and 1 verified files lie here (3 are verified, 0 of them removed already): confirm with --yes-wipe 1',
  );
  const ran = await wipe(share, 1);
  expect(wiped(ran)).toMatchObject({ wiped: 1, kept: {} });
  expect((await share.run.report()).totals).toMatchObject({
    ...{ files: 3, verified: 3, wiped: 1, exceptions: 0, kept: { gone: 2 } },
  });
});

test('the same bytes twice, each with a side file: what nobody knows to be in the vault is not removed', async () => {
  const share = await shareOf('sides', 'one.wav');
  await writeFile(join(share.folder, 'two.wav'), await readFile(join(share.folder, 'one.wav')));
  for (const name of ['one', 'two'])
    await writeFile(join(share.folder, `${name}.wav.json`), JSON.stringify({ queue: `of-${name}` }));
  await share.run.run();
  expect((await share.run.report()).totals).toMatchObject({ verified: 2, exceptions: 0 });
  const ran = await share.run.run('--wipe', '--yes-wipe', '2');
  expect(wiped(ran)).toMatchObject({ wiped: 1, kept: { side_file_not_told: 1 } });
  const left = await readdir(share.folder);
  expect(left.toSorted()).toEqual([expect.stringMatching(/\.wav$/), expect.stringMatching(/\.wav\.json$/)]);
});

test('the same sound under the name of another call: an exception, and not removed before somebody has settled it', async () => {
  const share = await shareOf('names', '0701740605_20150101_1015.wav');
  const path = (name: string) => join(share.folder, name);
  expect((await share.run.run()).code).toBe(0);
  const bytes = await readFile(path('0701740605_20150101_1015.wav'));
  const other = '0701740606_20160202_1111.wav';
  for (const name of [other, '+46701740605_20150101_1015.wav', 'Copy (2) of it.wav']) {
    await writeFile(path(name), bytes);
    await utimes(path(name), OLD, OLD);
  }
  const ran = await wipe(share, 3);
  expect(ran.code).toBe(1);
  expect(wiped(ran)).toMatchObject({ wiped: 3, kept: {} });
  expect(await readdir(share.folder)).toEqual([other]);
  const told = eventsOf(ran).find(({ event }) => event === 'exception');
  expect(told).toMatchObject({ outcome: 'name_not_told', reason: expect.stringContaining('time, caller') });
  const { totals, lines, text } = await share.run.report();
  expect(totals).toMatchObject({ verified: 3, wiped: 3, exceptions: 1, reasons: { name_not_told: 1 } });
  expect(lines.find(({ outcome }) => outcome === 'name_not_told')?.sha256).toBeDefined();
  expect(ran.stdout + ran.stderr + text).not.toContain('07017');
  // Its twin is gone by now, and nobody can compare: it stays all the same.
  expect((await share.run.run()).code).toBe(1);
  expect((await share.run.report()).totals.reasons).toEqual({ name_not_told: 1 });
  expect(await readdir(share.folder)).toEqual([other]);
  const side = {
    callId: 'another',
    segment: 2,
    callerNumber: '0701740606',
    startedAt: '2016-02-02T10:11:00Z',
  };
  await writeFile(path(`${other}.json`), JSON.stringify(side));
  await utimes(path(`${other}.json`), OLD, OLD);
  const settled = await wipe(share, 1);
  expect([settled.code, wiped(settled)]).toMatchObject([0, { wiped: 1 }]);
  expect(await readdir(share.folder)).toEqual([]);
});

test('bytes that the vault had from somewhere else: stored, but not removed, for nobody knows as which call', async () => {
  const first = await shareOf('elsewhere', '0701740605_20150101_1015.wav');
  await first.run.run();
  const share = await shareOf('here');
  for (const name of ['0701740606_20160202_1111.wav', 'no number.wav']) {
    await writeFile(
      join(share.folder, name),
      await readFile(join(first.folder, '0701740605_20150101_1015.wav')),
    );
    await utimes(join(share.folder, name), OLD, OLD);
  }
  expect((await share.run.run()).code).toBe(0);
  const ran = await wipe(share, 2);
  expect([ran.code, wiped(ran)]).toMatchObject([1, { wiped: 1, kept: { name_not_told: 1 } }]);
  expect(await readdir(share.folder)).toEqual(['0701740606_20160202_1111.wav']);
});

test('what is wrong with the command line is told before anything is done, with 2', async () => {
  const share = await shareOf('usage', 'a.wav');
  for (const args of [
    ['--yes-wipe', '1'],
    ['--dry-run', '--wipe'],
    ['--list-exceptions', '--wipe'],
    ['--list-exceptions', '--dry-run'],
    ['--pattern', '('],
    ['--pattern', '.*'],
  ])
    expect([args, (await share.run.run(...args)).code]).toEqual([args, 2]);
  expect((await world.folder.cli('import', share.folder)).code).toBe(2);
  const inside = ['--journal', join(share.folder, 'j'), '--list-exceptions'];
  expect((await world.folder.cli('import', share.folder, ...inside)).code).toBe(2);
  expect(await readdir(share.folder)).toEqual(['a.wav']);
  expect(await reportsOf(share.run.journal)).toEqual([]);
  const help = await world.folder.cli('import', '--help');
  expect(help.stdout).toMatch(/--min-age[\s\S]*default: 60,[\s\S]*--patience[\s\S]*default: 60\)/);
});

test('on a terminal, and nowhere else, what stayed is named, with its reason and its id', async () => {
  const share = await shareOf('list', 'a.wav', 'b.exe', 'bad.wav', `fake\u202egnp.exe`);
  await writeFile(join(share.folder, 'bad.wav.json'), '{"skill');
  await share.run.run();
  const { lines, totals } = await share.run.report();
  expect(totals.reasons).toEqual({ program_or_archive: 2, bad_side_file: 1 });
  const bad = lines.find(({ outcome }) => outcome === 'bad_side_file');
  expect(bad?.reason).toContain('JSON');
  const args = ['import', share.folder, '--journal', share.run.journal, '--list-exceptions'];
  expect(await world.folder.cli(...args)).toMatchObject({ code: 2, stdout: '' });
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const shown = spawnSync('script', ['-qec', [process.execPath, main, ...args].join(' '), '/dev/null'], {
    encoding: 'utf8',
    env: world.folder.env,
    cwd: world.folder.home,
  });
  expect(shown.status).toBe(1);
  expect(shown.stdout).toContain(`${bad?.file}\t"bad.wav"`);
  expect(shown.stdout).toContain('"fake\ufffdgnp.exe"');
  expect(shown.stdout).not.toContain('\u202e');
  const dry = await world.folder.cli('import', share.folder, '--dry-run');
  expect(eventsOf(dry).at(-1)?.sideFaults).toEqual({ [bad?.reason as string]: 1 });
});

test('a fact that the vault does not take is named, on the console and in the report', async () => {
  const share = await shareOf('facts', 'a.wav');
  const side = join(share.folder, 'a.wav.json');
  await writeFile(side, JSON.stringify({ callId: 'a', careUnit: 'Nope' }));
  const ran = await share.run.run();
  const told = eventsOf(ran).find(({ event }) => event === 'exception');
  expect(told).toMatchObject({ outcome: 'refused', reason: expect.stringContaining('careUnit') });
  const { lines } = await share.run.report();
  expect(lines.find(({ outcome }) => outcome === 'refused')?.reason).toContain('careUnit');
});

test('killed while it removes, again and again: what is gone is in the vault, and every file is accounted for', async () => {
  const names = Array.from({ length: 150 }, (_, n) => `${n}.wav`);
  const share = await shareOf('killed', ...names);
  await share.run.run();
  const recordings = (await share.run.report()).lines.map(({ recording }) => recording);
  const left = async (): Promise<number> => (await readdir(share.folder)).length;
  for (const ms of [1500, 2000, 2500, 3500])
    await share.run.runFor(ms, '--wipe', '--yes-wipe', String(await left()));
  if ((await left()) > 0) await wipe(share, await left());
  expect(await left()).toBe(0);
  const { totals } = await share.run.report();
  expect(totals).toMatchObject({ files: 150, verified: 150, exceptions: 0 });
  expect(totals.wiped + (totals.kept.gone ?? 0)).toBe(150);
  const rows = new Set((await inspect(world.folder)).rows.map(({ id }) => id));
  expect(recordings.filter((id) => rows.has(id as string))).toHaveLength(150);
});
