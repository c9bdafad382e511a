import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { freePort } from '../support/free-port.ts';
import { generatedCall } from '../support/generated-call.ts';
import { type Ask, jsonOf, type Reply } from '../support/http-client.ts';
import type { Entry } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Source, startScene } from '../support/scene.ts';
import { type Answer, type Provider, startProvider, twilioSignature } from '../support/telephony-provider.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/**
 * Twilio's recordingStatusCallback: the parameters that its documentation lists, signed as it documents, from a provider
 * that is played on loopback. A recording is fetched, and one that cannot be fetched is missed.
 */
let scene: Awaited<ReturnType<typeof startScene>>;
let folder: string;
let metricsPort: string;
let provider: Provider;
let elsewhere: Provider;
let source: Source;
const audio = generatedCall(2);
const CALLBACK_URL = 'https://calls.region.example/twilio/recordings';

type Form = Readonly<Record<string, string>>;
const settings = (about: object = {}) => ({
  accountSid: provider.accountSid,
  authToken: provider.authToken,
  callbackUrl: CALLBACK_URL,
  ...about,
});
const set = async ({ id }: Source, json: unknown): Promise<Reply> =>
  scene.http.ask('PUT', `/v1/admin/sources/${id}/twilio`, { token: await scene.home.admin.token(), json });
const signed = (form: Form, signature = twilioSignature(CALLBACK_URL, provider.authToken, form)): Ask => ({
  headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature },
  body: new URLSearchParams(form).toString(),
});
const send = (asked: Ask, id = source.id): Promise<Reply> =>
  scene.http.post(`/v1/ingest/twilio/${id}`, asked);
const call = (form: Form): Promise<Reply> => send(signed(form));
const entries = async (action: string): Promise<Entry[]> => {
  const asked = { token: await scene.home.compliance.token(), json: { action, limit: 200 } };
  return jsonOf<{ entries: Entry[] }>(await scene.http.post('/v1/audit/search', asked), 200).entries;
};
const recordingsOf = async ({ CallSid }: Form): Promise<{ id: string }[]> => {
  const asked = { token: await scene.own.nurse.token(), json: { callId: CallSid } };
  const reply = await scene.http.post('/v1/recordings/search', asked);
  return jsonOf<{ recordings: { id: string }[] }>(reply, 200).recordings;
};
/** What a source's callbacks asked for and is not here: `waiting` or `given_up`. */
const fetches = async ({ id } = source): Promise<string[]> =>
  inDatabase(scene.folder, async (client) => {
    const text = 'SELECT state FROM recording_fetch WHERE source_id = $1';
    const { rows } = await client.query<{ state: string }>(text, [id]);
    return rows.map(({ state }) => state);
  });
const storedId = (reply: Reply, status: number): string => jsonOf<{ id: string }>(reply, status).id;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-twilio-'));
  const certificate = makeCertificate(folder, 'provider');
  provider = await startProvider(certificate, audio);
  elsewhere = await startProvider(certificate, audio);
  metricsPort = await freePort();
  scene = await startScene({
    METRICS_PORT: metricsPort,
    NODE_EXTRA_CA_CERTS: certificate.certFile,
    RECORDING_HOSTS: provider.host,
    RADAR_GRACE_MINUTES: '1',
    MAX_UPLOAD_BYTES: '1048576',
  });
  source = await scene.stage.source(scene.home.admin, scene.own.id);
  jsonOf(await set(source, settings()), 200);
});
afterEach(() => provider.behave());
afterAll(async () => {
  await scene?.close();
  for (const one of [provider, elsewhere]) one?.close();
  await rm(folder, { recursive: true, force: true });
});

test('a completed recording is fetched with the account’s token and kept bit for bit; a replay is the same one', async () => {
  const form = provider.callback();
  const reply = await call(form);
  const id = storedId(reply, 201);
  expect(reply.headers.location).toBe(`/v1/recordings/${id}/status`);
  const [got] = provider.about(form.RecordingSid);
  expect(got).toEqual({
    method: 'GET',
    url: `${new URL(form.RecordingUrl).pathname}.wav`,
    authorization: provider.basic,
  });
  expect(storedId(await call(form), 200)).toBe(id);
  expect(provider.about(form.RecordingSid)).toHaveLength(1);
  const verified = await scene.http.post(`/v1/recordings/${id}/verification`, { token: source.apiKey });
  expect(verified.text).toContain(createHash('sha256').update(audio).digest('hex'));
  const facts = await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() });
  expect(jsonOf(facts, 200)).toMatchObject({
    callId: form.CallSid,
    startedAt: new Date(form.RecordingStartTime).toISOString(),
    durationMs: 2000,
  });
  // Nothing was asked to be deleted.
  expect(provider.about(form.RecordingSid, 'DELETE')).toEqual([]);
});

test('of two channels both are asked for, and two recordings of one call are two', async () => {
  const [first, second] = [provider.callback({ RecordingChannels: '2' }), provider.callback()];
  const ids = [await call(first), await call({ ...second, CallSid: first.CallSid })];
  expect(new Set(ids.map((reply) => storedId(reply, 201))).size).toBe(2);
  expect(provider.about(first.RecordingSid)[0]?.url).toMatch(/\.wav\?RequestedChannels=2$/);
  expect(await recordingsOf(first)).toHaveLength(2);
});

test('two callbacks at once are one fetch and one recording', async () => {
  const form = provider.callback();
  const replies = await Promise.all(Array.from({ length: 5 }, () => call(form)));
  expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
  expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201]);
  expect(provider.about(form.RecordingSid)).toHaveLength(1);
});

test('a provider that is slow is waited for when nobody waits any more, and the callback then finds the recording', async () => {
  const form = provider.callback();
  let go: () => void = () => undefined;
  provider.behave((response, _request, sound) => {
    response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': sound.length });
    response.write(sound.subarray(0, 100));
    go = () => response.end(sound.subarray(100));
  });
  const { headers, body } = signed(form);
  const url = `${scene.http.url}/v1/ingest/twilio/${source.id}`;
  const hangUp = new AbortController();
  const asked = fetch(url, {
    method: 'POST',
    headers: { ...headers },
    body: String(body),
    signal: hangUp.signal,
  });
  await expect.poll(() => provider.about(form.RecordingSid).length).toBe(1);
  hangUp.abort();
  await expect(asked).rejects.toThrow();
  expect(await recordingsOf(form)).toEqual([]);
  go();
  await expect.poll(async () => (await recordingsOf(form)).length).toBe(1);
  expect((await call(form)).status).toBe(200);
  expect(provider.about(form.RecordingSid)).toHaveLength(1);
});

describe('a callback that is not its account’s', () => {
  const forged: readonly (readonly [string, (form: Form) => Ask])[] = [
    ['a wrong signature', (form) => signed(form, twilioSignature(CALLBACK_URL, 'x'.repeat(32), form))],
    ['no signature', (form) => signed(form, '')],
    [
      'the signature of another address',
      (form) => signed(form, twilioSignature('https://elsewhere.example/', provider.authToken, form)),
    ],
    [
      'another value than was signed',
      (form) => signed({ ...form, CallSid: 'CAx' }, twilioSignature(CALLBACK_URL, provider.authToken, form)),
    ],
    ['an API key instead', (form) => ({ ...signed(form, ''), token: source.apiKey })],
  ];
  const wordsOf = ({ text }: Reply): object => ({ ...(JSON.parse(text) as object), requestId: '' });

  test.each(forged)('with %s is refused, counted, and nothing is fetched', async (_what, asked) => {
    const form = provider.callback();
    const before = provider.connections();
    expectProblem(await send(asked(form)), 401, 'unauthenticated');
    expect(provider.connections()).toBe(before);
  });

  test('of a source without account, disabled, of nobody, or of no id is refused alike', async () => {
    const [bare, disabled, removed] = await Promise.all([
      scene.stage.source(scene.home.admin),
      scene.stage.source(scene.home.admin),
      scene.stage.source(scene.home.admin),
    ]);
    const token = await scene.home.admin.token();
    for (const one of [disabled, removed]) jsonOf(await set(one, settings()), 200);
    await scene.http.post(`/v1/admin/sources/${disabled.id}/disable`, { token });
    const gone = await scene.http.ask('DELETE', `/v1/admin/sources/${removed.id}/twilio`, { token });
    expect(gone.status).toBe(204);
    const asked = signed(provider.callback());
    const places = [bare.id, disabled.id, removed.id, scene.foreign.source.id, randomUUID(), 'nobody'];
    const replies = await Promise.all(places.map((id) => send(asked, id)));
    const wrong = await send(signed(provider.callback(), 'x'));
    expect(new Set([...replies, wrong].map(({ status }) => status))).toEqual(new Set([401]));
    for (const reply of replies) expect(wordsOf(reply)).toEqual(wordsOf(wrong));
    const refused = await inDatabase(scene.folder, async (client) => {
      const { rows } = await client.query(
        `SELECT body FROM audit.entry WHERE body::jsonb -> 'detail' ->> 'reason' = 'bad_signature'`,
      );
      return rows.length;
    });
    expect(refused).toBeGreaterThan(0);
  });
});

describe('an address that is not the account’s recording', () => {
  const path = (form: Form): string => new URL(form.RecordingUrl ?? '').pathname;
  test.each<[string, (form: Form) => string]>([
    ['the cloud’s metadata', (form) => `https://169.254.169.254${path(form)}`],
    ['the machine by name', (form) => `https://localhost${path(form)}`],
    ['the machine on another port', (form) => `https://${elsewhere.host}${path(form)}`],
    ['plain http', (form) => `http://${provider.host}${path(form)}`],
    [
      'another account',
      (form) => (form.RecordingUrl ?? '').replace(provider.accountSid, elsewhere.accountSid),
    ],
    ['a user in it', (form) => `https://x@${provider.host}${path(form)}`],
  ])('(%s) is refused and not asked', async (_what, urlOf) => {
    const form = provider.callback();
    const before = [provider.connections(), elsewhere.connections()];
    const reply = await call({ ...form, RecordingUrl: urlOf(form) });
    const { faults } = expectProblem(reply, 400, 'not_acceptable_metadata');
    expect(faults?.map(({ where }) => where)).toEqual(['RecordingUrl']);
    expect([provider.connections(), elsewhere.connections()]).toEqual(before);
    expect(reply.text).not.toMatch(/169\.254|localhost|127\.0/);
  });

  test('to which it redirects is not asked, and one that is permitted is asked without the token', async () => {
    const before = elsewhere.connections();
    for (const location of [
      `https://${elsewhere.host}/x.wav`,
      'http://127.0.0.1/',
      'https://169.254.169.254/x',
    ]) {
      provider.behave((response) => void response.writeHead(302, { location }).end());
      expectProblem(await call(provider.callback()), 502, 'fetch_failed');
    }
    expect(elsewhere.connections()).toBe(before);

    const form = provider.callback();
    provider.behave((response, { url = '' }, sound) => {
      if (url.startsWith('/media')) response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
      else response.writeHead(302, { location: `/media/${form.RecordingSid}` }).end();
    });
    expect((await call(form)).status).toBe(201);
    expect(provider.about(form.RecordingSid).map(({ authorization }) => authorization)).toEqual([
      provider.basic,
      null,
    ]);
  });

  test('redirecting without end is given up', async () => {
    const form = provider.callback();
    const location = `/again/${form.RecordingSid}`;
    provider.behave((response) => void response.writeHead(302, { location }).end());
    expectProblem(await call(form), 502, 'fetch_failed');
    expect(provider.about(form.RecordingSid)).toHaveLength(3);
  });
});

const sent =
  (status: number, type: string, body: Buffer | string, more: object = {}): Answer =>
  (response) =>
    void response.writeHead(status, { 'content-type': type, ...more }).end(body);

test.each<[string, Answer, number, string]>([
  ['404', sent(404, 'application/xml', '<x/>'), 502, 'fetch_failed'],
  ['401', sent(401, 'text/html', 'no'), 502, 'fetch_failed'],
  ['500', sent(500, 'text/plain', 'no'), 502, 'fetch_failed'],
  ['200 and a page', sent(200, 'text/html', '<html>later</html>'), 502, 'fetch_failed'],
  ['other coding', sent(200, 'audio/x-wav', audio, { 'content-encoding': 'gzip' }), 502, 'fetch_failed'],
  ['a program', sent(200, 'audio/x-wav', '\u007fELF and what follows'), 422, 'refused_content'],
  ['more than is taken', sent(200, 'audio/x-wav', generatedCall(70)), 413, 'too_large'],
  [
    'less than it said',
    (response, _request, sound) => {
      response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': sound.length });
      response.write(sound.subarray(0, 20_000));
      setTimeout(() => response.destroy(), 50);
    },
    502,
    'fetch_failed',
  ],
  ['nothing', (response) => void response.destroy(), 502, 'fetch_failed'],
])(
  'where the provider answers %s nothing is stored, it is an entry, and the next callback succeeds',
  async (_what, answer, status, code) => {
    const form = provider.callback();
    provider.behave(answer);
    const reply = await call(form);
    const { requestId } = expectProblem(reply, status, code);
    expect(await recordingsOf(form)).toEqual([]);
    const refused = (await entries('recording.refused')).filter(({ request }) => request === requestId);
    expect(refused.map(({ detail }) => detail.reason)).toEqual([code]);
    provider.behave();
    expect((await call(form)).status).toBe(201);
  },
);

test.each<[string, Ask, number]>([
  ['of ten megabytes', { ...signed0(), body: 'a'.repeat(10_000_000) }, 413],
  ['of JSON', { json: { RecordingStatus: 'completed' } }, 415],
  ['of too many parameters', { ...signed0(), body: 'a&'.repeat(5000) }, 401],
  ['of nothing', { ...signed0(), body: '' }, 401],
])('a form %s is refused', async (_what, asked, status) => {
  expect((await send(asked)).status).toBe(status);
});

/** Before anything is there. */
function signed0(): Ask {
  return { headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': 'x' } };
}

test('what has begun, never was, failed, or could not be fetched is missed; other statuses say nothing', async () => {
  const own = await scene.stage.source(scene.home.admin, scene.own.id);
  jsonOf(await set(own, settings()), 200);
  const tell = (form: Form) => send(signed(form), own.id);
  const stored = provider.callback();
  const stopped = provider.callback({ RecordingStatus: 'stopped' });
  const statuses = ['absent', 'failed'].map((RecordingStatus) => provider.callback({ RecordingStatus }));
  const began = provider.callback({ RecordingStatus: 'in-progress', RecordingDuration: '0' });
  const lost = provider.callback();
  for (const form of [...statuses, began, stopped, { ...stored, RecordingStatus: 'in-progress' }])
    expect((await tell(form)).status).toBe(204);
  expect((await tell(stored)).status).toBe(201);
  provider.behave(sent(404, 'text/plain', 'no'));
  expect((await tell(lost)).status).toBe(502);
  const day = new Date(stored.RecordingStartTime).toISOString().slice(0, 10);
  const missing = async (): Promise<number | undefined> => {
    const from = new Date(Date.parse(day) - 86_400_000).toISOString().slice(0, 10);
    const token = await scene.home.admin.token();
    const reply = await scene.http.get(`/v1/admin/radar?from=${from}&to=${day}`, { token });
    const { days } = jsonOf<{ days: { source: string; missing: number }[] }>(reply, 200);
    return days.filter((one) => one.source === own.id).reduce((sum, one) => sum + one.missing, 0);
  };
  // Three at once; the one that has begun four hours after it did, which was yesterday.
  await expect.poll(missing, { timeout: 250_000, interval: 3000 }).toBe(4);
});

test('is deleted at the provider once it is stored, when the source says so and nothing is doubtful', async () => {
  const own = await scene.stage.source(scene.home.admin, scene.own.id);
  jsonOf(await set(own, settings({ deleteAfter: true })), 200);
  const tell = (form: Form) => send(signed(form), own.id);
  const whole = provider.callback();
  expect((await tell(whole)).status).toBe(201);
  await expect.poll(() => provider.about(whole.RecordingSid, 'DELETE').length).toBe(1);
  expect(provider.about(whole.RecordingSid, 'DELETE')[0]).toMatchObject({
    url: new URL(whole.RecordingUrl).pathname,
    authorization: provider.basic,
  });

  const cut = provider.callback();
  provider.behave(sent(200, 'audio/x-wav', audio.subarray(0, 9000)));
  expect((await tell(cut)).status).toBe(201);
  const kept = provider.callback();
  provider.behave((response, { method }, sound) =>
    method === 'DELETE'
      ? void response.writeHead(500).end()
      : void response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound),
  );
  expect((await tell(kept)).status).toBe(201);
  const lines = () =>
    scene.vault
      .output()
      .split('\n')
      .filter((line) => line.includes('keeps its copy'));
  await expect.poll(() => lines().length).toBe(2);
  expect(lines().join()).toMatch(/truncated.*status_500/);
  expect(provider.about(cut.RecordingSid, 'DELETE')).toEqual([]);
});

test('a provider that fails is asked again by the vault itself, no sooner than it wishes, and what it has is stored once', async () => {
  const form = provider.callback();
  const times: number[] = [];
  provider.behave((response, { url = '' }, sound) => {
    if (url.includes(form.RecordingSid)) times.push(Date.now());
    if (times.length < 2) response.writeHead(503, { 'retry-after': '35' }).end();
    else response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
  });
  const reply = await call(form);
  expectProblem(reply, 502, 'fetch_failed');
  expect(reply.headers['retry-after']).toBe('35');
  expect(await fetches()).toContain('waiting');
  await expect.poll(async () => (await recordingsOf(form)).length, { timeout: 120_000 }).toBe(1);
  const [first = 0, second = 0] = times;
  expect(second - first).toBeGreaterThanOrEqual(35_000);
  expect((await call(form)).status).toBe(200);
  expect(times).toHaveLength(2);
  await expect.poll(() => fetches()).toEqual([]);
});

test('killed, or told to end, while it fetches: nothing half is seen, and it is fetched after the start, without a callback', async () => {
  for (const end of ['kill', 'stop'] as const) {
    const form = provider.callback();
    provider.behave((response, _request, sound) => {
      response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': sound.length });
      response.write(sound.subarray(0, 20_000));
    });
    const asked = call(form).catch((error: unknown) => error);
    await expect.poll(() => provider.about(form.RecordingSid).length).toBe(1);
    await scene.vault[end]();
    await asked;
    provider.behave();
    const vault = await scene.folder.start();
    scene = { ...scene, vault };
    await expect.poll(async () => (await scene.http.get('/healthz')).status).toBe(200);
    // One that was told to end left word, and is followed at once.
    if (end === 'kill') expect(await recordingsOf(form)).toEqual([]);
    await expect.poll(async () => (await recordingsOf(form)).length, { timeout: 120_000 }).toBe(1);
    expect(provider.about(form.RecordingSid)).toHaveLength(2);
    expect((await call(form)).status).toBe(200);
    expect(provider.about(form.RecordingSid)).toHaveLength(2);
    await expect.poll(() => fetches()).toEqual([]);
  }
});

test('what is given up is a line of the log by the id of its call, and counted', async () => {
  const own = await scene.stage.source(scene.home.admin, scene.own.id);
  jsonOf(await set(own, settings()), 200);
  const form = provider.callback();
  provider.behave(sent(200, 'audio/x-wav', '\u007fELF and what follows'));
  expectProblem(await send(signed(form), own.id), 422, 'refused_content');
  const { rows } = await inDatabase(scene.folder, (client) =>
    client.query('SELECT id::text FROM announced_call WHERE source_id = $1', [own.id]),
  );
  const call = (rows as { id: string }[])[0]?.id ?? '?';
  const line = () =>
    scene.vault
      .output()
      .split('\n')
      .find((one) => one.includes('asked for no longer') && one.includes(call));
  await expect.poll(line).toMatch(/"fault":"refused_content"/);
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  expect(metrics).toMatch(/^callvault_recording_fetches\{state="given_up"\} \d+$/m);
  expect(metrics).toMatch(/^callvault_recording_fetches\{state="waiting"\} \d+$/m);
});

describe('the settings', () => {
  test.each([
    'http://vault.example/x',
    'https://vault.example',
    'https://user@vault.example/x',
    'https://vault.example/x?y=1',
    'https://vault.example/x#y',
    'https:///x',
  ])('with the address %s are refused', async (callbackUrl) => {
    expectProblem(await set(source, settings({ callbackUrl })), 400, 'invalid_request');
  });

  test('are shown without the token, which lies nowhere, in no line and no answer; each change is an entry', async () => {
    const own = await scene.stage.source(scene.home.admin, scene.own.id);
    const shown = jsonOf(await set(own, settings()), 200);
    expect(shown).toEqual({ accountSid: provider.accountSid, callbackUrl: CALLBACK_URL, deleteAfter: false });
    const form = provider.callback();
    expect((await send(signed(form), own.id)).status).toBe(201);
    const token = await scene.home.admin.token();
    const listed = await scene.http.get('/v1/admin/sources?limit=200', { token });
    const { items } = jsonOf<{ items: { id: string; twilio: unknown }[] }>(listed, 200);
    expect(items.find(({ id }) => id === own.id)?.twilio).toEqual(shown);
    // One that is still to be fetched lies there, too.
    const waiting = provider.callback();
    provider.behave(sent(500, 'text/plain', 'no'));
    expectProblem(await send(signed(waiting), own.id), 502, 'fetch_failed');
    expect(await fetches(own)).toEqual(['waiting']);
    const gone = await scene.http.ask('DELETE', `/v1/admin/sources/${own.id}/twilio`, { token });
    expect(gone.status).toBe(204);
    const dump = await inDatabase(scene.folder, async (client) => {
      const { rows } = await client.query(
        `SELECT t::text AS row FROM twilio_account t UNION ALL SELECT p::text FROM pending_change p
         UNION ALL SELECT e.body FROM audit.entry e UNION ALL SELECT c::text FROM announced_call c
         UNION ALL SELECT f::text FROM recording_fetch f`,
      );
      return rows.map(({ row }) => row as string).join('\n');
    });
    expect(dump).toContain(provider.accountSid);
    const { authToken, basic } = provider;
    for (const secret of [authToken, Buffer.from(authToken).toString('hex'), basic])
      for (const text of [dump, listed.text, scene.vault.output()]) expect(text).not.toContain(secret);
    for (const { url } of provider.asked) expect(scene.vault.output()).not.toContain(url);
    for (const word of [form, waiting].flatMap(({ CallSid, RecordingSid }) => [CallSid, RecordingSid])) {
      expect(scene.vault.output()).not.toContain(word);
      expect(dump).not.toContain(word);
    }
    const changes = (await entries('source.changed')).filter(({ detail }) => detail.target === own.id);
    expect(changes.map(({ detail }) => detail.change).toReversed()).toEqual([
      'created',
      'twilio',
      'twilio removed',
    ]);
  });
});
