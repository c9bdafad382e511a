import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { jsonOf } from '../support/http-client.ts';
import { eventsOf, type ImportRun, importInto } from '../support/import-run.ts';
import { makeOldShare, type OldShare } from '../support/old-share.ts';
import { inspect } from '../support/vault-inspection.ts';

const COUNT = 2_000;
let world: CareLineVault;
let share: OldShare;
let run: ImportRun;

beforeAll(async () => {
  world = await startCareLine();
  share = await makeOldShare(join(world.folder.home, 'share'), COUNT);
  run = await importInto(world, share.folder);
});
afterAll(() => world?.folder.remove());

const search = async (json: object): Promise<Record<string, unknown>[]> => {
  const { http, nurse } = world.line;
  const reply = await http.post('/v1/recordings/search', { token: await nurse.token(), json });
  return jsonOf<{ recordings: Record<string, unknown>[] }>(reply, 200).recordings;
};

const reasons = () =>
  Object.fromEntries(Object.entries(share.expected).filter(([name]) => name !== 'verified'));

test('an inventory reads all and changes nothing, and says neither a name nor a number', async () => {
  const { code, stdout, stderr } = await world.folder.cli('import', share.folder, '--dry-run');
  expect(code).toBe(1);
  const inventory = eventsOf({ code, stdout, stderr }).at(-1);
  expect(inventory).toMatchObject({
    event: 'inventory',
    files: COUNT,
    recordings: share.expected.verified,
    duplicates: share.expected.verified - share.empty - share.contents.size,
    empty: share.empty,
    exceptions: reasons(),
  });
  expect(stdout + stderr).not.toMatch(/0701740|m.te|new.?line|reboot/);
  expect((await inspect(world.folder)).rows).toEqual([]);
});

test('killed at any moment and begun again, it ends: nothing lost, nothing doubled, every file accounted for', async () => {
  for (const ms of [900, 1300, 2100, 3700]) expect(await run.runFor(ms)).toBeNull();
  const ended = await run.run();
  expect(ended.stderr).toBe('');
  expect(ended.code).toBe(1);
  const paces = eventsOf(ended).filter(({ event }) => event === 'progress');
  expect(paces.at(-1)).toMatchObject({
    bytesPerSecond: expect.any(Number),
    filesPerSecond: expect.any(Number),
    remainingSeconds: expect.any(Number),
    total: { files: COUNT },
  });
  const { lines, totals } = await run.report();
  expect(totals).toMatchObject({ files: COUNT, verified: share.expected.verified, reasons: reasons() });
  expect(new Set(lines.map(({ file }) => file)).size).toBe(COUNT);
  const verified = lines.filter(({ outcome }) => outcome === 'verified');
  const digests = new Set(verified.filter(({ bytes }) => bytes !== 0).map(({ sha256 }) => sha256));
  expect(digests).toEqual(share.contents);
  const rows = (await inspect(world.folder)).rows;
  expect(rows).toHaveLength(share.contents.size + share.empty);
  expect(new Set(verified.map(({ recording }) => recording))).toEqual(new Set(rows.map(({ id }) => id)));
});

test('the report is the one that the log knows, and nothing in journal, report or talk is a name', async () => {
  const { text, totals } = await run.report();
  const { http, compliance } = world.line;
  const asked = { token: await compliance.token(), json: { action: 'import.reported' } };
  const [entry] = jsonOf<{ entries: { detail: object }[] }>(
    await http.post('/v1/audit/search', asked),
    200,
  ).entries;
  const { files, verified, wiped, exceptions } = totals;
  const sha256 = createHash('sha256').update(text).digest('hex');
  expect(entry?.detail).toEqual({ sha256, files, verified, wiped, exceptions });
  const journal = await readFile(run.journal, 'utf8');
  for (const kept of [text, journal]) expect(kept).not.toMatch(/0701740|m.te-|line-|reboot|external/);
  expect((await stat(run.journal)).mode & 0o777).toBe(0o600);
});

test('once more: nothing is read or sent again, and names come only when asked for', async () => {
  const before = (await inspect(world.folder)).rows.length;
  const again = await run.run('--show-names');
  const events = eventsOf(again);
  expect(events.filter(({ event }) => event === 'exception')).toHaveLength(COUNT - share.expected.verified);
  expect(again.stdout).toContain('fifo-');
  expect(again.stdout).not.toContain('\x1b');
  expect((await inspect(world.folder)).rows).toHaveLength(before);
  expect((await run.report()).totals).toMatchObject({ files: COUNT, verified: share.expected.verified });
});

test('what the name says is found by, sealed: number, call, and the name itself', async () => {
  const name = (await readdir(join(share.folder, '2015/01/01')))[0] as string;
  const [, , caller, , , callId] = name.replace('.wav', '').split('-');
  const [found] = await search({ originalName: name });
  expect(found).toMatchObject({
    callId,
    callerNumber: caller,
    calledNumber: '102',
    agentId: '102',
    direction: 'inbound',
  });
  expect(found?.startedAt).toMatch(/^2015-01-01T\d\d:15:00/);
  expect((await search({ callerNumber: caller })).map(({ id }) => id)).toContain(found?.id);
  const damaged = (await readdir(share.folder)).find((one) => one.startsWith('damaged-')) as string;
  const [odd] = await search({ originalName: damaged });
  expect(odd?.flags).not.toEqual([]);
  // No name tells when: the time of the file does.
  expect(odd?.startedAt).toMatch(/^2016-05-04T03:02:01/);
});

test('nothing is removed without the number of files, nor what is not what was verified', async () => {
  const count = share.expected.verified;
  for (const more of [[], ['--yes-wipe', String(count - 1)]]) {
    const refused = await run.run('--wipe', ...more);
    expect(refused.stderr).toContain('nothing is removed');
  }
  const day = join(share.folder, '2015/01/02');
  const [touched = '', rewritten = ''] = await readdir(day);
  const old = await stat(join(day, rewritten));
  expect((await run.report()).totals.wiped).toBe(0);
  // Changed after it was verified, in a run that begins before the change is seen.
  const bytes = await readFile(join(day, rewritten));
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  await writeFile(join(day, rewritten), bytes);
  await utimes(join(day, rewritten), old.atime, old.mtime);
  await utimes(join(day, touched), new Date(), new Date());
  const wiped = await run.run('--wipe', '--yes-wipe', String(count));
  expect(wiped.code).toBe(1);
  const { totals } = await run.report();
  // The touched one is taken once more by the run itself; the one changed behind its time is found by its digest.
  expect(totals).toMatchObject({ files: COUNT, verified: count - 1, wiped: count - 1 });
  expect(totals.reasons).toEqual({ ...reasons(), changed: 1 });
  expect(eventsOf(wiped).find(({ event }) => event === 'wiped')).toMatchObject({
    wiped: count - 1,
    kept: { changed: 1 },
  });
  expect(await readdir(day)).toEqual([rewritten]);
  const left = (await readdir(share.folder, { recursive: true, withFileTypes: true })).filter(
    (one) => !one.isDirectory(),
  );
  expect(left).toHaveLength(COUNT - count + 1);
});

test('another vault, another folder, a journal for others to read, a place in the share: refused', async () => {
  const elsewhere = await importInto(world, world.folder.dataDir);
  expect((await elsewhere.run()).stderr).toContain('another folder');
  const inside = await world.folder.cli(
    'import',
    share.folder,
    '--url',
    world.vault.url,
    '--key-file',
    join(world.folder.home, 'source.key'),
    '--journal',
    join(share.folder, 'j'),
  );
  expect(inside.stderr).toContain('outside the folder');
  const other = await world.folder.cli(
    'import',
    share.folder,
    '--url',
    'http://127.0.0.1:1',
    '--key-file',
    join(world.folder.home, 'source.key'),
    '--journal',
    run.journal,
  );
  expect(other.stderr).toContain('another vault');
  const open = join(world.folder.home, 'open.journal');
  await writeFile(open, '', { mode: 0o644 });
  const wide = await importInto(world, share.folder, 'open.journal');
  expect((await wide.run()).stderr).toContain('chmod 600');
  await rm(open);
});
