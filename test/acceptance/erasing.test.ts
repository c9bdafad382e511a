import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { type Ask, jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { openRaw, replyOf } from '../support/raw-http.ts';
import { type Person, startScene } from '../support/scene.ts';

/** Erased is erased, and nothing that must stay can be. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene.close());

const erase = async (id: string, json: object = {}, who: Person = scene.home.admin): Promise<Reply> =>
  scene.http.delete(`/v1/recordings/${id}`, {
    token: await who.token(),
    json: { reason: 'retention', ...json },
  });

const hold = async (id: string, reason = 'complaint', who: Person = scene.home.compliance): Promise<Reply> =>
  scene.http.post(`/v1/recordings/${id}/holds`, { token: await who.token(), json: { reason } });

const view = async (id: string, who: Person = scene.own.nurse): Promise<Reply> =>
  scene.http.get(`/v1/recordings/${id}`, { token: await who.token() });

const objects = async (): Promise<string[]> => {
  const found = await readdir(join(scene.folder.dataDir, 'objects'), {
    recursive: true,
    withFileTypes: true,
  });
  return found.filter((entry) => entry.isFile()).map(({ name }) => name);
};

test('G-2 erased: no sound, no facts, no object; a tombstone still says that there was a call', async () => {
  const before = await objects();
  const { id, metadata } = await people.deliver({
    callerNumber: '070-174 06 88',
    startedAt: '2026-05-01T09:00:00Z',
  });
  const playing = await people.listening(scene.own.nurse, id);
  expect((await objects()).length).toBeGreaterThan(before.length);
  expect((await erase(id, { reason: 'patient_request' })).status).toBe(204);

  expectProblem(await playing.listen({ range: 'bytes=0-9' }), 404, 'not_found');
  expectProblem(await scene.http.get(playing.peaksUrl, { token: playing.token }), 404, 'not_found');
  expectProblem(await people.open(scene.own.nurse, id), 410, 'erased');
  expect((await objects()).sort()).toEqual(before.sort());

  expect(jsonOf(await view(id), 200)).toMatchObject({
    id,
    status: 'erased',
    startedAt: '2026-05-01T09:00:00.000Z',
    erasedAt: expect.any(String),
    callId: null,
    callerNumber: null,
    originalName: null,
  });
  for (const sought of [{ callerNumber: '070-174 06 88' }, { callId: metadata.callId }])
    expect(await people.search(scene.own.nurse, sought)).toEqual([]);
  const status = await scene.http.get(`/v1/recordings/${id}/status`, { token: scene.home.source.apiKey });
  expect(jsonOf(status, 200)).toEqual({ id, status: 'erased' });
  expectProblem(await erase(id), 410, 'erased');
  const told = await people.entries({ recording: id });
  expect(told.map(({ action }) => action)).toEqual([
    'recording.stored',
    'playback.opened',
    'recording.erased',
    'playback.denied',
    'recording.viewed',
    'recording.erase_denied',
  ]);
  expect(told[2]).toMatchObject({ actor: { role: 'admin' }, detail: { reason: 'patient_request' } });
});

test('a hold wins over erasure until it is released', async () => {
  const { id } = await people.deliver();
  const { id: first } = jsonOf<{ id: string }>(await hold(id), 201);
  const { id: second } = jsonOf<{ id: string }>(await hold(id, 'legal_claim'), 201);
  const release = async (holdId: string): Promise<number> => {
    const token = await scene.home.compliance.token();
    return (await scene.http.delete(`/v1/recordings/${id}/holds/${holdId}`, { token })).status;
  };
  expect(jsonOf(await view(id), 200)).toMatchObject({ held: true });
  expectProblem(await erase(id), 409, 'held');
  expectProblem(await erase(id, { decisionReference: 'IVO 2026-1' }), 409, 'held');
  expect(await release(first)).toBe(204);
  expect(await release(first)).toBe(404);
  expectProblem(await erase(id), 409, 'held');
  expect(await release(second)).toBe(204);
  expect((await erase(id)).status).toBe(204);
});

test.each(['journal', 'complaint'])(
  'PDL-8 class %s is erased only with a decision',
  async (retentionClass) => {
    const { id } = await people.deliver({ retentionClass });
    const { detail } = expectProblem(await erase(id), 409, 'retention_floor');
    expect(detail).toContain('decision');
    expectProblem(await erase(id, { decisionReference: '   ' }), 409, 'retention_floor');
    expectProblem(await erase(id, { decisionReference: 'x' }), 400, 'invalid_request');
    expect((await erase(id, { decisionReference: 'IVO 8.4-1' })).status).toBe(204);
  },
);

test('only the administrator erases, and only in the own organisation; only compliance holds', async () => {
  const { id } = await people.deliver();
  for (const who of [scene.own.nurse, scene.home.compliance, scene.installationAdmin])
    expectProblem(await erase(id, undefined, who), 403, 'forbidden');
  for (const who of [scene.own.nurse, scene.home.admin])
    expectProblem(await hold(id, 'complaint', who), 403, 'forbidden');
  expectProblem(await erase(id, undefined, scene.foreign.admin), 404, 'not_found');
  expectProblem(await hold(id, 'complaint', scene.foreign.compliance), 404, 'not_found');
  expectProblem(await erase(randomUUID()), 404, 'not_found');
  expect((await people.listening(scene.own.nurse, id)).mediaType).toBe('audio/wav');
});

const nothing = { 'content-type': 'application/json' };
test.each<[string, Ask]>([
  ['no body', {}],
  ['a body of length 0', { headers: { 'content-length': '0' } }],
  ['a body of JSON that is empty', { body: '', headers: nothing }],
  ['a body of JSON in no chunks', { headers: { ...nothing, 'transfer-encoding': 'chunked' } }],
  ['an object that says nothing', { json: {} }],
  ['a decision alone', { json: { decisionReference: 'IVO 2026-1' } }],
  ['a reason that is none', { json: { reason: 'unspecified' } }],
])('nothing is erased without a reason: %s', async (_what, ask) => {
  const { id } = await people.deliver();
  const token = await scene.home.admin.token();
  const reply = await scene.http.delete(`/v1/recordings/${id}`, { token, ...ask });
  const { faults } = expectProblem(reply, 400, 'invalid_request');
  expect(JSON.stringify(faults)).toContain('reason');
  expect(jsonOf(await view(id), 200)).toMatchObject({ status: 'stored' });
});

test('a reason is one of the known words: the log takes no free text', async () => {
  const { id } = await people.deliver();
  expectProblem(await erase(id, { reason: 'the patient said so' }), 400, 'invalid_request');
  expectProblem(await hold(id, 'because'), 400, 'invalid_request');
  expect(jsonOf(await view(id), 200)).toMatchObject({ status: 'stored', held: false });
});

const deliver = (metadata: object, audio: Buffer, who = scene.home.source): Promise<Reply> =>
  scene.http.post('/v1/recordings', { token: who.apiKey, form: uploadForm(metadata, audio) });

test('G-2 an erased call does not come back: delivered again it is answered 410, with an entry, whatever it holds', async () => {
  const { id, metadata, audio } = await people.deliver();
  expect((await erase(id)).status).toBe(204);
  const kept = await objects();
  for (const content of [audio, generatedCall(2, 9)])
    expectProblem(await deliver(metadata, content), 410, 'erased');
  expect((await objects()).sort()).toEqual(kept.sort());
  const told = await people.entries({ recording: id, action: 'recording.refused' });
  expect(told).toHaveLength(2);
  for (const entry of told)
    expect(entry).toMatchObject({
      outcome: 'denied',
      actor: { type: 'source' },
      detail: { reason: 'erased' },
    });
  expect(await people.search(scene.own.nurse, { callId: metadata.callId })).toEqual([]);
  // Its other segments and other sources' calls of that name are other calls.
  expect((await deliver({ ...metadata, segment: 1 }, audio)).status).toBe(201);
  const other = await scene.stage.source(scene.home.admin, scene.own.id);
  expect((await deliver(metadata, audio, other)).status).toBe(201);
});

test('G-2 erased while the same call is being delivered again: refused all the same', async () => {
  const { id, metadata, audio } = await people.deliver();
  const form = uploadForm(metadata, audio);
  const { write, socket, closed } = await openRaw(scene.http.url);
  write(
    [
      'POST /v1/recordings HTTP/1.1',
      'Host: x',
      `Authorization: Bearer ${scene.home.source.apiKey}`,
      `Content-Type: ${form.contentType}`,
      `Content-Length: ${form.body.length}`,
      'Connection: close',
      '',
      '',
    ].join('\r\n'),
  );
  socket.write(form.body.subarray(0, -100));
  await sleep(300);
  expect((await erase(id)).status).toBe(204);
  socket.write(form.body.subarray(-100));
  expectProblem(replyOf(await closed), 410, 'erased');
  expect(jsonOf(await view(id), 200)).toMatchObject({ status: 'erased' });
  expectProblem(await deliver(metadata, audio), 410, 'erased');
});
