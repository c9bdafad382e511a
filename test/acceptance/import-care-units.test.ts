import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, openCareLine, startCareLine } from '../support/care-line.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { eventsOf, importInto, reportsOf } from '../support/import-run.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** Care units that an import names and the vault does not know: found before the first file is sent. */
let world: CareLineVault;
let seed = 31_000;

const unitOf = async ({ admin, http }: CareLineVault['line'], name: string): Promise<string> =>
  jsonOf<{ id: string }>(
    await http.post('/v1/admin/units', { token: await admin.token(), json: { name } }),
    201,
  ).id;
const close = async (id: string): Promise<void> => {
  const { admin, http } = world.line;
  jsonOf(await http.post(`/v1/admin/units/${id}/disable`, { token: await admin.token() }), 200);
};
const shareOf = async (name: string, ...files: string[]) => {
  const folder = join(world.folder.home, name);
  for (const file of files) {
    seed += 1;
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), generatedCall(1, seed));
  }
  return { folder, run: await importInto(world, folder, `${name}.journal`) };
};
const stored = async (): Promise<number> => (await inspect(world.folder)).rows.length;
/** How many recordings are of these two. */
const unitsOf = async (): Promise<Record<string, number>> => {
  const { rows } = await inDatabase(
    world.folder,
    (client) =>
      client.query<{ name: string; recordings: number }>(
        `SELECT u.name, count(*)::int AS recordings FROM recording r JOIN care_unit u ON u.id = r.unit_id
         WHERE u.name IN ('Advice', 'Children') GROUP BY u.name`,
      ),
    'superuser',
  );
  return Object.fromEntries(rows.map(({ name, recordings }) => [name, recordings]));
};
const UNIT = '^(?<unit>[^/]+)/';

let closed: string;
beforeAll(async () => {
  world = await startCareLine();
  for (const name of ['Advice', 'Children']) await unitOf(world.line, name);
  closed = await unitOf(world.line, 'Closed');
  await close(closed);
  const other = await openCareLine(world.folder, world.vault.url);
  await unitOf(other, 'Theirs');
});
afterAll(() => world?.folder.remove());

test('--field: unknown, closed and another organisation’s alike end the import before anything is sent, with 2', async () => {
  const share = await shareOf('field', 'a.wav', 'b.wav', 'c.wav');
  const sentences = new Set<string>();
  for (const unit of ['Nowhere', 'Closed', closed, 'Theirs']) {
    const ran = await share.run.run('--field', `careUnit=${unit}`);
    expect(ran.code).toBe(2);
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toContain('--field careUnit names no active care unit');
    expect(ran.stderr).not.toContain(unit);
    sentences.add(ran.stderr);
  }
  expect(sentences.size).toBe(1);
  expect(await stored()).toBe(0);
  expect(await reportsOf(share.run.journal)).toEqual([]);
  const mended = await share.run.run('--field', 'careUnit=Advice');
  expect(mended).toMatchObject({ code: 0, stderr: '' });
  expect(await stored()).toBe(3);
});

test('--pattern: one unknown unit anywhere ends it before the first file, and names only when asked for', async () => {
  const files = ['Advice/a.wav', 'Children/b.wav', 'Annas mapp/c.wav', 'Advice/d.wav'];
  const share = await shareOf('pattern', ...files);
  const before = await stored();
  const bare = await share.run.run('--pattern', UNIT);
  expect(bare.code).toBe(2);
  expect(bare.stderr).toContain('--pattern reads from the paths a care unit that is no active care unit');
  expect(bare.stdout + bare.stderr).not.toContain('Annas');
  const named = await share.run.run('--pattern', UNIT, '--show-names');
  expect(named.stderr).toContain('("Annas mapp")');
  expect(await stored()).toBe(before);
  expect(await share.run.run('--pattern', '^(?<unit>Advice|Children)/')).toMatchObject({ code: 0 });
  expect(await stored()).toBe(before + 4);
});

test('what will not be sent as its path says stops nothing: other files, side files, and what is verified by now', async () => {
  const share = await shareOf('mixed', 'Advice/a.wav', 'Late/b.wav', 'Nowhere/c.wav');
  const put = (name: string, text: string) => writeFile(join(share.folder, name), text);
  await put('Nowhere/c.wav.json', JSON.stringify({ callId: 'c', careUnit: 'Children' }));
  await mkdir(join(share.folder, 'Papers'));
  await put('Papers/readme.txt', 'no sound');
  const late = await unitOf(world.line, 'Late');
  const first = await share.run.run('--pattern', UNIT);
  expect(first.stderr).toBe('');
  expect((await share.run.report()).totals).toMatchObject({ verified: 3, reasons: { not_recording: 1 } });
  await close(late);
  const again = await share.run.run('--pattern', UNIT, '--wipe', '--yes-wipe', '3');
  expect(eventsOf(again).find(({ event }) => event === 'wiped')).toMatchObject({ wiped: 3 });
  expect(await readdir(join(share.folder, 'Late'))).toEqual([]);
});

test('--field sets no unit over that of a side file or a path, and is asked about like those', async () => {
  const share = await shareOf('both', 'bare.wav', 'side.wav', 'Children/path.wav');
  await writeFile(join(share.folder, 'side.wav.json'), JSON.stringify({ callId: 's', careUnit: 'Children' }));
  const before = await unitsOf();
  const pattern = ['--pattern', '^(?<unit>[^/]+)/'];
  expect((await share.run.run('--field', 'careUnit=Nowhere', ...pattern)).stderr).toContain('--field');
  expect((await share.run.run('--field', 'careUnit=Advice', '--pattern', '^(?<unit>.)')).stderr).toContain(
    '--pattern reads',
  );
  expect(await unitsOf()).toEqual(before);
  expect(await share.run.run('--field', 'careUnit=Advice', ...pattern)).toMatchObject({ code: 0 });
  expect(await unitsOf()).toEqual({
    Advice: (before.Advice ?? 0) + 1,
    Children: (before.Children ?? 0) + 2,
  });
});

test('forty folders that are no units: each is counted', async () => {
  const files = Array.from({ length: 41 }, (_, n) => `${n === 7 ? 'Advice' : `folder ${n}`}/a.wav`);
  const share = await shareOf('many', ...files);
  const ran = await share.run.run('--pattern', UNIT, '--show-names');
  expect(ran.code).toBe(2);
  expect(ran.stderr).toContain('40 of 41 care units (');
  expect(ran.stderr).toContain(', …) that are no active');
});

test('dry run asks no vault', async () => {
  const share = await shareOf('dry', 'a.wav');
  const ran = await share.run.run('--field', 'careUnit=Nowhere', '--dry-run');
  expect(ran).toMatchObject({ code: 0, stderr: '' });
});
