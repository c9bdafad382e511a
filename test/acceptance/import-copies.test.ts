import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wavFile } from '../support/audio-files.ts';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { eventsOf, importInto } from '../support/import-run.ts';
import { inspect } from '../support/vault-inspection.ts';

/** What an inventory says of copies, and of names without a time, and that the vault then does what it said. */
let world: CareLineVault;
let share: string;
const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const SILENT = wavFile({ data: Buffer.alloc(16_000) });
const [FIRST, SECOND] = [generatedCall(1, 41_001), generatedCall(1, 41_002)];
const OLD = new Date('2015-01-01T10:20:00Z');

const lay = async (name: string, bytes: Buffer | string, at = OLD): Promise<void> => {
  await writeFile(join(share, name), bytes);
  await utimes(join(share, name), at, at);
};

beforeAll(async () => {
  world = await startCareLine();
  share = join(world.folder.home, 'share');
  await mkdir(share);
  // One call, as people copy files, and two others that cannot have this sound as well.
  await lay('0701740605_20150101_1015.wav', FIRST);
  await lay('Copy (2) of it.wav', FIRST);
  await lay('0701740606_20150101_1015.wav', FIRST);
  await lay('0701740605_20160101_1015.wav', FIRST);
  // Nothing was said, so that of these the bytes are the same.
  await lay('0701740607_20150101_1015.wav', SILENT);
  await lay('0701740608_20150101_1015.wav', SILENT);
  // Two calls, which somebody has said to be two.
  await lay('0701740609_20150101_1015.wav', SECOND);
  await lay('0701740610_20150101_1015.wav', SECOND);
  const startedAt = '2015-01-01T10:15:00Z';
  const side = { callId: 'another', segment: 2, callerNumber: '0701740610', startedAt };
  await lay('0701740610_20150101_1015.wav.json', JSON.stringify(side));
  await lay('0701740611_20150101.wav', generatedCall(1, 41_003));
  await lay('no time.wav', generatedCall(1, 41_004));
  await lay('from tomorrow.wav', generatedCall(1, 41_005), new Date(Date.now() + 86_400_000 * 3));
});
afterAll(() => world?.folder.remove());

test('copies under names of different calls are counted, and names come when asked for', async () => {
  const ran = await world.folder.cli('import', share, '--dry-run');
  expect(ran.code).toBe(1);
  expect(eventsOf(ran).at(-1)).toMatchObject({
    ...{ event: 'inventory', recordings: 11, duplicates: 4, otherCalls: 2, exceptions: {} },
    ...{ namesWithoutTime: 3, timesUnknown: 1, namesWithDay: 1 },
  });
  expect(ran.stderr).toContain('different calls');
  expect(ran.stdout + ran.stderr).not.toMatch(/07017|tomorrow/);
  const named = await world.folder.cli('import', share, '--dry-run', '--show-names', '--parallel', '1');
  const others = eventsOf(named).filter(({ event }) => event === 'other_call');
  expect(others).toHaveLength(2);
  const sha256 = createHash('sha256').update(FIRST).digest('hex');
  for (const one of others)
    expect(one).toMatchObject({
      sha256,
      name: expect.stringMatching(/^070174060[56]_201[56]0101_1015\.wav$/),
    });
});

test('the same on a terminal', () => {
  const command = `${process.execPath} ${MAIN} import ${share} --dry-run --show-names`;
  const shown = spawnSync('script', ['-qec', command, '/dev/null'], {
    encoding: 'utf8',
    env: world.folder.env,
    cwd: world.folder.home,
  });
  expect(shown.status).toBe(1);
  expect(shown.stdout).toMatch(/ {2}that tell another call +2\r?\n/);
  expect(shown.stdout).toMatch(/names without a time +3, of which 1 files have none either\r?\n/);
  expect(shown.stdout).toMatch(/names with a day alone +1\r?\n/);
  expect(shown.stdout).toMatch(/other_call\t(?:time|caller|time, caller)\t[0-9a-f]{64}\t"0701740/);
});

test('an import then does what was said: one recording of the copies, two of what is silent or another segment', async () => {
  const run = await importInto(world, share);
  const from = Date.now();
  expect(await run.run()).toMatchObject({ code: 1 });
  const { rows } = await inspect(world.folder);
  expect(rows).toHaveLength(11 - 3);
  const { lines, totals } = await run.report();
  expect(lines.filter(({ created }) => created === false)).toHaveLength(3);
  // The two of other calls, or all that tell something where the copy without a number came first.
  expect([2, 3]).toContain(totals.reasons.name_not_told);
  const { http, nurse } = world.line;
  const reply = await http.post('/v1/recordings/search', { token: await nurse.token(), json: {} });
  const { recordings } = jsonOf<{ recordings: { startedAt: string }[] }>(reply, 200);
  const times = recordings.map(({ startedAt }) => Date.parse(startedAt));
  expect(times).toHaveLength(rows.length);
  // Of which neither name nor file tells a time: when the vault got it.
  expect(times.filter((at) => at >= from - 60_000)).toHaveLength(1);
  expect(times.filter((at) => at === OLD.getTime()).length).toBeGreaterThanOrEqual(2);
});
