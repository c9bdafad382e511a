import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { audio, CALLBACK_URL, type Form, sent, takesCallbacks } from '../support/twilio-callbacks.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/**
 * Twilio's recordingStatusCallback: the parameters that its documentation lists, signed as it documents, from a provider
 * that is played on loopback. A recording is fetched, and one that cannot be fetched is missed.
 */
const { world, settings, set, signed, send, call, entries, recordingsOf, fetches } = takesCallbacks();
const storedId = (reply: Reply, status: number): string => jsonOf<{ id: string }>(reply, status).id;

test('a completed recording is fetched with the account’s token and kept bit for bit; a replay is the same one', async () => {
  const form = world.provider.callback();
  const reply = await call(form);
  const id = storedId(reply, 201);
  expect(reply.headers.location).toBe(`/v1/recordings/${id}/status`);
  const [got] = world.provider.about(form.RecordingSid);
  expect(got).toEqual({
    method: 'GET',
    url: `${new URL(form.RecordingUrl).pathname}.wav`,
    authorization: world.provider.basic,
  });
  expect(storedId(await call(form), 200)).toBe(id);
  expect(world.provider.about(form.RecordingSid)).toHaveLength(1);
  const verified = await world.scene.http.post(`/v1/recordings/${id}/verification`, {
    token: world.source.apiKey,
  });
  expect(verified.text).toContain(createHash('sha256').update(audio).digest('hex'));
  const facts = await world.scene.http.get(`/v1/recordings/${id}`, {
    token: await world.scene.own.nurse.token(),
  });
  expect(jsonOf(facts, 200)).toMatchObject({
    callId: form.CallSid,
    startedAt: new Date(form.RecordingStartTime).toISOString(),
    durationMs: 2000,
  });
  // Nothing was asked to be deleted.
  expect(world.provider.about(form.RecordingSid, 'DELETE')).toEqual([]);
});

test('of two channels both are asked for, and two recordings of one call are two', async () => {
  const [first, second] = [world.provider.callback({ RecordingChannels: '2' }), world.provider.callback()];
  const ids = [await call(first), await call({ ...second, CallSid: first.CallSid })];
  expect(new Set(ids.map((reply) => storedId(reply, 201))).size).toBe(2);
  expect(world.provider.about(first.RecordingSid)[0]?.url).toMatch(/\.wav\?RequestedChannels=2$/);
  expect(await recordingsOf(first)).toHaveLength(2);
});

test('two callbacks at once are one fetch and one recording', async () => {
  const form = world.provider.callback();
  const replies = await Promise.all(Array.from({ length: 5 }, () => call(form)));
  expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
  expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201]);
  expect(world.provider.about(form.RecordingSid)).toHaveLength(1);
});

test('a provider that is slow is waited for when nobody waits any more, and the callback then finds the recording', async () => {
  const form = world.provider.callback();
  let go: () => void = () => undefined;
  world.provider.behave((response, _request, sound) => {
    response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': sound.length });
    response.write(sound.subarray(0, 100));
    go = () => response.end(sound.subarray(100));
  });
  const { headers, body } = signed(form);
  const url = `${world.scene.http.url}/v1/ingest/twilio/${world.source.id}`;
  const hangUp = new AbortController();
  const asked = fetch(url, {
    method: 'POST',
    headers: { ...headers },
    body: String(body),
    signal: hangUp.signal,
  });
  await expect.poll(() => world.provider.about(form.RecordingSid).length).toBe(1);
  hangUp.abort();
  await expect(asked).rejects.toThrow();
  expect(await recordingsOf(form)).toEqual([]);
  go();
  await expect.poll(async () => (await recordingsOf(form)).length).toBe(1);
  expect((await call(form)).status).toBe(200);
  expect(world.provider.about(form.RecordingSid)).toHaveLength(1);
});

test('what has begun, never was, failed, or could not be fetched is missed; other statuses say nothing', async () => {
  const own = await world.scene.stage.source(world.scene.home.admin, world.scene.own.id);
  jsonOf(await set(own, settings()), 200);
  const tell = (form: Form) => send(signed(form), own.id);
  const stored = world.provider.callback();
  const stopped = world.provider.callback({ RecordingStatus: 'stopped' });
  const statuses = ['absent', 'failed'].map((RecordingStatus) =>
    world.provider.callback({ RecordingStatus }),
  );
  const began = world.provider.callback({ RecordingStatus: 'in-progress', RecordingDuration: '0' });
  const lost = world.provider.callback();
  for (const form of [...statuses, began, stopped, { ...stored, RecordingStatus: 'in-progress' }])
    expect((await tell(form)).status).toBe(204);
  expect((await tell(stored)).status).toBe(201);
  world.provider.behave(sent(404, 'text/plain', 'no'));
  expect((await tell(lost)).status).toBe(502);
  const day = new Date(stored.RecordingStartTime).toISOString().slice(0, 10);
  const missing = async (): Promise<number | undefined> => {
    const from = new Date(Date.parse(day) - 86_400_000).toISOString().slice(0, 10);
    const token = await world.scene.home.admin.token();
    const reply = await world.scene.http.get(`/v1/admin/radar?from=${from}&to=${day}`, { token });
    const { days } = jsonOf<{ days: { source: string; missing: number }[] }>(reply, 200);
    return days.filter((one) => one.source === own.id).reduce((sum, one) => sum + one.missing, 0);
  };
  // Three at once; the one that has begun four hours after it did, which was yesterday.
  await expect.poll(missing, { timeout: 250_000, interval: 3000 }).toBe(4);
});

test('is deleted at the provider once it is stored, when the source says so and nothing is doubtful', async () => {
  const own = await world.scene.stage.source(world.scene.home.admin, world.scene.own.id);
  jsonOf(await set(own, settings({ deleteAfter: true })), 200);
  const tell = (form: Form) => send(signed(form), own.id);
  const whole = world.provider.callback();
  expect((await tell(whole)).status).toBe(201);
  await expect.poll(() => world.provider.about(whole.RecordingSid, 'DELETE').length).toBe(1);
  expect(world.provider.about(whole.RecordingSid, 'DELETE')[0]).toMatchObject({
    url: new URL(whole.RecordingUrl).pathname,
    authorization: world.provider.basic,
  });

  const cut = world.provider.callback();
  world.provider.behave(sent(200, 'audio/x-wav', audio.subarray(0, 9000)));
  expect((await tell(cut)).status).toBe(201);
  const kept = world.provider.callback();
  world.provider.behave((response, { method }, sound) =>
    method === 'DELETE'
      ? void response.writeHead(500).end()
      : void response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound),
  );
  expect((await tell(kept)).status).toBe(201);
  const lines = () =>
    world.scene.vault
      .output()
      .split('\n')
      .filter((line) => line.includes('keeps its copy'));
  await expect.poll(() => lines().length).toBe(2);
  expect(lines().join()).toMatch(/truncated.*status_500/);
  expect(world.provider.about(cut.RecordingSid, 'DELETE')).toEqual([]);
});

test('a provider that fails is asked again by the vault itself, no sooner than it wishes, and what it has is stored once', async () => {
  const form = world.provider.callback();
  const times: number[] = [];
  world.provider.behave((response, { url = '' }, sound) => {
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
    const form = world.provider.callback();
    world.provider.behave((response, _request, sound) => {
      response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': sound.length });
      response.write(sound.subarray(0, 20_000));
    });
    const asked = call(form).catch((error: unknown) => error);
    await expect.poll(() => world.provider.about(form.RecordingSid).length).toBe(1);
    await world.scene.vault[end]();
    await asked;
    world.provider.behave();
    world.scene.vault = await world.scene.folder.start();
    await expect.poll(async () => (await world.scene.http.get('/healthz')).status).toBe(200);
    // One that was told to end left word, and is followed at once.
    if (end === 'kill') expect(await recordingsOf(form)).toEqual([]);
    await expect.poll(async () => (await recordingsOf(form)).length, { timeout: 120_000 }).toBe(1);
    expect(world.provider.about(form.RecordingSid)).toHaveLength(2);
    expect((await call(form)).status).toBe(200);
    expect(world.provider.about(form.RecordingSid)).toHaveLength(2);
    await expect.poll(() => fetches()).toEqual([]);
  }
});

test('what is given up is a line of the log by the id of its call, and counted', async () => {
  const own = await world.scene.stage.source(world.scene.home.admin, world.scene.own.id);
  jsonOf(await set(own, settings()), 200);
  const form = world.provider.callback();
  world.provider.behave(sent(200, 'audio/x-wav', '\u007fELF and what follows'));
  expectProblem(await send(signed(form), own.id), 422, 'refused_content');
  const { rows } = await inDatabase(world.scene.folder, (client) =>
    client.query('SELECT id::text FROM announced_call WHERE source_id = $1', [own.id]),
  );
  const call = (rows as { id: string }[])[0]?.id ?? '?';
  const line = () =>
    world.scene.vault
      .output()
      .split('\n')
      .find((one) => one.includes('asked for no longer') && one.includes(call));
  await expect.poll(line).toMatch(/"fault":"refused_content"/);
  const metrics = await (await fetch(`http://127.0.0.1:${world.metricsPort}/metrics`)).text();
  expect(metrics).toMatch(/^callvault_recording_fetches\{state="given_up"\} \d+$/m);
  expect(metrics).toMatch(/^callvault_recording_fetches\{state="waiting"\} \d+$/m);
});

describe('the settings', () => {
  test('are shown without the token, which lies nowhere, in no line and no answer; each change is an entry', async () => {
    const own = await world.scene.stage.source(world.scene.home.admin, world.scene.own.id);
    const shown = jsonOf(await set(own, settings()), 200);
    expect(shown).toEqual({
      accountSid: world.provider.accountSid,
      callbackUrl: CALLBACK_URL,
      deleteAfter: false,
    });
    const form = world.provider.callback();
    expect((await send(signed(form), own.id)).status).toBe(201);
    const token = await world.scene.home.admin.token();
    const listed = await world.scene.http.get('/v1/admin/sources?limit=200', { token });
    const { items } = jsonOf<{ items: { id: string; twilio: unknown }[] }>(listed, 200);
    expect(items.find(({ id }) => id === own.id)?.twilio).toEqual(shown);
    // One that is still to be fetched lies there, too.
    const waiting = world.provider.callback();
    world.provider.behave(sent(500, 'text/plain', 'no'));
    expectProblem(await send(signed(waiting), own.id), 502, 'fetch_failed');
    expect(await fetches(own)).toEqual(['waiting']);
    const gone = await world.scene.http.ask('DELETE', `/v1/admin/sources/${own.id}/twilio`, { token });
    expect(gone.status).toBe(204);
    const dump = await inDatabase(world.scene.folder, async (client) => {
      const { rows } = await client.query(
        `SELECT t::text AS row FROM twilio_account t UNION ALL SELECT p::text FROM pending_change p
         UNION ALL SELECT e.body FROM audit.entry e UNION ALL SELECT c::text FROM announced_call c
         UNION ALL SELECT f::text FROM recording_fetch f`,
      );
      return rows.map(({ row }) => row as string).join('\n');
    });
    expect(dump).toContain(world.provider.accountSid);
    const { authToken, basic } = world.provider;
    for (const secret of [authToken, Buffer.from(authToken).toString('hex'), basic])
      for (const text of [dump, listed.text, world.scene.vault.output()]) expect(text).not.toContain(secret);
    for (const { url } of world.provider.asked) expect(world.scene.vault.output()).not.toContain(url);
    for (const word of [form, waiting].flatMap(({ CallSid, RecordingSid }) => [CallSid, RecordingSid])) {
      expect(world.scene.vault.output()).not.toContain(word);
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
