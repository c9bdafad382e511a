import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';

/**
 * The requests of rtpengine's recording daemon, byte by byte as its notify.c and libcurl write them (notify-post,
 * notify-record). Debian's daemon, which notifies nobody, is in rtpengine-daemon.host.test.ts.
 */
let scene: Awaited<ReturnType<typeof startScene>>;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.close());

const NUMBER = '0701740666';
type Notification = {
  readonly callId: string;
  readonly file: string;
  readonly audio: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly part?: string;
};

/** As libcurl's curl_mime_filedata has it. */
const formOf = ({ file, audio, part = 'ngfile' }: Notification) => {
  const boundary = `------------------------${randomBytes(11).toString('hex')}`;
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="${part}"; filename="${file}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: Buffer.concat([Buffer.from(head), audio, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
};

const START = 1_763_629_200.25;
const headersOf = ({ callId, file, headers }: Notification) => ({
  'x-recording-call-id': callId,
  'x-recording-file-name': file,
  'x-recording-full-file-name': `/var/spool/rtpengine/${file}`,
  'x-recording-file-format': 'wav',
  'x-recording-kind': 'mixed',
  'x-recording-call-start-time': '1763629199.000000',
  'x-recording-stream-start-time': START.toFixed(6),
  'x-recording-call-end-time': '1763629202.250000',
  'x-recording-stream-end-time': '1763629202.250000',
  'x-recording-call-metadata': `callerNumber:${NUMBER}|direction:inbound|tenant:x:y|${NUMBER}`,
  ...headers,
});
const basic = (password: string): string =>
  `Basic ${Buffer.from(`rtpengine:${password}`).toString('base64')}`;
const notify = (given: Notification, authorization = basic(scene.home.source.apiKey)): Promise<Reply> =>
  scene.http.post('/v1/ingest/rtpengine', {
    form: formOf(given),
    headers: { ...headersOf(given), authorization },
  });
const notification = (about: Partial<Notification> = {}): Notification => {
  const callId = `${randomUUID()}@10.0.0.1`;
  return { callId, file: `${encodeURIComponent(callId)}-5e1f-mix.wav`, audio: generatedCall(2), ...about };
};
type Stored = { readonly id: string; readonly sha256: string };
const factsOf = async (id: string): Promise<Record<string, unknown>> => {
  const reply = await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() });
  return jsonOf(reply, 200);
};

test('is stored bit for bit, with its call, times and numbers; a retry is the same recording', async () => {
  const one = notification();
  const stored = jsonOf<Stored>(await notify(one), 201);
  expect(stored.sha256).toBe(createHash('sha256').update(one.audio).digest('hex'));
  expect(jsonOf<Stored>(await notify(one), 200).id).toBe(stored.id);
  expect(await factsOf(stored.id)).toMatchObject({
    callId: one.callId,
    callerNumber: NUMBER,
    direction: 'inbound',
    startedAt: '2025-11-20T09:00:00.250Z',
    endedAt: '2025-11-20T09:00:02.250Z',
    originalName: one.file,
    durationMs: 2000,
  });
});

test('each stream of a call is a recording of its own, found by the one call id', async () => {
  const mixed = notification();
  const file = mixed.file.replace('mix', '0badcafe');
  const kind = {
    'x-recording-kind': 'single',
    'x-recording-tag': 'as7f',
    'x-recording-tag-metadata': 'agentId:a-7',
  };
  const single = { ...mixed, file, audio: generatedCall(2, 9), headers: kind };
  const ids = [await notify(mixed), await notify(single)].map((reply) => jsonOf<Stored>(reply, 201).id);
  const asked = { token: await scene.own.nurse.token(), json: { callId: mixed.callId } };
  const { recordings } = jsonOf<{ recordings: { id: string; agentId: string | null }[] }>(
    await scene.http.post('/v1/recordings/search', asked),
    200,
  );
  expect(recordings.map(({ id }) => id).sort()).toEqual(ids.toSorted());
  expect(await factsOf(ids[1] ?? '')).toMatchObject({ agentId: 'a-7', callerNumber: NUMBER });
});

test('other sound under the same name is a conflict, and an API key as bearer token is as good', async () => {
  const one = notification();
  expect((await notify(one, `Bearer ${scene.home.source.apiKey}`)).status).toBe(201);
  expectProblem(await notify({ ...one, audio: generatedCall(2, 77) }), 409, 'conflict');
});

test.each<[string, Partial<Notification>, number, string]>([
  ['no call id', { headers: { 'x-recording-call-id': '' } }, 400, 'not_acceptable_metadata'],
  ['no file name', { headers: { 'x-recording-file-name': '' } }, 400, 'not_acceptable_metadata'],
  ['a call id that is too long', { callId: '7'.repeat(257) }, 400, 'not_acceptable_metadata'],
  [
    'a time that is none',
    { headers: { 'x-recording-stream-start-time': NUMBER + NUMBER } },
    400,
    'not_acceptable_metadata',
  ],
  [
    'a start in a hundred years',
    { headers: { 'x-recording-stream-start-time': '4900000000.0' } },
    400,
    'not_acceptable_metadata',
  ],
  ['another part', { part: NUMBER }, 400, 'invalid_request'],
  ['a program', { audio: Buffer.from('\u007fELF and what follows') }, 422, 'refused_content'],
])('%s is refused, and nothing of it repeated', async (_what, about, status, code) => {
  const reply = await notify(notification(about));
  expectProblem(reply, status, code);
  expect(reply.text).not.toMatch(/07017|7777/);
});

const said = (words: string) => ({ headers: { 'x-recording-call-metadata': words } });

test.each<[string, Partial<Notification>]>([
  ['a direction that is none', said(`agentId:a-7|direction:sideways`)],
  ['a care unit that there is not', said(`agentId:a-7|careUnit:${NUMBER}`)],
  ['a care unit of another organisation', said('agentId:a-7|careUnit:ABROAD')],
  ['an odd identity number', said('agentId:a-7|personalNumber:19121212-1213')],
  ['one latin-1 byte', said('agentId:a-7|queue:R\u00e5dgivning')],
])('%s costs no recording: stored where those of its source go, and flagged', async (_what, about) => {
  const words = about.headers?.['x-recording-call-metadata']?.replace('ABROAD', scene.abroad.id);
  const one = notification(said(words ?? ''));
  const stored = jsonOf<Stored & { flags: string[] }>(await notify(one), 201);
  expect(stored.flags).toEqual(['metadata_faulty']);
  const facts = await factsOf(stored.id);
  expect(facts).toMatchObject({ careUnit: scene.own.id, agentId: 'a-7', flags: ['metadata_faulty'] });
  expect(facts).toMatchObject({ direction: null, queue: null, personalNumber: null });
  expect(jsonOf(await notify(one), 200)).toEqual(stored);
});

test('a care unit that is disabled is whose it is: flagged, and heard by nobody until it is enabled', async () => {
  const { admin } = scene.home;
  const unit = await scene.stage.unit(admin);
  const nurse = await scene.stage.user(admin, 'nurse', [unit.id]);
  const turn = async (how: string): Promise<void> => {
    const reply = await scene.http.post(`/v1/admin/units/${unit.id}/${how}`, { token: await admin.token() });
    expect(reply.status).toBe(200);
  };
  const open = async (who: typeof nurse, id: string): Promise<number> => {
    const asked = { token: await who.token(), json: { purpose: 'care' } };
    return (await scene.http.post(`/v1/recordings/${id}/playbacks`, asked)).status;
  };
  await turn('disable');
  const one = notification(said(`careUnit:${unit.name}`));
  const { id, flags } = jsonOf<Stored & { flags: string[] }>(await notify(one), 201);
  expect(flags).toEqual(['no_care_unit']);
  expect([await open(scene.own.nurse, id), await open(nurse, id)]).toEqual([404, 404]);
  await turn('enable');
  expect([await open(scene.own.nurse, id), await open(nurse, id)]).toEqual([404, 201]);
});

test('explicit metadata of a source that can put it right is refused as before', async () => {
  const metadata = { callId: randomUUID(), careUnit: 'Nope' };
  const asked = { token: scene.home.source.apiKey, form: uploadForm(metadata, generatedCall(1)) };
  expectProblem(await scene.http.post('/v1/recordings', asked), 400, 'not_acceptable_metadata');
});

test('a form that is cut, or none at all, is not stored', async () => {
  const one = notification();
  const { contentType, body } = formOf(one);
  const headers = { ...headersOf(one), authorization: basic(scene.home.source.apiKey) };
  const cut = await scene.http.post('/v1/ingest/rtpengine', {
    form: { contentType, body: body.subarray(0, body.length - 20) },
    headers,
  });
  expect(cut.status).toBe(400);
  expectProblem(await scene.http.post('/v1/ingest/rtpengine', { headers }), 415, 'unsupported_media_type');
  expect((await notify(one)).status).toBe(201);
});

test.each([
  ['a wrong key', 'cv_key_wrong'],
  ['a password that is no key', 'secret'],
  ['nothing', ''],
])('Basic with %s is refused, here and with the right key elsewhere', async (_what, password) => {
  expectProblem(await notify(notification(), basic(password)), 401, 'unauthenticated');
  const elsewhere = await scene.http.post('/v1/recordings', {
    form: formOf(notification()),
    headers: { authorization: basic(scene.home.source.apiKey) },
  });
  expectProblem(elsewhere, 401, 'unauthenticated');
});
