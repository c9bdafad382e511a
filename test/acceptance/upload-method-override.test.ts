import { randomUUID } from 'node:crypto';
import * as tusClient from 'tus-js-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { replyOf, sendRaw } from '../support/raw-http.ts';
import { startScene } from '../support/scene.ts';
import { createTus, locationOf, recordingOf, type Tus } from '../support/tus.ts';

/** Uploads through networks that let nothing through but GET and POST (X-HTTP-Method-Override): hostile first. */
let scene: Awaited<ReturnType<typeof startScene>>;
let tus: Tus;
beforeAll(async () => {
  scene = await startScene({ LOG_LEVEL: 'debug' });
  tus = createTus(scene.http, scene.home.source.apiKey);
});
afterAll(() => scene?.close());

const OVERRIDE = 'x-http-method-override';
const audio = generatedCall(20, 11);

const begun = async (): Promise<string> => locationOf(await tus.begin(audio.length));
const patching = (offset: number, method = 'PATCH') => ({
  'upload-offset': String(offset),
  'content-type': 'application/offset+octet-stream',
  [OVERRIDE]: method,
});
const post = (path: string, method: string, headers: Readonly<Record<string, string>> = {}, body?: Buffer) =>
  tus.ask('POST', path, { [OVERRIDE]: method, ...headers }, body === undefined ? {} : { body });
const offsetOf = async (path: string): Promise<unknown> => (await tus.head(path)).headers['upload-offset'];
const expectNamed = (reply: Reply): void => {
  const { detail } = expectProblem(reply, 400, 'invalid_request');
  expect(detail).toContain('X-HTTP-Method-Override');
};
/** As it is: a client of HTTP would make another address of some. */
const bare = (path: string, token: string, ...methods: readonly string[]): string =>
  [
    `POST ${path} HTTP/1.1`,
    `Host: ${new URL(scene.http.url).host}`,
    `Authorization: Bearer ${token}`,
    'Tus-Resumable: 1.0.0',
    ...methods.map((method) => `X-HTTP-Method-Override: ${method}`),
    'Content-Length: 0',
    'Connection: close',
    '\r\n',
  ].join('\r\n');

describe('what no method is', () => {
  test.each([
    'patch',
    'Delete',
    'PATCH, DELETE',
    'PATCH,PATCH',
    'PATCH;x',
    'GET',
    'POST',
    'PUT',
    'OPTIONS',
    'CONNECT',
    '',
    `PATCH${' '.repeat(200)}DELETE`,
    'constructor',
  ])('%j is refused by name, and nothing is done', async (method) => {
    const path = await begun();
    expectNamed(await tus.ask('POST', path, patching(0, method), { body: audio }));
    expectNamed(await tus.begin(10, undefined, { [OVERRIDE]: method }));
    expect(await offsetOf(path)).toBe('0');
    await tus.end(path);
  });

  test('twice, the same or another: refused by name', async () => {
    const path = await begun();
    for (const second of ['PATCH', 'DELETE'])
      expectNamed(
        replyOf(await sendRaw(scene.http.url, bare(path, scene.home.source.apiKey, 'PATCH', second))),
      );
    expect(await offsetOf(path)).toBe('0');
    await tus.end(path);
  });
});

describe('where it does not count', () => {
  test('with any other method than POST an upload refuses it, or does not know the method', async () => {
    const path = await begun();
    expectProblem(await tus.ask('GET', path, { [OVERRIDE]: 'DELETE' }), 405, 'method_not_allowed');
    expectProblem(await tus.ask('PUT', path, { [OVERRIDE]: 'DELETE' }), 405, 'method_not_allowed');
    expectNamed(await tus.patch(path, 0, audio, { [OVERRIDE]: 'DELETE' }));
    expectNamed(await tus.end(path, { [OVERRIDE]: 'HEAD' }));
    expect((await tus.head(path, { [OVERRIDE]: 'DELETE' })).status).toBe(400);
    expect(await offsetOf(path)).toBe('0');
    // Both say the same.
    expect((await tus.patch(path, 0, audio.subarray(0, 100), { [OVERRIDE]: 'PATCH' })).status).toBe(204);
    await tus.end(path, { [OVERRIDE]: 'DELETE' });
  });

  test('an address that only looks like one of an upload: nothing is done there, whatever is asked', async () => {
    const path = await begun();
    const id = path.split('/').at(-1) ?? '';
    const recording = scene.own.recording.id;
    for (const other of [
      `/v1/%75ploads/${id}`,
      `/v1/uploads%2F${id}`,
      `/v1/uploads/%2e/${id}`,
      `/v1/uploads//${id}`,
      `/v1/uploads/./${id}`,
      `/v1/x/../uploads/${id}`,
      `/V1/uploads/${id}`,
      `/v1/uploads/${id}/`,
      `/v1/uploads/${id};x`,
      `/v1/uploads/${encodeURIComponent(`../recordings/${recording}`)}`,
      `/v1/uploads/../recordings/${recording}`,
      `/v1/uploads/..%2frecordings%2f${recording}`,
      `/v1/uploads-of-others/${id}`,
      `/v1/uploadsX`,
    ])
      for (const token of [scene.home.source.apiKey, await scene.home.admin.token()]) {
        const { status } = replyOf(await sendRaw(scene.http.url, bare(other, token, 'DELETE')));
        expect([other, [400, 403, 404, 405].includes(status)]).toEqual([other, true]);
      }
    expect(await offsetOf(path)).toBe('0');
    await tus.end(path);
    const heard = await createIntegrator(scene).listening(scene.own.nurse, recording);
    expect((await heard.listen()).status).toBe(200);
  });

  test('everywhere else it is passed over', async () => {
    const { own, home, http } = scene;
    const headers = { [OVERRIDE]: 'DELETE' };
    const token = await own.nurse.token();
    const found = await http.post('/v1/recordings/search', { token, headers, json: { callId: 'none' } });
    expect(found.status).toBe(200);
    const admin = await home.admin.token();
    const reply = await http.post(`/v1/recordings/${own.recording.id}`, { token: admin, headers, json: {} });
    expectProblem(reply, 405, 'method_not_allowed');
    expect((await http.get(`/v1/recordings/${own.recording.id}`, { token, headers })).status).toBe(200);
  });

  test('an address of uploads without the method: 405 for the method that was meant', async () => {
    const reply = await post('/v1/uploads', 'PATCH');
    expectProblem(reply, 405, 'method_not_allowed');
    expect(reply.headers.allow).toBe('OPTIONS, POST');
  });
});

test('access, version, type and ownership are those of the method', async () => {
  const path = await begun();
  const stranger = createTus(scene.http, scene.foreign.source.apiKey);
  const body = audio.subarray(0, 1_000);
  const nobody = { headers: { 'tus-resumable': '1.0.0', ...patching(0) }, body };
  expectProblem(await scene.http.post(path, nobody), 401, 'unauthenticated');
  const nurse = { ...nobody, token: await scene.own.nurse.token() };
  expectProblem(await scene.http.post(path, nurse), 403, 'forbidden');
  expectProblem(await stranger.ask('POST', path, patching(0), { body }), 404, 'not_found');
  expectProblem(await stranger.ask('POST', path, { [OVERRIDE]: 'DELETE' }), 404, 'not_found');
  const old = { ...patching(0), 'tus-resumable': '0.2.2' };
  expectProblem(await tus.ask('POST', path, old, { body }), 412, 'unsupported_version');
  const typed = { ...patching(0), 'content-type': 'audio/wav' };
  expectProblem(await tus.ask('POST', path, typed, { body }), 415, 'unsupported_media_type');
  expect(await offsetOf(path)).toBe('0');
  await tus.end(path);
});

test('HEAD, PATCH of more than a JSON body may have, and DELETE; and the log of the process says so', async () => {
  const path = await begun();
  const half = Math.floor(audio.length / 2);
  expect(half).toBeGreaterThan(100_000);
  const first = await post(path, 'PATCH', patching(0), audio.subarray(0, half));
  expect(first).toMatchObject({ status: 204 });
  const told = await post(path, 'HEAD');
  expect([told.status, told.text]).toEqual([200, '']);
  expect(told.headers).toMatchObject({ 'upload-offset': String(half), 'upload-length': `${audio.length}` });
  // The connection can be used again, with and without a body that nobody wanted.
  expect((await post(path, 'HEAD', {}, Buffer.from('body'))).status).toBe(200);
  expect((await post(`${path}`, 'HEAD')).headers['upload-offset']).toBe(String(half));
  const gone = await post(`/v1/uploads/${randomUUID()}`, 'HEAD');
  expect([gone.status, gone.text]).toEqual([404, '']);
  const last = await post(path, 'PATCH', patching(half), audio.subarray(half));
  const opened = await createIntegrator(scene).listening(scene.own.nurse, recordingOf(last) ?? '');
  expect((await opened.listen()).body.equals(audio)).toBe(true);
  const other = await begun();
  expect(await post(other, 'DELETE')).toMatchObject({ status: 204, text: '' });
  expect((await tus.head(other)).status).toBe(404);
  const answered = (method: string): readonly string[] =>
    scene.vault
      .output()
      .split('\n')
      .filter((line) => line.includes('/v1/uploads/:id') && line.includes(`"method":"${method}"`));
  for (const method of ['PATCH', 'HEAD', 'DELETE']) await until(() => answered(method).length > 0);
  expect(answered('POST')).toEqual([]);
});

test('the client that everybody uses, told to send no PATCH', async () => {
  const callId = randomUUID();
  const sent: string[] = [];
  let recording: string | undefined;
  await new Promise<void>((resolve, reject) => {
    const upload = new tusClient.Upload(audio, {
      endpoint: `${scene.http.url}/v1/uploads`,
      overridePatchMethod: true,
      chunkSize: 100_000,
      retryDelays: null,
      headers: { authorization: `Bearer ${scene.home.source.apiKey}` },
      metadata: { callId, filetype: 'audio/wav' },
      onBeforeRequest: (request) => void sent.push(request.getMethod()),
      onAfterResponse: (_request, response) => {
        recording = response.getHeader('callvault-recording') ?? recording;
      },
      onError: reject,
      onSuccess: () => resolve(),
    });
    upload.start();
  });
  expect(new Set(sent)).toEqual(new Set(['POST']));
  expect(sent.length).toBeGreaterThan(3);
  const status = await scene.http.get(`/v1/recordings/${recording}/status`, {
    token: scene.home.source.apiKey,
  });
  expect(jsonOf<{ status: string }>(status, 200).status).toBe('stored');
  const opened = await createIntegrator(scene).listening(scene.own.nurse, recording ?? '');
  expect((await opened.listen()).body.equals(audio)).toBe(true);
});
