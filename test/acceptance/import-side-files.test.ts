import { mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { eventsOf, type ImportRun, importInto } from '../support/import-run.ts';

/** A share on which recordings have side files, of every kind and in every condition. */
const NUMBER = '0701740695';
const LAUGHS = `<!DOCTYPE l [<!ENTITY a "${NUMBER}"><!ENTITY b "&a;&a;">]><c><queue>&b;</queue></c>`;
const FIELDS = ['--side-field', 'ani=callerNumber', '--side-field', 'ucid=callId'];
let world: CareLineVault;
let share: string;
let run: ImportRun;
let seed = 9_700;

const call = (): Buffer => {
  seed += 1;
  return generatedCall(1, seed);
};
const lay = (name: string, bytes: Buffer | string): Promise<void> => writeFile(join(share, name), bytes);
const names = async (): Promise<string[]> => (await readdir(share, { recursive: true })).toSorted();

beforeAll(async () => {
  world = await startCareLine();
  share = join(world.folder.home, 'recorder');
  await mkdir(share);
  for (const name of ['json.wav', 'xml.wav', 'siprec.wav', 'bare.wav', 'two.wav', 'laughs.wav', 'link.wav'])
    await lay(name, call());
  await lay('stem.wav', call());
  await lay('stem.mp3', call());
  await lay('json.wav.json', JSON.stringify({ ucid: 'of-json', ani: NUMBER, skill: 7 }));
  await lay('xml.xml', `<r><ucid>of-xml</ucid><ani>${NUMBER}</ani><skill>7</skill></r>`);
  await lay('siprec.wav.xml', await readFile(new URL('../fixtures/siprec/broadworks.xml', import.meta.url)));
  await lay('stem.csv', `ucid;ani\r\nof-stem;${NUMBER}\r\n`);
  await lay('two.wav.csv', `ucid,ani\na,${NUMBER}\nb,${NUMBER}\n`);
  await lay('laughs.xml', LAUGHS);
  await symlink('/etc/passwd', join(share, 'link.wav.json'));
  await lay('alone.xml', '<r/>');
  run = await importInto(world, share);
});
afterAll(() => world?.folder.remove());

const search = async (json: object): Promise<Record<string, unknown>[]> => {
  const { http, nurse } = world.line;
  const reply = await http.post('/v1/recordings/search', { token: await nurse.token(), json });
  return jsonOf<{ recordings: Record<string, unknown>[] }>(reply, 200).recordings;
};

const REASONS = { bad_side_file: 3, link: 1, not_recording: 1 };

test('an inventory finds the side files, and those that cannot be read', async () => {
  const ran = await world.folder.cli('import', share, '--dry-run', ...FIELDS);
  // laughs.xml and two.wav.csv are side files as well, though what they say is not read.
  expect(eventsOf(ran).at(-1)).toMatchObject({
    files: 17,
    recordings: 6,
    sideFiles: 6,
    exceptions: REASONS,
  });
  expect(ran.stdout + ran.stderr).not.toMatch(/0701740695|of-/);
});

test('what they say goes along; a recording whose side file cannot be read stays, with the reason', async () => {
  const ran = await run.run(...FIELDS);
  expect(ran.code).toBe(1);
  const events = eventsOf(ran).filter(({ outcome }) => outcome === 'bad_side_file');
  expect(events.map(({ reason }) => String(reason)).toSorted()).toEqual([
    expect.stringContaining('document type'),
    expect.stringContaining('is a link'),
    expect.stringContaining('line 3 is beyond'),
  ]);
  const { totals, text } = await run.report();
  expect(totals).toMatchObject({ files: 17, verified: 6, exceptions: 5, sideFiles: 6, reasons: REASONS });
  const journal = await readFile(run.journal, 'utf8');
  expect(ran.stdout + ran.stderr + text + journal).not.toMatch(/0701740695|of-|passwd/);
  expect((await search({ callerNumber: NUMBER })).map(({ callId }) => callId).toSorted()).toEqual([
    'of-json',
    'of-stem',
    'of-stem',
    'of-xml',
  ]);
  expect(await search({ callerNumber: '0701740608' })).toHaveLength(1);
  expect(await search({ callId: 'a' })).toEqual([]);
});

test('a side file goes with its recording, and neither goes when it says something else by now', async () => {
  await lay('json.wav.json', JSON.stringify({ ucid: 'of-another', ani: NUMBER }));
  await lay('bare.json', '{"ani":"0701740694"}');
  for (const late of ['json.wav.json', 'bare.json'])
    await utimes(join(share, late), new Date(), new Date(Date.now() - 60_000));
  const ran = await run.run(...FIELDS, '--wipe', '--yes-wipe', '6');
  expect(eventsOf(ran).find(({ event }) => event === 'wiped')).toMatchObject({
    wiped: 4,
    kept: { changed: 2 },
  });
  expect(await names()).toEqual([
    'alone.xml',
    'bare.json',
    'bare.wav',
    'json.wav',
    'json.wav.json',
    'laughs.wav',
    'laughs.xml',
    'link.wav',
    'link.wav.json',
    'two.wav',
    'two.wav.csv',
  ]);
});

test('mended, it is taken', async () => {
  await rm(join(share, 'link.wav.json'));
  await lay('two.wav.csv', `ucid,ani\nmended,${NUMBER}\n`);
  await run.run(...FIELDS);
  expect((await run.report()).totals).toMatchObject({ verified: 8, reasons: { bad_side_file: 1 } });
  expect(await search({ callId: 'mended' })).toHaveLength(1);
});
