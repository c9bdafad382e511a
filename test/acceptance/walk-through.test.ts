import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256 } from '../support/care-line.ts';
import { generatedCall } from '../support/generated-call.ts';
import { type Ask, formOf, jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';

/** What an integrator does with a vault, over HTTP, in the order of the README. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene.close());

const put = (name: string, audio: Buffer, headers: Record<string, string>): Promise<Reply> =>
  scene.http.put(`/v1/ingest/${name}`, {
    token: scene.home.source.apiKey,
    body: audio,
    headers: { 'content-type': 'audio/wav', 'x-call-care-unit': scene.own.id, ...headers },
  });

test('a form: 201 says what arrived, so that the sender may delete its copy', async () => {
  const audio = generatedCall(3, 11);
  const form = uploadForm({ callId: randomUUID(), careUnit: scene.own.name }, audio);
  const reply = await scene.http.post('/v1/recordings', { token: scene.home.source.apiKey, form });
  const stored = jsonOf<Record<string, unknown>>(reply, 201);
  expect(stored).toEqual({
    id: expect.any(String),
    status: 'stored',
    sha256: sha256(audio),
    bytes: audio.length,
    durationMs: 3000,
    mediaType: 'audio/wav',
    flags: [],
  });
  expect(reply.headers.location).toBe(`/v1/recordings/${stored.id}/status`);
  expect(reply.headers['cache-control']).toBe('private, no-store');
});

test('a form whose metadata has no content type, or a file name, is the same form', async () => {
  const audio = generatedCall(1, 12);
  for (const about of [{}, { filename: 'metadata.json' }, { type: 'text/plain; charset=utf-8' }]) {
    const form = formOf([
      { name: 'metadata', content: JSON.stringify({ callId: randomUUID() }), ...about },
      { name: 'sha256', content: sha256(audio) },
      { name: 'audio', content: audio, type: 'audio/wav' },
    ]);
    const reply = await scene.http.post('/v1/recordings', { token: scene.home.source.apiKey, form });
    expect(jsonOf(reply, 201)).toMatchObject({ bytes: audio.length });
  }
});

test('a digest that is right, as a part or among the headers of the audio', async () => {
  const audio = generatedCall(1, 15);
  const digest = `sha-256=:${createHash('sha256').update(audio).digest('base64')}:`;
  const sum = { name: 'sha256', content: sha256(audio) };
  const sound = { name: 'audio', content: audio, filename: 'a.wav', type: 'audio/wav' };
  for (const parts of [[{ ...sound, digest }], [sum, sound], [sum, { ...sound, digest }]]) {
    const metadata = { name: 'metadata', content: JSON.stringify({ callId: randomUUID() }) };
    const form = formOf([metadata, ...parts]);
    const reply = await scene.http.post('/v1/recordings', { token: scene.home.source.apiKey, form });
    expect(jsonOf(reply, 201)).toMatchObject({ bytes: audio.length, sha256: sha256(audio) });
  }
});

test('a raw PUT with X-Call-* headers, name as opaque as a UUID', async () => {
  const audio = generatedCall(1, 13);
  const reply = await put(`${randomUUID()}.wav`, audio, {
    'x-call-id': 'pbx-1',
    'x-call-caller-number': '070-174 06 21',
    'x-call-direction': 'inbound',
    'x-call-agent-id': Buffer.from('Åsa').toString('latin1'),
    'content-digest': `sha-256=:${createHash('sha256').update(audio).digest('base64')}:`,
  });
  const { id } = jsonOf<{ id: string }>(reply, 201);
  expect(await people.search(scene.own.nurse, { callId: 'pbx-1' })).toEqual([id]);
  expect(await people.search(scene.own.nurse, { agentId: 'Åsa' })).toEqual([id]);
});

test('the same call with the same content again: 200 and the same id; with other content: 409', async () => {
  const callId = randomUUID();
  const { id } = await people.deliver({ callId }, generatedCall(1, 14));
  const again = (audio: Buffer) =>
    scene.http.post('/v1/recordings', {
      token: scene.home.source.apiKey,
      form: uploadForm({ callId, careUnit: scene.own.id }, audio),
    });
  const second = await again(generatedCall(1, 14));
  expect(jsonOf(second, 200)).toMatchObject({ id, status: 'stored' });
  expectProblem(await again(generatedCall(1, 15)), 409, 'conflict');
  expect(await people.search(scene.own.nurse, { callId })).toEqual([id]);
  const refused = (await people.entries({ recording: id })).filter(
    ({ action }) => action === 'recording.refused',
  );
  expect(refused).toMatchObject([{ outcome: 'denied', detail: { reason: 'conflict' } }]);
});

test('another segment of the call is another recording', async () => {
  const callId = randomUUID();
  const first = await people.deliver({ callId, segment: 0 });
  const second = await people.deliver({ callId, segment: 1 });
  expect((await people.search(scene.own.nurse, { callId })).sort()).toEqual([first.id, second.id].sort());
});

test('the source sees what became of its upload, and nothing else', async () => {
  const { id } = await people.deliver({});
  const status = (token: string) => scene.http.get(`/v1/recordings/${id}/status`, { token });
  expect(jsonOf(await status(scene.home.source.apiKey), 200)).toEqual({ id, status: 'stored' });
  expectProblem(await status(scene.foreign.source.apiKey), 404, 'not_found');
  expectProblem(await status(await scene.own.nurse.token()), 403, 'forbidden');
  const facts = await scene.http.get(`/v1/recordings/${id}`, { token: scene.home.source.apiKey });
  expectProblem(facts, 403, 'forbidden');
});

test('a source may come with a token of its client credentials', async () => {
  const { clientId, clientSecret } = scene.home.source;
  const form = new URLSearchParams({ grant_type: 'client_credentials' }).toString();
  const reply = await scene.http.post('/v1/auth/token', {
    body: form,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
    },
  });
  const { access_token: token } = jsonOf<{ access_token: string }>(reply, 200);
  const upload = uploadForm({ callId: randomUUID() }, generatedCall(1, 16));
  expect((await scene.http.post('/v1/recordings', { token, form: upload })).status).toBe(201);
});

test('G-3 the announcement, the class and the date of erasure are on every recording', async () => {
  const { id } = await people.deliver({ announcement: 'sv-2026.2', startedAt: '2026-03-01T08:00:00+01:00' });
  const token = await scene.own.nurse.token();
  const facts = jsonOf(await scene.http.get(`/v1/recordings/${id}`, { token }), 200);
  expect(facts).toMatchObject({
    announcement: 'sv-2026.2',
    retentionClass: 'quality',
    legalBasis: 'public_task',
    startedAt: '2026-03-01T07:00:00.000Z',
    eraseAfter: '2026-05-30T07:00:00.000Z',
    held: false,
  });
});

test.each(['070-174 06 33', '0701740633', '+46701740633', '+46 (0)70-174 06 33', '0046 70 1740633'])(
  'a number is found however it is written: %s',
  async (callerNumber) => {
    const all = await people.search(scene.own.nurse, { callerNumber });
    const id = all[0] ?? (await people.deliver({ callerNumber: '+46701740633' })).id;
    expect(await people.search(scene.own.nurse, { callerNumber })).toEqual([id]);
  },
);

test('by every other sealed fact', async () => {
  const facts = {
    callId: randomUUID(),
    calledNumber: '08-465 004 17',
    agentId: 'agent-seventeen',
    queue: 'Barn och unga',
    originalName: 'In 2026 från växeln.wav',
    personalNumber: '20170101-2393',
  };
  const { id } = await people.deliver(facts);
  for (const [field, value] of Object.entries(facts))
    expect([field, await people.search(scene.own.nurse, { [field]: value })]).toEqual([field, [id]]);
  expect(await people.search(scene.own.nurse, { ...facts, queue: 'barn och unga' })).toEqual([]);
});

test('PDL-2 only in one’s own care unit; PDL-11 only in one’s own organisation', async () => {
  const callerNumber = '070-174 06 44';
  const { id } = await people.deliver({ callerNumber });
  expect(await people.search(scene.own.nurse, { callerNumber })).toEqual([id]);
  expect(await people.search(scene.other.nurse, { callerNumber })).toEqual([]);
  expect(await people.search(scene.abroad.nurse, { callerNumber })).toEqual([]);
  expect(await people.search(scene.own.nurse, { callerNumber, careUnit: scene.other.id })).toEqual([]);
});

test('page by page, newest first, each recording once', async () => {
  const queue = randomUUID();
  for (const hour of [8, 9, 10])
    await people.deliver({ queue, startedAt: `2026-04-01T0${hour % 10}:00:00Z` });
  const token = await scene.own.nurse.token();
  const seen: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const json = { queue, limit: 2, ...(cursor === undefined ? {} : { cursor }) };
    const reply = await scene.http.post('/v1/recordings/search', { token, json });
    const page = jsonOf<{ recordings: { startedAt: string }[]; next: string | null }>(reply, 200);
    seen.push(...page.recordings.map(({ startedAt }) => startedAt));
    cursor = page.next;
  }
  expect(seen).toHaveLength(3);
  expect(seen).toEqual([...new Set(seen)].sort().reverse());
});

test('PDL-9 what is not on the list of searchable fields is refused by name', async () => {
  const token = await scene.own.nurse.token();
  for (const field of ['religion', 'ethnicity', 'transcript', 'q']) {
    const reply = await scene.http.post('/v1/recordings/search', { token, json: { [field]: 'x' } });
    const { faults } = expectProblem(reply, 400, 'invalid_request');
    expect(faults).toEqual([{ where: 'body', fault: `is unknown: ${field}` }]);
  }
});

test('the facts of one recording, to its nurse', async () => {
  const { id, audio } = await people.deliver({ callerNumber: '070-174 06 55', direction: 'outbound' });
  const ask: Ask = { token: await scene.own.nurse.token() };
  const reply = await scene.http.get(`/v1/recordings/${id}`, ask);
  expect(jsonOf(reply, 200)).toMatchObject({
    id,
    status: 'stored',
    callerNumber: '070-174 06 55',
    direction: 'outbound',
    careUnit: scene.own.id,
    bytes: audio.length,
    durationMs: 1000,
    codec: 'pcm_s16',
    sampleRate: 8000,
    channels: 1,
  });
  expect(reply.headers['cache-control']).toBe('private, no-store');
});

test.each([
  ['the nurse of another care unit', () => scene.other.nurse, 404, 'not_found'],
  ['the nurse of another organisation', () => scene.abroad.nurse, 404, 'not_found'],
  ['compliance', () => scene.home.compliance, 403, 'forbidden'],
  ['the administrator', () => scene.home.admin, 403, 'forbidden'],
  ['the installation’s administrator', () => scene.installationAdmin, 403, 'forbidden'],
  ['the installation’s auditor', () => scene.installationAuditor, 403, 'forbidden'],
] as const)('PDL-1 nothing is heard by %s', async (_who, person, status, code) => {
  expectProblem(await people.open(person(), scene.own.recording.id), status, code);
});

test('PDL-11 another organisation’s recording answers like one that does not exist', async () => {
  const [there, nowhere] = [
    await people.open(scene.own.nurse, scene.abroad.recording.id),
    await people.open(scene.own.nurse, randomUUID()),
  ];
  const sayings = [there, nowhere].map((reply) => ({
    ...expectProblem(reply, 404, 'not_found'),
    requestId: '',
  }));
  expect(sayings[0]).toEqual(sayings[1]);
});

test('PDL-1 nothing without a purpose, and the attempt is in the log', async () => {
  const { id } = await people.deliver({});
  const { detail } = expectProblem(await people.open(scene.own.nurse, id, {}), 403, 'forbidden');
  expect(detail).toContain('purpose');
  expectProblem(await people.open(scene.own.nurse, id, { purpose: 'curiosity' }), 400, 'invalid_request');
  expect((await people.entries({ recording: id })).at(-1)).toMatchObject({
    action: 'playback.denied',
    outcome: 'denied',
    actor: { id: scene.own.nurse.id, role: 'nurse' },
    detail: { reason: 'no_purpose' },
  });
});

test('a colleague with the playback’s address hears nothing', async () => {
  const { audioUrl, peaksUrl, playbackId } = await people.listening(scene.own.nurse, scene.own.recording.id);
  const colleague = await scene.stage.user(scene.home.admin, 'nurse', [scene.own.id]);
  for (const who of [colleague, scene.other.nurse, scene.abroad.nurse]) {
    const token = await who.token();
    expectProblem(await scene.http.get(audioUrl, { token }), 404, 'not_found');
    expectProblem(await scene.http.get(peaksUrl, { token }), 404, 'not_found');
    const heard = { token, json: { spans: [[0, 1]] } };
    expectProblem(await scene.http.post(`/v1/playbacks/${playbackId}/heard`, heard), 404, 'not_found');
  }
  expectProblem(await scene.http.get(audioUrl), 401, 'unauthenticated');
});
