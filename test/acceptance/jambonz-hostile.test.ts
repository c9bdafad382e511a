import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { type Dial, type LiveSender, openingFrame, openLive } from '../support/live-sender.ts';
import { expectProblem } from '../support/problems.ts';
import { replyOf, sendRaw } from '../support/raw-http.ts';
import { startScene } from '../support/scene.ts';

const NUMBER = '0701740777';
const MAX_UPLOAD_BYTES = 1024 * 1024;
let scene: Awaited<ReturnType<typeof startScene>>;
let integrator: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene({ MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES) });
  integrator = createIntegrator(scene);
});
afterAll(async () => {
  expect(isAlive(scene.vault.pid)).toBe(true);
  expect(scene.vault.output()).not.toMatch(/07017|fatal|unexpected/);
  await scene.close();
});

const dial = (about: Partial<Dial> = {}): Promise<LiveSender> =>
  openLive(scene.vault.url, { apiKey: scene.home.source.apiKey, ...about });
const found = (callId: string): Promise<string[]> => integrator.search(scene.own.nurse, { callId });
const TONE = Buffer.alloc(32_000, 'callvault');

describe('before it is a WebSocket, a refusal is a problem, and the connection ends', () => {
  test.each<[string, Partial<Dial>, number, string]>([
    ['a wrong key', { apiKey: 'cv_key_wrong' }, 401, 'unauthenticated'],
    ['no key', { headers: { Authorization: '' } }, 401, 'unauthenticated'],
    ['no name of a protocol version', { headers: { 'Sec-WebSocket-Version': '7' } }, 400, 'invalid_request'],
    [
      'a key of the handshake that is none',
      { headers: { 'Sec-WebSocket-Key': 'x' } },
      400,
      'invalid_request',
    ],
    ['a page of nowhere', { path: '/v1/ingest/jambonz/elsewhere' }, 404, 'not_found'],
    ['words in the address', { path: `/v1/ingest/jambonz?number=${NUMBER}` }, 400, 'invalid_request'],
  ])('%s', async (_what, about, status, code) => {
    const { reply, closed } = await dial(about);
    expectProblem(reply, status, code);
    expect((await closed).code).toBe(1006);
  });

  test('a nurse may not', async () => {
    const { reply } = await dial({ headers: { Authorization: `Bearer ${await scene.own.nurse.token()}` } });
    expectProblem(reply, 403, 'forbidden');
  });
});

test('no compression is agreed to, whatever is offered, and a compressed frame ends the call', async () => {
  const call = await dial({ headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
  expect(call.reply.headers['sec-websocket-extensions']).toBeUndefined();
  call.say(openingFrame());
  await call.write(call.frame(2, TONE, { first: 0xc2 }));
  expect((await call.closed).code).toBe(1002);
});

test('other upgrades and other addresses are answered as if no upgrade had been asked for', async () => {
  const { host } = new URL(scene.vault.url);
  const ask = (line: string, more: string): Promise<string> =>
    sendRaw(scene.vault.url, `${line}\r\nHost: ${host}\r\nConnection: Upgrade, close\r\n${more}`);
  const login = await ask(
    'POST /v1/auth/login HTTP/1.1',
    'Upgrade: h2c\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  );
  expect(replyOf(login)).toMatchObject({ status: 400, text: expect.stringContaining('email') });
  const health = await ask('GET /healthz HTTP/1.1', 'Upgrade: websocket\r\n\r\n');
  expect(replyOf(health).status).toBe(200);
});

test('an upgrade behind a request that is not answered yet: the connection ends, the vault does not', async () => {
  const before = `GET /readyz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n`;
  await (await dial({ before })).closed;
  expect((await scene.http.get('/healthz')).status).toBe(200);
});

describe('what cannot be the beginning of a call is refused, and said in the log without a word of it', () => {
  const text = (said: string | Buffer) => (call: LiveSender) => call.write(call.frame(1, Buffer.from(said)));
  const frame = (about: object) => text(JSON.stringify(openingFrame({ from: NUMBER, ...about })));
  test.each<[string, (call: LiveSender) => unknown]>([
    ['sound first', (call) => call.sound(TONE)],
    ['no JSON', text(`{"from":"${NUMBER}"`)],
    ['a list', text(`["${NUMBER}"]`)],
    ['a name twice', text(`{"callSid":"a","callSid":"${NUMBER}","sampleRate":8000}`)],
    ['deeper than anybody needs', text(`{"a":${'['.repeat(8_000)}${']'.repeat(8_000)}}`)],
    ['longer than anybody needs', text(' '.repeat(17 * 1024))],
    ['no call', frame({ callSid: undefined })],
    ['a call that is no text', frame({ callSid: { a: NUMBER } })],
    ['a call whose name is too long', frame({ callSid: NUMBER.repeat(26) })],
    ['no rate', frame({ sampleRate: undefined })],
    ['a rate as text', frame({ sampleRate: '8000' })],
    ['a rate of nothing', frame({ sampleRate: 0 })],
    ['a rate of a million', frame({ sampleRate: 1e9 })],
    ['a mix that is not known', frame({ mixType: 'constructor' })],
  ])('%s', async (_what, begin) => {
    const before = (await integrator.entries({ action: 'recording.refused' })).length;
    const call = await dial();
    await begin(call);
    await call.sound(TONE);
    expect(await call.closed).toEqual({ code: 1008, reason: 'not_acceptable_metadata' });
    const entries = await integrator.entries({ action: 'recording.refused' });
    expect(entries).toHaveLength(before + 1);
    expect(JSON.stringify(entries.at(-1))).not.toContain('07017');
  });

  test('text that is no UTF-8', async () => {
    const call = await dial();
    await call.write(call.frame(1, Buffer.from([0x7b, 0xff, 0x7d])));
    expect((await call.closed).code).toBe(1007);
  });
});

test('numbers that are none are left out, and the recording is flagged; what applications add is passed over', async () => {
  const opening = openingFrame({ from: 'x'.repeat(4000), to: { user: NUMBER }, customerData: { queue: 7 } });
  const call = await dial();
  call.say(opening);
  await call.sound(TONE);
  expect((await call.hangUp()).code).toBe(1000);
  const [id = ''] = await found(opening.callSid);
  const facts = jsonOf(
    await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() }),
    200,
  );
  expect(facts).toMatchObject({ callerNumber: null, calledNumber: null, queue: null });
  expect(facts).toMatchObject({ flags: ['metadata_faulty'] });
});

test('a care unit that there is not, a direction that is none, no identity number: the call is kept where calls of its source go', async () => {
  const opening = openingFrame({ careUnit: NUMBER, direction: 'sideways', personalNumber: '19121212-1213' });
  const call = await dial();
  call.say({ ...opening, agentId: 'a-7' });
  await call.sound(TONE);
  expect(await call.hangUp()).toEqual({ code: 1000, reason: 'stored' });
  const [id = ''] = await found(opening.callSid);
  const token = await scene.own.nurse.token();
  expect(jsonOf(await scene.http.get(`/v1/recordings/${id}`, { token }), 200)).toMatchObject({
    careUnit: scene.own.id,
    direction: null,
    personalNumber: null,
    agentId: 'a-7',
    callerNumber: '0701740605',
    flags: ['metadata_faulty'],
  });
  expect((await integrator.open(scene.own.nurse, id)).status).toBe(201);
  const [entry] = await integrator.entries({ recording: id, action: 'recording.stored' });
  expect(entry?.detail.flags).toEqual(['metadata_faulty']);
  expect(JSON.stringify(entry)).not.toContain('07017');
});

test('fragments for ever, keys pressed for ever, pings for ever: ended or passed over, and the sound is kept', async () => {
  const opening = openingFrame();
  const call = await dial();
  call.say(opening);
  await call.sound(TONE);
  for (let n = 0; n < 2_000; n += 1) call.say({ event: 'dtmf', dtmf: '5', duration: '100' });
  for (let n = 0; n < 20; n += 1) await call.write(call.frame(9, Buffer.from('ping')));
  await call.write(call.frame(2, TONE.subarray(0, 1), { fin: false }));
  const more = Buffer.concat(
    Array.from({ length: 1000 }, () => call.frame(0, TONE.subarray(0, 1), { fin: false })),
  );
  for (let n = 0; n < 40; n += 1) await call.write(more);
  expect([1008, 1009]).toContain((await call.closed).code);
  expect(await found(opening.callSid)).toHaveLength(1);
});

test('a call longer than a recording may be is kept up to there', async () => {
  const opening = openingFrame();
  const call = await dial();
  call.say(opening);
  for (let sent = 0; sent < MAX_UPLOAD_BYTES + 64_000; sent += TONE.length) await call.sound(TONE);
  expect((await call.closed).code).toBe(1009);
  const [id = ''] = await found(opening.callSid);
  const facts = jsonOf(
    await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() }),
    200,
  );
  expect(facts).toMatchObject({ bytes: MAX_UPLOAD_BYTES, flags: expect.arrayContaining(['truncated']) });
});

test('a program instead of sound is refused', async () => {
  const opening = openingFrame();
  const call = await dial();
  call.say(opening);
  await call.sound(Buffer.concat([Buffer.from('\u007fELF\u0002\u0001\u0001'), TONE]));
  expect(await call.closed).toEqual({ code: 1008, reason: 'refused_content' });
  expect(await found(opening.callSid)).toEqual([]);
});
