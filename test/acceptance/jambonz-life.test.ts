import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CareLineVault, sha256, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { type LiveSender, openingFrame, openLive } from '../support/live-sender.ts';
import { peakMiBWhile } from '../support/resident-memory.ts';
import { inspect } from '../support/vault-inspection.ts';

/** Live calls while the vault itself is ended, killed, or has many of them. */
let world: CareLineVault;
beforeEach(async () => {
  world = await startCareLine();
});
afterEach(() => world?.folder.remove());

const begin = async (callSid: string, sound: Buffer): Promise<LiveSender> => {
  const call = await openLive(world.vault.url, { apiKey: world.line.apiKey });
  call.say(openingFrame({ callSid }));
  await call.sound(sound);
  return call;
};
const found = async (callId: string): Promise<string[]> => {
  const { http, nurse } = world.line;
  const reply = await http.post('/v1/recordings/search', { token: await nurse.token(), json: { callId } });
  return jsonOf<{ recordings: { id: string }[] }>(reply, 200).recordings.map(({ id }) => id);
};
const flagsOf = async (id: string): Promise<string[]> => {
  const { http, nurse } = world.line;
  const reply = await http.get(`/v1/recordings/${id}`, { token: await nurse.token() });
  return jsonOf<{ flags: string[] }>(reply, 200).flags;
};

test('a vault that is ended stores what came, once other requests have had their time', async () => {
  const sound = randomBytes(64_000);
  const [short, long, cut] = [
    await begin('short', sound),
    await begin('long', sound),
    await begin('cut', sound),
  ];
  const stopped = world.vault.stop();
  expect(await short.hangUp()).toEqual({ code: 1000, reason: 'stored' });
  cut.cut();
  expect(await long.closed).toEqual({ code: 1001, reason: 'stored' });
  expect(await stopped).toBe(0);
  await world.folder.start();
  for (const callId of ['short', 'long', 'cut']) {
    const [id = '', ...more] = await found(callId);
    expect(more).toEqual([]);
    expect((await flagsOf(id)).includes('truncated')).toBe(callId !== 'short');
    expect(sha256((await world.line.hear(id)).subarray(44))).toBe(sha256(sound));
  }
});

test('of a call in whose middle the vault was killed nothing is seen, and nothing says that it is stored', async () => {
  await begin('killed', randomBytes(400_000));
  await until(async () => (await inspect(world.folder)).rows.length === 1);
  await world.vault.kill();
  const vault = await world.folder.start();
  expect(await found('killed')).toEqual([]);
  const { rows, endings, objects } = await inspect(world.folder);
  expect(rows).toEqual([]);
  expect(objects).toEqual([]);
  expect(endings.filter(({ action }) => action === 'recording.stored')).toEqual([]);
  // The radar knows of it all the same.
  const { http, compliance } = world.line;
  const json = { action: 'calls.announced' };
  const reply = await http.post('/v1/audit/search', { token: await compliance.token(), json });
  expect(jsonOf<{ entries: unknown[] }>(reply, 200).entries).toHaveLength(1);
  await vault.stop();
});

test('a hundred calls at once: under 300 MB resident', async () => {
  // Half a second, as FreeSWITCH sends what waited; a hundred times as fast as it is spoken.
  const sound = randomBytes(16_000);
  const peak = await peakMiBWhile(world.vault.pid, async () => {
    const calls = await Promise.all(Array.from({ length: 100 }, (_, n) => begin(`call ${n}`, sound)));
    for (let n = 0; n < 20; n += 1) await Promise.all(calls.map((call) => call.sound(sound)));
    const ended = await Promise.all(calls.map((call) => call.hangUp()));
    expect(ended.filter(({ code }) => code !== 1000)).toEqual([]);
  });
  expect(peak).toBeLessThan(300e6 / 1024 ** 2);
});
