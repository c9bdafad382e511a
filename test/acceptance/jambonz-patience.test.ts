import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { openingFrame, openLive } from '../support/live-sender.ts';
import { type Source, startScene } from '../support/scene.ts';

/** What takes its time, all at once. Shorter times, and those of a paused call, are in test/integration/live-call.test.ts. */
let scene: Awaited<ReturnType<typeof startScene>>;
let integrator: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene({ RADAR_GRACE_MINUTES: '1' });
  integrator = createIntegrator(scene);
  await scene.home.admin.token();
  await scene.own.nurse.token();
});
afterAll(() => scene?.close());

const TONE = Buffer.alloc(32_000, 'callvault');
const newSource = (): Promise<Source> => scene.stage.source(scene.home.admin, scene.own.id);
const flagsOf = async (callId: string): Promise<unknown> => {
  const [id] = await integrator.search(scene.own.nurse, { callId });
  if (id === undefined) return null;
  const reply = await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() });
  return jsonOf<{ flags: string[] }>(reply, 200).flags;
};

test.concurrent('no first frame: ended after twenty seconds', async () => {
  const call = await openLive(scene.vault.url, { apiKey: scene.home.source.apiKey });
  expect(await call.closed).toEqual({ code: 1008, reason: 'request_timeout' });
});

test.concurrent('a source that is disabled in the middle of its call: what came until then is kept', async () => {
  const { id, apiKey } = await newSource();
  const opening = openingFrame();
  const call = await openLive(scene.vault.url, { apiKey });
  call.say(opening);
  await call.sound(TONE);
  const token = await scene.home.admin.token();
  jsonOf(await scene.http.post(`/v1/admin/sources/${id}/disable`, { token }), 200);
  expect((await openLive(scene.vault.url, { apiKey })).reply.status).toBe(401);
  expect((await call.closed).code).toBe(1008);
  expect(await flagsOf(opening.callSid)).toContain('truncated');
});

test.concurrent('a sender who is gone without a word: what came until then is kept', async () => {
  const opening = openingFrame();
  const call = await openLive(scene.vault.url, { apiKey: scene.home.source.apiKey, answersPings: false });
  call.say(opening);
  await call.sound(TONE);
  expect((await call.closed).code).toBe(1006);
  await until(async () => (await flagsOf(opening.callSid)) !== null);
  expect(await flagsOf(opening.callSid)).toContain('truncated');
});

test.concurrent('a pause of a minute ends nothing', async () => {
  const opening = openingFrame();
  const call = await openLive(scene.vault.url, { apiKey: scene.home.source.apiKey });
  call.say(opening);
  await call.sound(TONE);
  await sleep(65_000);
  await call.sound(TONE);
  expect(await call.hangUp()).toEqual({ code: 1000, reason: 'stored' });
  expect(await flagsOf(opening.callSid)).not.toContain('truncated');
});

test.concurrent('a call without sound is not stored, and the radar misses it', async () => {
  const { id, apiKey } = await newSource();
  const opening = openingFrame();
  const call = await openLive(scene.vault.url, { apiKey });
  call.say(opening);
  const today = (): string => new Date().toISOString().slice(0, 10);
  const begun = today();
  await call.write(call.frame(2, Buffer.alloc(0)));
  expect(await call.hangUp()).toEqual({ code: 1000, reason: 'no sound' });
  expect(await flagsOf(opening.callSid)).toBeNull();
  const missingOn = async (day: string): Promise<unknown[]> => {
    const query = `source=${id}&day=${day}&finding=missing`;
    const token = await scene.home.admin.token();
    const reply = await scene.http.get(`/v1/admin/radar/findings?${query}`, { token });
    return jsonOf<{ items: unknown[] }>(reply, 200).items;
  };
  // Midnight may have passed, UTC, between this line and the call.
  const missing = async (): Promise<unknown[]> =>
    (await Promise.all([...new Set([begun, today()])].map(missingOn))).flat();
  await until(async () => {
    await sleep(2_000);
    return (await missing()).length === 1;
  });
});
