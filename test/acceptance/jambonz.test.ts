import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { type Dial, openingFrame, openLive } from '../support/live-sender.ts';
import { startScene } from '../support/scene.ts';

/** Bytes as jambonz's feature server and mod_audio_fork write them; jambonz itself was not at hand. */
let scene: Awaited<ReturnType<typeof startScene>>;
let integrator: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  integrator = createIntegrator(scene);
});
afterAll(() => scene?.close());

/** A conversation of two channels at 8 kHz, without its header. */
const SPEECH = readFileSync(join(import.meta.dirname, '../../fixtures/wrong-number-stereo.wav')).subarray(44);
const FRAME_20_MS = 640;

const dial = (about: Partial<Dial> = {}) =>
  openLive(scene.vault.url, { apiKey: scene.home.source.apiKey, ...about });
const framesOf = (sound: Buffer): Buffer[] =>
  Array.from({ length: Math.ceil(sound.length / FRAME_20_MS) }, (_, n) =>
    sound.subarray(n * FRAME_20_MS, (n + 1) * FRAME_20_MS),
  );
const found = (callId: string): Promise<string[]> => integrator.search(scene.own.nurse, { callId });
const factsOf = async (id: string): Promise<Record<string, unknown>> =>
  jsonOf(await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() }), 200);
/** The one recording of a call, waited for where nobody is told that it is stored. */
const recordingOf = async (callId: string): Promise<string> => {
  await until(async () => (await found(callId)).length > 0);
  const [id, ...more] = await found(callId);
  expect(more).toEqual([]);
  return id!;
};
/** What the nurse hears, without the header of the file that is made of it. */
const heard = async (id: string): Promise<Buffer> => {
  const { listen } = await integrator.listening(scene.own.nurse, id);
  const pieces: Buffer[] = [];
  for (let at = 0, total = 1; at < total; ) {
    const piece = await listen({ range: `bytes=${at}-` });
    expect(piece.status).toBe(206);
    total = Number(piece.headers['content-range']?.split('/')[1]);
    pieces.push(piece.body);
    at += piece.body.length;
  }
  return Buffer.concat(pieces).subarray(44);
};

test('a call is stored while it is spoken, acknowledged when durable, and heard by the nurse bit for bit', async () => {
  const opening = openingFrame({ agentId: 'a-7' });
  const call = await dial();
  expect(call.reply.status).toBe(101);
  expect(call.reply.headers['sec-websocket-protocol']).toBe('audio.drachtio.org');
  call.say(opening);
  for (const [n, frame] of framesOf(SPEECH).entries()) {
    if (n === 20) call.say({ event: 'dtmf', dtmf: '5', duration: '2000' });
    await call.sound(frame);
  }
  expect(await call.hangUp()).toEqual({ code: 1000, reason: 'stored' });
  const [id = ''] = await found(opening.callSid);
  expect(await factsOf(id)).toMatchObject({
    callId: opening.callSid,
    callerNumber: '0701740605',
    calledNumber: '1177',
    direction: 'inbound',
    agentId: 'a-7',
    channels: 2,
    flags: [],
    durationMs: Math.round(SPEECH.length / 32),
  });
  expect(sha256(await heard(id))).toBe(sha256(SPEECH));
});

test('the verb listen, at its own address, with one channel and a bearer key', async () => {
  const opening = openingFrame({ mixType: 'mono', sampleRate: 16_000, direction: 'outbound' });
  const call = await dial({
    path: '/v1/ingest/jambonz',
    headers: { Authorization: `Bearer ${scene.home.source.apiKey}` },
  });
  call.say(opening);
  await call.sound(SPEECH.subarray(0, 64_000));
  expect((await call.hangUp()).code).toBe(1000);
  const id = await recordingOf(opening.callSid);
  expect(await factsOf(id)).toMatchObject({ durationMs: 2000, direction: 'outbound', flags: [] });
});

describe('what ends otherwise than by a close is kept as far as it came, and flagged', () => {
  test.each<[string, (call: Awaited<ReturnType<typeof dial>>) => unknown]>([
    ['the connection is cut', (call) => call.cut()],
    ['the client says that it goes away', (call) => call.hangUp(1001)],
    ['half a frame, and then the end', (call) => call.socket.end(call.frame(2, SPEECH).subarray(0, 5_000))],
    ['a frame that is none', (call) => call.write(call.frame(2, SPEECH, { first: 0xf2 }))],
    ['a frame of more than 512 KiB', (call) => call.write(call.frame(2, Buffer.alloc(600_000)))],
  ])('%s', async (_what, end) => {
    const opening = openingFrame();
    const call = await dial();
    call.say(opening);
    await call.sound(SPEECH.subarray(0, 32_000));
    await end(call);
    const id = await recordingOf(opening.callSid);
    expect(await factsOf(id)).toMatchObject({
      flags: expect.arrayContaining(['truncated']),
      durationMs: 1000,
    });
    expect(sha256(await heard(id))).toBe(sha256(SPEECH.subarray(0, 32_000)));
    await call.closed;
  });
});

test('two connections of one call are two recordings: sound that is sent live comes only once', async () => {
  const opening = openingFrame();
  const calls = await Promise.all([dial(), dial()]);
  for (const [n, call] of calls.entries()) {
    call.say(opening);
    await call.sound(SPEECH.subarray(n * 32_000, (n + 1) * 32_000));
  }
  for (const call of calls) expect((await call.hangUp()).code).toBe(1000);
  const heardThere = await Promise.all(
    (await found(opening.callSid)).map(async (id) => sha256(await heard(id))),
  );
  expect(heardThere.sort()).toEqual(
    [SPEECH.subarray(0, 32_000), SPEECH.subarray(32_000, 64_000)].map(sha256).sort(),
  );
});
