import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CareLineVault, sha256, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { openingFrame, openLive } from '../support/live-sender.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** A vault that is ended while it still stores a call: nobody is connected any more, and the sound comes from nowhere again. */
let world: CareLineVault;
beforeEach(async () => {
  world = await startCareLine();
});
afterEach(() => world?.folder.remove());

/** Less than a statement of the vault waits for a lock, and long enough for a vault that waits for nothing to close. */
const HELD_MS = 3_000;

test('a call whose connection was cut before is stored, flagged and told of before the vault ends', async () => {
  const sound = randomBytes(64_000);
  const call = await openLive(world.vault.url, { apiKey: world.line.apiKey });
  call.say(openingFrame({ callSid: 'cut before' }));
  await call.sound(sound);
  await until(async () => (await inspect(world.folder)).rows.length === 1);
  let stopped: Promise<number | null> | undefined;
  await inDatabase(
    world.folder,
    async (client) => {
      await client.query('BEGIN');
      await client.query('LOCK TABLE recording IN EXCLUSIVE MODE');
      call.cut();
      // The object is whole. That it is cannot be written down yet.
      await until(async () => {
        const waiting = `SELECT 1 FROM pg_locks WHERE relation = 'recording'::regclass AND NOT granted`;
        return (await client.query(waiting)).rowCount === 1;
      });
      stopped = world.vault.stop();
      await sleep(HELD_MS);
      await client.query('COMMIT');
    },
    'superuser',
  );
  expect(await stopped).toBe(0);
  await world.folder.start();
  const { http, nurse } = world.line;
  const token = await nurse.token();
  const reply = await http.post('/v1/recordings/search', { token, json: { callId: 'cut before' } });
  const { recordings } = jsonOf<{ recordings: { id: string }[] }>(reply, 200);
  expect(recordings).toHaveLength(1);
  const id = recordings[0]?.id ?? '';
  const { flags } = jsonOf<{ flags: string[] }>(await http.get(`/v1/recordings/${id}`, { token }), 200);
  expect(flags).toContain('truncated');
  expect(sha256((await world.line.hear(id)).subarray(44))).toBe(sha256(sound));
  const { endings } = await inspect(world.folder);
  expect(endings.map(({ action }) => action)).toEqual(['recording.stored']);
});
