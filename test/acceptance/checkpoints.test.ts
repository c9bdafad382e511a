import { cp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { cutLog } from '../support/cut-log.ts';
import { expectProblem } from '../support/problems.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Checkpoints of a running vault, and a vault whose log is not the one its checkpoints tell of. */
let world: CareLineVault;
let place: string;
beforeEach(async () => {
  world = await startCareLine();
  place = join(world.folder.dataDir, 'checkpoints');
});
afterEach(() => world.folder.remove());

const sizes = async (): Promise<number[]> => (await readdir(place)).map(Number).sort((a, b) => a - b);
const newest = async (): Promise<number> => (await sizes()).at(-1) ?? 0;
const headSize = (): Promise<number> =>
  inDatabase(
    world.folder,
    async (client) => (await client.query('SELECT max(size)::int AS size FROM audit.batch')).rows[0].size,
  );
/** Ends of batches, so that the log can be cut there. */
const ends = (): Promise<number[]> =>
  inDatabase(world.folder, async (client) =>
    (await client.query('SELECT size::int FROM audit.batch ORDER BY size')).rows.map(({ size }) => size),
  );
const cutTo = (size: number) => inDatabase(world.folder, (client) => cutLog(client, size), 'superuser');
const store = () => world.line.store(newCall(20_000));

test('every entry is under a checkpoint within ten seconds, beside the database, read-only', async () => {
  await store();
  const size = await headSize();
  const asked = performance.now();
  await until(async () => (await newest()) >= size);
  expect(performance.now() - asked).toBeLessThan(15_000);
  const path = join(place, String(await newest()).padStart(16, '0'));
  expect((await stat(path)).mode & 0o777).toBe(0o400);
  const { code, stdout } = await world.folder.cli('log-key');
  expect({ code, stdout }).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^callvault\.[0-9a-f-]{36}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}\n$/),
  });
  const [name] = stdout.split('+');
  expect(await readFile(path, 'utf8')).toMatch(
    new RegExp(`^${name}\n\\d+\n[A-Za-z0-9+/]{43}=\n\n— ${name} [A-Za-z0-9+/]{91}=\n$`),
  );
});

test('at the end there is one of everything, also of what commands have done without a vault', async () => {
  await store();
  await world.vault.stop();
  const stopped = await newest();
  const { stdout } = await world.folder.cli('doctor');
  expect(stdout).toContain(`checkpoint\tdatabase\t${stopped} of ${stopped} entries`);
  expect(stdout).toContain(`checkpoint\t${place}\t${stopped} of ${stopped} entries\ton the same file system`);
  await world.folder.cli('verify');
  expect(await newest()).toBe(stopped + 1);
});

describe('H-5 the log is shorter than a checkpoint', () => {
  test('while the vault runs: alarm, not ready, and nothing that needs an entry is done', async () => {
    const { vault, line } = world;
    const id = await store();
    const officer = await line.compliance.token();
    await until(async () => (await newest()) >= (await headSize()));
    const nurse = await line.nurse.token();
    await cutTo((await ends()).at(-3)!);
    await until(() => vault.output().includes('ALARM: the access log'));
    await until(async () => (await line.http.get('/readyz')).status === 503);
    const refused = await line.http.post(`/v1/recordings/${id}/playbacks`, {
      token: nurse,
      json: { purpose: 'technical' },
    });
    expect(expectProblem(refused, 503, 'log_halted').detail).not.toMatch(/try again shortly/i);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(60);
    // What the database has now is older than what was signed: nobody is given it for the newest.
    expectProblem(await line.http.get('/v1/audit/checkpoint', { token: officer }), 503, 'log_halted');
    const live = await world.folder.cliTold(officer, 'verify', '--live', vault.url);
    expect([live.code, live.stderr]).toEqual([3, expect.stringMatching(/answered 503 \(log_halted\)/)]);
    expect((await line.deliver(newCall(2_000))).status).toBe(503);
    const before = await ends();
    await vault.stop();
    const again = await world.folder.start().catch((error: Error) => error.message);
    expect(again).toMatch(/ended with 3 .*its tail is missing/s);
    expect(before.at(-1)).toBeLessThan(await newest());
  });
});

describe('H-5 the log is older than its checkpoints', () => {
  test('an older data folder under the checkpoints of now: the start is refused, and no command writes', async () => {
    const { folder, vault } = world;
    await vault.stop();
    const kept = await newest();
    const backup = join(folder.home, 'backup');
    const database = join(folder.dataDir, 'postgres', 'cluster');
    await cp(database, backup, { recursive: true });
    world = { ...world, vault: await folder.start() };
    await world.folder.cli('verify');
    await until(async () => (await newest()) > kept);
    await world.folder.cli('verify');
    await world.vault.stop();
    await rm(database, { recursive: true });
    await cp(backup, database, { recursive: true });
    const error = await folder.start().catch((reason: Error) => reason.message);
    expect(error).toMatch(/ended with 3 before it listened/);
    expect(error).toMatch(/"ALARM: the access log is not the one that its checkpoints tell of/);
    // Named is the newest, of those that are missing.
    expect((await sizes()).filter((size) => size > kept).length).toBeGreaterThanOrEqual(2);
    expect(error).toMatch(
      new RegExp(`The access log has ${kept} entries, but ${await newest()} are known from a checkpoint in`),
    );
    const made = await folder.cli('admin-create', '--email', 'a@example.org');
    expect({ code: made.code, stdout: made.stdout }).toEqual({ code: 3, stdout: '' });
    expect(made.stderr).toContain('its tail is missing');
    // To look is allowed, and leaves nothing behind.
    const looked = await folder.cli('verify', '--json');
    expect(looked.code).toBe(1);
    expect(JSON.parse(looked.stdout)).toMatchObject({
      ok: false,
      entry: null,
      faultCount: 1,
      faults: [{ kind: 'anchor', message: expect.stringContaining('its tail is missing') }],
    });
    expect(await folder.cli('verify')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /^NOT OK\t.*\n-\tanchor\tThe access log has \d+ entries, but \d+ are known/,
      ),
      stderr: expect.stringContaining('does not agree with a head that is known'),
    });
    const doctor = JSON.parse((await folder.cli('doctor', '--json')).stdout);
    expect(doctor).toMatchObject({ ready: false });
    expect(doctor.findings).toContainEqual({ name: 'log', fault: 'log_halted' });
  });
});
