import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import type { Entry } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';
import { type Received, type Receiver, signatureOf, startReceiver } from '../support/webhook-receiver.ts';

/** Receivers are told what became of recordings, signed, at least once, whatever happens to either side; uploads wait for none. */
let scene: Awaited<ReturnType<typeof startScene>>;
let folder: string;
let one: Receiver;
let other: Receiver;
let inside: Receiver;
const NUMBER = '0701740677';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-hooks-'));
  const certificate = makeCertificate(folder, 'receiver');
  one = await startReceiver(certificate);
  other = await startReceiver(certificate);
  inside = await startReceiver(certificate);
  scene = await startScene({
    NODE_EXTRA_CA_CERTS: certificate.certFile,
    WEBHOOK_HOSTS: `${one.host}, ${other.host}`,
    RADAR_GRACE_MINUTES: '1',
  });
});
afterAll(async () => {
  for (const receiver of [one, other, inside]) receiver?.close();
  await scene?.close();
  await rm(folder, { recursive: true, force: true });
});

type Made = { readonly webhook: { readonly id: string }; readonly secret: string };
const admin = () => scene.home.admin.token();
const create = async (url: string, events = ['recording.stored', 'recording.flagged', 'recording.missing']) =>
  scene.http.post('/v1/admin/webhooks', { token: await admin(), json: { url, events } });
const make = async (receiver: Receiver, events?: string[]): Promise<Made> =>
  jsonOf<Made>(await create(receiver.url, events), 201);
const act = async (id: string, what: string, json?: object): Promise<Reply> =>
  scene.http.post(`/v1/admin/webhooks/${id}/${what}`, {
    token: await admin(),
    ...(json === undefined ? {} : { json }),
  });
const about = (receiver: Receiver, id: string, type?: string): Received[] =>
  receiver.received.filter(
    ({ json: { data, type: is } }) => Object.values(data).includes(id) && (type === undefined || is === type),
  );
const told = (receiver: Receiver, id: string, timeout = 60_000) =>
  expect.poll(() => about(receiver, id).length, { timeout, interval: 100 });
const stored = () =>
  scene.stage.recording(scene.home.source, { callerNumber: NUMBER, originalName: `${NUMBER}.wav` });

const made: string[] = [];
afterEach(async () => {
  one.behave();
  other.behave();
  for (const id of made.splice(0)) await act(id, 'disable');
});
const hook = async (receiver: Receiver, events?: string[]): Promise<Made> => {
  const webhook = await make(receiver, events);
  made.push(webhook.webhook.id);
  return webhook;
};

test('what is stored and what is flagged is told, signed as Standard Webhooks has it, without number or name', async () => {
  const { secret } = await hook(one);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const { id } = await stored();
  await told(one, id).toBe(1);
  const [message] = about(one, id) as [Received];
  expect(message.json).toEqual({
    type: 'recording.stored',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    data: {
      ...{ recording: id, source: scene.home.source.id, careUnit: scene.own.id, durationMs: 1000, flags: [] },
      ...{ startedAt: expect.any(String), endedAt: null },
    },
  });
  expect(message.headers['webhook-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(message.headers['webhook-signature']).toBe(signatureOf(message, secret));
  expect(Math.abs(Number(message.headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(30);
  expect(message.body).not.toMatch(/07017|701740677/);

  const source = await scene.stage.source(scene.home.admin);
  const flagged = await scene.stage.recording(source, {});
  await told(one, flagged.id).toBe(2);
  const [second] = about(one, flagged.id, 'recording.flagged') as [Received];
  expect(second.json.data.flags).toEqual(['no_care_unit']);
});

test('a call whose recording is missing is told once, by its id', async () => {
  await hook(one, ['recording.missing']);
  const startedAt = new Date(Date.now() - 3_600_000).toISOString();
  const json = { callId: randomUUID(), startedAt, endedAt: startedAt, callerNumber: NUMBER };
  const reply = await scene.http.post('/v1/calls', { token: scene.home.source.apiKey, json });
  const [call = ''] = jsonOf<{ ids: string[] }>(reply, 200).ids;
  await told(one, call, 250_000).toBe(1);
  const [message] = about(one, call) as [Received];
  expect(message.json).toMatchObject({
    type: 'recording.missing',
    data: { call, source: scene.home.source.id, startedAt },
  });
  expect(message.body).not.toContain(NUMBER.slice(1));
});

test('only the organisation’s own receivers are told, and only of what they asked for', async () => {
  await hook(one, ['recording.flagged']);
  await hook(other, ['recording.stored']);
  const { id } = await stored();
  const foreign = await scene.stage.recording(scene.foreign.source, {});
  await told(other, id).toBe(1);
  expect(about(one, id)).toEqual([]);
  expect([...about(one, foreign.id), ...about(other, foreign.id)]).toEqual([]);
});

test('a receiver that fails is told again, under the same id, and a redirect is not followed', async () => {
  await hook(one, ['recording.stored']);
  let answers = 0;
  one.behave((response) => {
    answers += 1;
    if (answers === 1) response.writeHead(302, { location: inside.url }).end();
    else response.writeHead(200).end();
  });
  const { id } = await stored();
  await told(one, id).toBe(2);
  const [first, second] = about(one, id) as [Received, Received];
  expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
  expect(second.body).toBe(first.body);
  expect(second.at - first.at).toBeGreaterThan(3_000);
  expect(inside.connections()).toBe(0);
});

test('a receiver that never answers slows neither uploads nor other receivers', async () => {
  await hook(one, ['recording.stored']);
  await hook(other, ['recording.stored']);
  let [underWay, most] = [0, 0];
  one.behave((response) => {
    underWay += 1;
    most = Math.max(most, underWay);
    response.once('close', () => {
      underWay -= 1;
    });
  });
  const ids: string[] = [];
  for (let n = 0; n < 25; n += 1) ids.push((await stored()).id);
  await expect
    .poll(() => ids.filter((id) => about(other, id).length === 1).length, { interval: 200 })
    .toBe(25);
  // One connection at a time, however much waits.
  expect(most).toBe(1);
});

test('killed with messages waiting: every acknowledged recording is told after the restart', async () => {
  const { secret } = await hook(one, ['recording.stored']);
  one.behave((response) => void response.writeHead(503).end());
  const ids = await Promise.all(Array.from({ length: 12 }, async () => (await stored()).id));
  await scene.vault.kill();
  one.received.length = 0;
  one.behave();
  const vault = await scene.folder.start();
  // On a busy machine the start itself counts as a moment of too much load.
  await expect.poll(async () => (await scene.http.get('/healthz')).status).toBe(200);
  const { id: later } = await stored();
  await expect
    .poll(() => [...ids, later].filter((id) => about(one, id).length > 0).length, {
      timeout: 250_000,
      interval: 200,
    })
    .toBe(13);
  for (const message of one.received)
    expect(message.headers['webhook-signature']).toBe(signatureOf(message, secret));
  expect(new Set(one.received.map(({ headers }) => headers['webhook-id'])).size).toBe(13);
  scene = { ...scene, vault };
});

test('what the receiver wants no more is a dead letter, and is sent again when the administrator asks', async () => {
  const { webhook } = await hook(one, ['recording.stored']);
  one.behave((response) => void response.writeHead(410).end());
  const [first, second] = [await stored(), await stored()];
  const dead = async () => {
    const reply = await scene.http.get(`/v1/admin/webhooks/${webhook.id}/dead-letters`, {
      token: await admin(),
    });
    return jsonOf<{ items: { id: string; data: { recording: string }; fault: string; attempts: number }[] }>(
      reply,
      200,
    ).items;
  };
  await expect.poll(async () => (await dead()).length, { interval: 300 }).toBe(2);
  const letters = await dead();
  expect(letters.map(({ data }) => data.recording)).toEqual([first.id, second.id]);
  expect(letters[0]).toMatchObject({ fault: 'status_410', attempts: 1 });
  one.behave();
  one.received.length = 0;
  expect((await act(webhook.id, 'redeliver', { message: letters[1]?.id })).status).toBe(204);
  await told(one, second.id).toBe(1);
  expect((await dead()).map(({ id }) => id)).toEqual([letters[0]?.id]);
  expect((await act(webhook.id, 'redeliver', {})).status).toBe(204);
  await told(one, first.id).toBe(1);
  expect(one.received[1]?.headers['webhook-id']).toBe(letters[0]?.id);
  expect(await dead()).toEqual([]);
});

describe('a receiver inside', () => {
  test.each([
    'http://example.org/hook',
    'https://localhost/hook',
    'https://[::1]/hook',
    'https://169.254.169.254/latest/meta-data/',
    'https://2130706433/hook',
    'https://user:secret@example.org/hook',
  ])('%s is refused when it is named', async (url) => {
    expectProblem(await create(url), 400, 'invalid_request');
  });

  test('is refused on another port than the operator permits, and when it is changed to', async () => {
    expectProblem(await create(inside.url), 400, 'invalid_request');
    const { webhook } = await hook(one);
    const asked = { token: await admin(), json: { url: inside.url } };
    expectProblem(await scene.http.patch(`/v1/admin/webhooks/${webhook.id}`, asked), 400, 'invalid_request');
    expect(inside.connections()).toBe(0);
  });
});

test('the secret lies nowhere, another one signs from the next message on, and every change is an entry', async () => {
  const { webhook, secret } = await hook(one, ['recording.stored']);
  const again = jsonOf<Made>(await act(webhook.id, 'replace-secret'), 200);
  expect(again.secret).not.toBe(secret);
  const { id } = await stored();
  await told(one, id).toBe(1);
  const [message] = about(one, id) as [Received];
  expect(message.headers['webhook-signature']).toBe(signatureOf(message, again.secret));
  const listed = await scene.http.get('/v1/admin/webhooks?limit=200', { token: await admin() });
  const dump = await inDatabase(scene.folder, async (client) => {
    const { rows } = await client.query(
      'SELECT w::text AS row FROM webhook w UNION ALL SELECT p::text FROM pending_change p',
    );
    return rows.map(({ row }) => row as string).join('\n');
  });
  for (const kept of [secret, again.secret]) {
    const bytes = Buffer.from(kept.slice('whsec_'.length), 'base64');
    for (const form of [bytes.toString('hex'), bytes.toString('base64')])
      for (const text of [dump, listed.text, scene.vault.output()]) expect(text).not.toContain(form);
  }
  await act(webhook.id, 'disable');
  const reply = await scene.http.post('/v1/audit/search', {
    token: await scene.home.compliance.token(),
    json: { action: 'webhook.changed', limit: 100 },
  });
  const { entries } = jsonOf<{ entries: Entry[] }>(reply, 200);
  const changes = entries
    .filter(({ detail }) => detail.target === webhook.id)
    .map(({ detail }) => detail.change);
  expect(changes.toReversed()).toEqual(['created', 'secret', 'disabled']);
});
