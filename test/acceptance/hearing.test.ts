import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator, type Opened } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Stored, startScene } from '../support/scene.ts';

/** Playback as a player and a program ask for it: RFC 9110 §14, over HTTP. */
const PIECE = 512 * 1024;
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
let recording: Stored;
let opened: Opened;
/** Just over one piece, so that a part can be too wide. */
const audio = generatedCall(40, 21);
const total = audio.length;

beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
  recording = await people.deliver({}, audio);
  opened = await people.listening(scene.own.nurse, recording.id);
});
afterAll(() => scene.close());

test('a playback says where the sound is and how long it may be heard', () => {
  const { playbackId, audioUrl, peaksUrl, mediaType, durationMs, expiresAt } = opened;
  expect({ audioUrl, peaksUrl, mediaType, durationMs }).toEqual({
    audioUrl: `/v1/playbacks/${playbackId}/audio`,
    peaksUrl: `/v1/playbacks/${playbackId}/peaks`,
    mediaType: 'audio/wav',
    durationMs: 40_000,
  });
  expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
});

test('every playback has an address of its own', async () => {
  const again = await people.listening(scene.own.nurse, recording.id);
  expect(again.audioUrl).not.toBe(opened.audioUrl);
});

test('ASVS 5.4, ASVS 14.3.2 without Range: 200 and the whole, bit for bit, for nobody on the way to keep', async () => {
  const reply = await opened.listen();
  expect(reply.status).toBe(200);
  expect(reply.body.equals(audio)).toBe(true);
  expect(reply.headers).toMatchObject({
    'content-type': 'audio/wav',
    'content-length': String(total),
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-store',
    etag: expect.stringMatching(/^"[0-9a-f-]{36}"$/),
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
  });
  expect(reply.headers['content-range']).toBeUndefined();
  // No name under which it could be saved, least of all the one it came with.
  expect(reply.headers['content-disposition']).toBeUndefined();
});

test.each([
  ['the first byte', 'bytes=0-0', 0, 1],
  ['the first segment', 'bytes=0-65535', 0, 65_536],
  ['across a segment’s end', 'bytes=65400-65700', 65_400, 65_701],
  ['the middle', 'bytes=300000-300999', 300_000, 301_000],
  ['the last byte', `bytes=${total - 1}-${total - 1}`, total - 1, total],
  ['a suffix', 'bytes=-1000', total - 1000, total],
  ['an open end', `bytes=${total - 500}-`, total - 500, total],
  ['beyond the end', `bytes=${total - 10}-${total + 1000}`, total - 10, total],
  ['exactly one piece', `bytes=1000-${1000 + PIECE - 1}`, 1000, 1000 + PIECE],
  ['a unit in capitals, with blanks', 'Bytes = 5-9', 5, 10],
])('%s: 206', async (_what, range, start, end) => {
  const reply = await opened.listen({ range });
  expect(reply.status).toBe(206);
  expect(reply.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${total}`);
  expect(reply.headers['content-length']).toBe(String(end - start));
  expect(reply.body.equals(audio.subarray(start, end))).toBe(true);
});

test.each(['bytes=0-', `bytes=0-${total - 1}`, `bytes=7-${total - 1}`, `bytes=-${total}`])(
  'wider than a piece (%s): 206 with a shorter part, and asking on brings the rest',
  async (range) => {
    const parts: Buffer[] = [];
    const first = await opened.listen({ range });
    const from = Number(/^bytes (\d+)-/.exec(first.headers['content-range'] ?? '')?.[1]);
    for (let reply = first, at = from; ; reply = await opened.listen({ range: `bytes=${at}-` })) {
      expect(reply.status).toBe(206);
      expect(reply.body.length).toBeLessThanOrEqual(PIECE);
      expect(reply.headers['content-range']).toBe(`bytes ${at}-${at + reply.body.length - 1}/${total}`);
      parts.push(reply.body);
      at += reply.body.length;
      if (at === total) break;
    }
    expect(parts.length).toBeGreaterThan(1);
    expect(Buffer.concat(parts).equals(audio.subarray(from))).toBe(true);
  },
);

test.each([`bytes=${total}-`, `bytes=${total}-${total + 5}`, 'bytes=-0', 'bytes=99999999999999999999-'])(
  'nothing there (%s): 416 with the length',
  async (range) => {
    const reply = await opened.listen({ range });
    const { detail } = expectProblem(reply, 416, 'range_not_satisfiable');
    expect(detail).toContain(String(total));
    expect(reply.headers['content-range']).toBe(`bytes */${total}`);
  },
);

test.each(['bytes=0-1,5-9', 'items=0-5', 'bytes=9-5', 'bytes=a-b', 'bytes', `bytes=0-${'1'.repeat(300)}`])(
  'not one range of bytes (%s): 200 with the whole',
  async (range) => {
    const reply = await opened.listen({ range });
    expect(reply.status).toBe(200);
    expect(reply.body.equals(audio)).toBe(true);
  },
);

test('If-Range: the part while it is the same recording, else the whole', async () => {
  const etag = (await opened.listen({}, 'HEAD')).headers.etag ?? '';
  const same = await opened.listen({ range: 'bytes=10-19', 'if-range': etag });
  expect([same.status, same.body]).toEqual([206, audio.subarray(10, 20)]);
  for (const other of ['"another"', `W/${etag}`, 'Wed, 21 Oct 2026 07:28:00 GMT']) {
    const reply = await opened.listen({ range: 'bytes=10-19', 'if-range': other });
    expect([reply.status, reply.body.length]).toEqual([200, total]);
  }
});

test('HEAD says what GET of the whole would, without a byte, whatever its Range', async () => {
  const get = await opened.listen();
  for (const headers of [
    {},
    { range: 'bytes=100-199' },
    { range: 'bytes=0-' },
    { range: `bytes=${total}-` },
  ]) {
    const head = await opened.listen(headers, 'HEAD');
    expect([head.status, head.body.length]).toEqual([200, 0]);
    for (const name of ['content-length', 'content-range', 'content-type', 'etag', 'accept-ranges'])
      expect([name, head.headers[name]]).toEqual([name, get.headers[name]]);
  }
});

test('If-Match with another tag: 412; If-None-Match with this one: 304, without a byte', async () => {
  const etag = (await opened.listen({}, 'HEAD')).headers.etag ?? '';
  for (const tags of ['"another"', `W/${etag}`, '"a", "b"', ''])
    expectProblem(await opened.listen({ 'if-match': tags }), 412, 'precondition_failed');
  for (const tags of [etag, '*', `"another", ${etag}`]) {
    const { status, body } = await opened.listen({ 'if-match': tags, range: 'bytes=10-19' });
    expect([status, body]).toEqual([206, audio.subarray(10, 20)]);
    for (const method of ['GET', 'HEAD']) {
      const not = await opened.listen({ 'if-none-match': tags, range: 'bytes=10-19' }, method);
      expect([not.status, not.body.length, not.headers.etag]).toEqual([304, 0, etag]);
    }
  }
  expect((await opened.listen({ 'if-none-match': `W/${etag}` })).status).toBe(304);
  expect((await opened.listen({ 'if-none-match': '"another"' })).status).toBe(200);
  const both = { 'if-match': '"another"', 'if-none-match': etag };
  expectProblem(await opened.listen(both), 412, 'precondition_failed');
});

test('a player may use the web session’s cookie; a page, a tab and another site may not', async () => {
  const { token, cookie } = await scene.own.nurse.signIn();
  const reply = await scene.http.post(`/v1/recordings/${recording.id}/playbacks`, {
    token,
    json: { purpose: 'quality', reason: 'monthly review' },
  });
  const { audioUrl } = jsonOf<{ audioUrl: string }>(reply, 201);
  const play = (headers: Record<string, string>) =>
    scene.http.get(audioUrl, { headers: { cookie, range: 'bytes=0-9', ...headers } });
  const player = { 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'audio', 'sec-fetch-mode': 'no-cors' };
  expect((await play(player)).body).toEqual(audio.subarray(0, 10));
  for (const destination of ['document', 'iframe', 'embed', 'object', 'empty', 'video'])
    expectProblem(await play({ ...player, 'sec-fetch-dest': destination }), 403, 'forbidden');
  for (const site of ['cross-site', 'same-site'])
    expectProblem(await play({ ...player, 'sec-fetch-site': site }), 403, 'cross_site');
});

test('H-1 after signing out nothing more is heard, on the next request', async () => {
  const nurse = await scene.stage.user(scene.home.admin, 'nurse', [scene.own.id]);
  const mine = await people.listening(nurse, recording.id);
  expect((await mine.listen({ range: 'bytes=0-9' })).status).toBe(206);
  await scene.http.post('/v1/auth/logout', { token: mine.token });
  expectProblem(await mine.listen({ range: 'bytes=0-9' }), 401, 'unauthenticated');
});

test('ASVS 8.3.2 a care unit taken away, or a person disabled, counts from the next piece', async () => {
  const nurse = await scene.stage.user(scene.home.admin, 'nurse', [scene.own.id]);
  const token = await scene.home.admin.token();
  const mine = await people.listening(nurse, recording.id);
  await scene.http.patch(`/v1/admin/users/${nurse.id}`, { token, json: { units: [] } });
  expectProblem(await mine.listen({ range: 'bytes=0-9' }), 404, 'not_found');
  await scene.http.patch(`/v1/admin/users/${nurse.id}`, { token, json: { units: [scene.own.id] } });
  expect((await mine.listen({ range: 'bytes=0-9' })).status).toBe(206);
  await scene.http.post(`/v1/admin/users/${nurse.id}/disable`, { token });
  expectProblem(await mine.listen({ range: 'bytes=0-9' }), 401, 'unauthenticated');
});

test('the waveform is there for the same nurse: CVPK, one channel, silence to full scale', async () => {
  const reply = await scene.http.get(opened.peaksUrl, { token: opened.token });
  expect(reply.status).toBe(200);
  expect(reply.headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'cache-control': 'private, no-store',
  });
  const { body } = reply;
  const buckets = body.readUInt16BE(6);
  expect(body.subarray(0, 4).toString()).toBe('CVPK');
  expect([body[4], body[5], body.readUInt32BE(12)]).toEqual([1, 1, 8000]);
  expect(body).toHaveLength(16 + buckets);
  expect(buckets * body.readUInt32BE(8)).toBeGreaterThanOrEqual(40 * 8000);
  expect(Math.max(...body.subarray(16))).toBeGreaterThan(200);
});

test('what the player says was heard is kept as its own statement', async () => {
  const heard = (json: object) =>
    scene.http.post(`/v1/playbacks/${opened.playbackId}/heard`, { token: opened.token, json });
  expect((await heard({ spans: [[0, 4000]] })).status).toBe(204);
  expectProblem(await heard({ spans: [[5, 4]] }), 400, 'invalid_request');
  const beyond = expectProblem(
    await heard({
      spans: [
        [0, 4000],
        [0, 41_001],
      ],
    }),
    400,
    'invalid_request',
  );
  expect(beyond.detail).toMatch(/after the recording does, which has 40000 milliseconds/);
  expectProblem(await heard({ spans: [] }), 400, 'invalid_request');
  expectProblem(await heard({ spans: [[-1, 4]] }), 400, 'invalid_request');
  const statements = await people.entries({ recording: recording.id, action: 'playback.heard' });
  expect(statements).toMatchObject([{ detail: { playback: opened.playbackId, spans: [[0, 4000]] } }]);
});

test('HSLF-1, H-2 the log says who did what, when, for which unit and patient, and why', async () => {
  const called = await people.deliver({ callerNumber: '070-174 06 77' });
  await people.search(scene.own.nurse, { callerNumber: '070-174 06 77' });
  const mine = await people.listening(scene.own.nurse, called.id);
  await mine.listen({ range: 'bytes=0-9' });
  await people.open(scene.other.nurse, called.id);
  await people.open(scene.home.admin, called.id);
  const told = await people.entries({ recording: called.id });
  expect(told.map(({ action, outcome, actor }) => [action, outcome, actor.role])).toEqual([
    ['recording.stored', 'success', 'source'],
    ['playback.opened', 'success', 'nurse'],
    ['playback.denied', 'denied', 'nurse'],
    ['access.denied', 'denied', 'admin'],
  ]);
  const [stored, playback] = told;
  expect(playback).toMatchObject({
    actor: { type: 'user', id: scene.own.nurse.id },
    organisation: scene.home.id,
    unit: scene.own.id,
    purpose: 'care',
    subject: stored?.subject,
    session: expect.any(String),
    request: expect.any(String),
    detail: { playback: mine.playbackId },
  });
  expect(playback?.subject).toMatch(/^\d+:[0-9a-f]{32}$/);
  const denied = await people.entries({ action: 'access.denied', actor: scene.home.admin.id });
  expect(denied.at(-1)).toMatchObject({ detail: { reason: 'role' } });
  const bySubject = await people.entries({ subject: stored?.subject });
  expect(bySubject.map(({ action }) => action)).toContain('recordings.searched');
});

test('H-1 reading the log is an entry, and only one’s own organisation’s part is shown', async () => {
  await people.entries({});
  const reads = await people.entries({ action: 'log.read', actor: scene.home.compliance.id });
  expect(reads.length).toBeGreaterThan(0);
  const read = async (who: typeof scene.own.nurse, seq: number) =>
    scene.http.get(`/v1/audit/entries/${seq}`, { token: await who.token() });
  const seq = reads[0]?.seq ?? -1;
  expect((await read(scene.home.compliance, seq)).status).toBe(200);
  expectProblem(await read(scene.foreign.compliance, seq), 404, 'not_found');
  expectProblem(await read(scene.foreign.compliance, 999_999_999), 404, 'not_found');
  expectProblem(await read(scene.own.nurse, seq), 403, 'forbidden');
  expectProblem(await read(scene.home.admin, seq), 403, 'forbidden');
});

test('the log verifies, on the command line, beside the running vault', async () => {
  const { code, stdout } = await scene.folder.cli('verify', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ok: true });
});
