import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** The vault is killed between the entry and the sound: the log says opened, and never is it the other way round. */
let world: CareLineVault;
let recording: string;

beforeAll(async () => {
  world = await startCareLine();
  recording = await world.line.store(newCall(300_000));
  await world.line.nurse.token();
});
afterEach(async () => {
  const { code, stdout } = await world.folder.cli('verify');
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok\t/) });
});
afterAll(() => world?.folder.remove());

const opened = (): Promise<number> =>
  inDatabase(world.folder, async (client) => {
    const text = `SELECT count(*)::int FROM audit.entry WHERE (facts).action = 'playback.opened' AND (facts).recording = $1`;
    return (await client.query<{ count: number }>(text, [recording])).rows[0]!.count;
  });

/** Kills the vault while it waits for the table of playbacks, once `reached` says that it does. */
const killWhileWaiting = (ask: () => Promise<unknown>, reached: () => Promise<boolean>): Promise<unknown> =>
  inDatabase(
    world.folder,
    async (superuser) => {
      await superuser.query('BEGIN');
      await superuser.query('LOCK TABLE playback IN ACCESS EXCLUSIVE MODE');
      const asked = ask().then(
        () => 'answered',
        (error: Error) => error.message,
      );
      await until(reached);
      await world.vault.kill();
      return asked;
    },
    'superuser',
  );

const waitsForPlaybacks = (): Promise<boolean> =>
  inDatabase(
    world.folder,
    async (client) => {
      const text = `SELECT count(*)::int FROM pg_locks WHERE NOT granted AND relation = 'playback'::regclass`;
      return (await client.query<{ count: number }>(text)).rows[0]!.count > 0;
    },
    'superuser',
  );

const restart = async (): Promise<void> => {
  world = { ...world, vault: await world.folder.start() };
};

test('PDL-3 killed after the entry was committed, before the permission was given: the log says playback.opened', async () => {
  const before = await opened();
  const asked = killWhileWaiting(
    () => world.line.openPlayback(recording),
    async () => (await opened()) > before,
  );
  expect(await asked).toMatch(/socket hang up|ECONNRESET/);
  await restart();
  expect(await opened()).toBe(before + 1);
});

test('PDL-3 killed after the permission was given, before the first byte of sound: the log says playback.opened', async () => {
  const before = await opened();
  const audioUrl = await world.line.openPlayback(recording);
  const token = await world.line.nurse.token();
  const asked = killWhileWaiting(() => world.line.http.get(audioUrl, { token }), waitsForPlaybacks);
  expect(await asked).toMatch(/socket hang up|ECONNRESET/);
  await restart();
  expect(await opened()).toBe(before + 1);
  // The same permission is good after the restart, and needs no other entry.
  expect((await world.line.http.get(audioUrl, { token })).status).toBe(200);
  expect(await opened()).toBe(before + 1);
});
