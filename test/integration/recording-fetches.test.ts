import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SourceActor, UserActor } from '../../src/core/access.ts';
import { parseMetadata } from '../../src/core/metadata.ts';
import { readRecordingCallback } from '../../src/core/recording-callback.ts';
import { makeCertificate } from '../support/certificates.ts';
import { type ClockedServices, openClockedServices } from '../support/clocked-services.ts';
import { openFileStore } from '../support/file-store.ts';
import { generatedCall } from '../support/generated-call.ts';
import { type Identity, newOrganisation, startIdentity, type TestOrganisation } from '../support/identity.ts';
import { type Answer, type Provider, startProvider, twilioSignature } from '../support/telephony-provider.ts';

/**
 * What a provider's callback asked for is not lost while the provider fails or a vault ends: two processes on one database, a
 * provider over HTTPS, and a clock that is moved.
 */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const CALLBACK_URL = 'https://calls.region.example/twilio/recordings';
const audio = generatedCall(2);
let folder: string;
let provider: Provider;
let identity: Identity;
let objects: Awaited<ReturnType<typeof openFileStore>>;
let one: ClockedServices;
let other: ClockedServices;
let home: TestOrganisation;
let source: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-fetches-'));
  const certificate = makeCertificate(folder, 'provider');
  provider = await startProvider(certificate, audio);
  identity = await startIdentity();
  objects = await openFileStore();
  const outside = { objects: objects.store, host: provider.host, ca: certificate.pem };
  one = await openClockedServices(identity, outside);
  other = await openClockedServices(identity, outside);
  home = await newOrganisation(identity);
  for (const { services } of [one, other]) services.recordingFetches.start();
});
afterAll(async () => {
  await one?.close();
  await other?.close();
  provider?.close();
  await identity?.close();
  await objects?.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  source = (await home.newSource()).source.id;
  await setAccount();
});
afterEach(async () => {
  provider.behave();
  await identity.superuser.query('DELETE FROM recording_fetch');
});

type Form = ReturnType<Provider['callback']>;
const setAccount = (authToken = provider.authToken, deleteAfter = false): Promise<unknown> =>
  one.services.twilio.set(home.caller(), source, {
    ...{ accountSid: provider.accountSid, authToken, callbackUrl: CALLBACK_URL, deleteAfter },
  });
/** A callback, as its route hands it on. */
const tell = async (form: Form, { services } = one, authToken = provider.authToken) => {
  const parameters = new Map(Object.entries(form).map(([name, value]) => [name, [value]]));
  const { actor, account } = await services.verifyCallback({
    ...{ source, form: parameters, address: '10.0.0.1', request: randomUUID() },
    signature: twilioSignature(CALLBACK_URL, authToken, form),
  });
  const hosts = services.recordingHosts;
  const callback = readRecordingCallback(parameters, { ...account, hosts }, identity.clock.now());
  return services.takeCallback({
    actor,
    account,
    form: parameters,
    callback,
    request: randomUUID(),
    route: '/test',
  });
};
type Row = {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
  readonly fault: string | null;
  readonly call: string | null;
  readonly sealed: Buffer | null;
  readonly claimed: boolean;
  readonly wait: number;
};
const rows = async (): Promise<Row[]> => {
  const found = await identity.superuser.query(
    `SELECT id, state, attempts, fault, call_id AS call, callback_sealed AS sealed, claim IS NOT NULL AS claimed, next_at AS next
       FROM recording_fetch WHERE source_id = $1`,
    [source],
  );
  return found.rows.map(({ next, ...row }) => ({ ...row, wait: next.getTime() - identity.clock.now() }));
};
const row = async (): Promise<Row | undefined> => (await rows())[0];
const stored = async (): Promise<number> => {
  const text = `SELECT count(*)::int AS n FROM recording WHERE source_id = $1 AND status = 'stored'`;
  return (await identity.superuser.query(text, [source])).rows[0].n;
};
const refused = async (): Promise<number> =>
  (await identity.entries('recording.refused')).filter(({ actor }) => actor.id === source).length;
const isStored = async (timeout = 60_000): Promise<void> => {
  await expect.poll(stored, { timeout }).toBe(1);
  await expect.poll(rows).toEqual([]);
};
const answering =
  (status: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) =>
    void response.writeHead(status, headers).end();
/** Recordings without a care unit that both processes have counted. */
const ofNobody = (): number =>
  [one, other].reduce((sum, { services }) => sum + (services.storedFlags().get('no_care_unit') ?? 0), 0);
const asked = (form: Form): number => provider.about(form.RecordingSid).length;
/** Waits for attempt `n`, and for what follows from it. */
const attempted = async (n: number): Promise<void> =>
  expect.poll(async () => (await rows()).map((one) => [one.attempts, one.claimed])).toEqual([[n, false]]);
/** Whoever looks has looked. */
const looks = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2_500));

test('is remembered before it is asked for, sealed, and stored once when the provider can: without another callback', async () => {
  const form = provider.callback();
  let before: Row[] = [];
  provider.behave((response) => {
    void rows().then((found) => {
      before = found;
      response.writeHead(503, { 'retry-after': '600' }).end();
    });
  });
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  expect(before).toMatchObject([{ state: 'waiting', attempts: 1, claimed: true, call: expect.any(String) }]);
  const [waiting] = await rows();
  expect(waiting).toMatchObject({ state: 'waiting', attempts: 1, fault: 'status_503', claimed: false });
  // As long as the provider asked for, and not as short as the law has it.
  expect(waiting?.wait).toBeGreaterThan(9 * MINUTE);
  expect(waiting?.wait).toBeLessThanOrEqual(10 * MINUTE);
  const dump = JSON.stringify(await identity.superuser.query('SELECT r::text FROM recording_fetch r'));
  for (const value of [form.CallSid, form.RecordingSid, form.AccountSid, provider.authToken])
    for (const text of [value, Buffer.from(value).toString('hex')]) expect(dump).not.toContain(text);

  provider.behave();
  await looks();
  expect(asked(form)).toBe(1);
  const countedBefore = ofNobody();
  identity.clock.advance(11 * MINUTE);
  await isStored();
  expect(asked(form)).toBe(2);
  expect((await tell(form))?.created).toBe(false);
  // By whichever of the two had it stored.
  expect(ofNobody()).toBe(countedBefore + 1);
  expect(asked(form)).toBe(2);
  expect(await rows()).toEqual([]);
});

test('is fetched by one of two processes, and by none while one has it that does not answer, until its claim lapses', async () => {
  const form = provider.callback();
  provider.behave(answering(500));
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  let finish: () => void = () => undefined;
  provider.behave((response, _request, sound) => {
    finish = () => void response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
  });
  // Somebody who was killed has it.
  await identity.superuser.query(
    `UPDATE recording_fetch SET claim = gen_random_uuid(), claimed_until = $1, next_at = $1`,
    [new Date(identity.clock.now() + 5 * SECOND + 200)],
  );
  identity.clock.advance(5 * SECOND);
  await expect(tell(form)).rejects.toMatchObject({ code: 'in_progress' });
  await expect.poll(() => asked(form)).toBe(2);
  // However long it takes, for it says that it lives.
  await new Promise((resolve) => setTimeout(resolve, 7_000));
  identity.clock.advance(20 * SECOND);
  await expect(tell(form, other)).rejects.toMatchObject({ code: 'in_progress' });
  await looks();
  expect(asked(form)).toBe(2);
  finish();
  await isStored();
  expect(asked(form)).toBe(2);
});

test('a callback that says no time stands for the time at which it came, however late the recording comes', async () => {
  const form = provider.callback({ RecordingStartTime: '' });
  provider.behave(answering(503));
  const came = identity.clock.now();
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  provider.behave();
  identity.clock.advance(3 * DAY);
  await isStored();
  const text = 'SELECT started_at AS at FROM recording WHERE source_id = $1';
  const [found] = (await identity.superuser.query(text, [source])).rows;
  expect(Math.abs(found.at.getTime() - came)).toBeLessThan(MINUTE);
});

test('one that has lost its claim stops fetching, and changes nothing of what another does', async () => {
  const form = provider.callback();
  let closed = false;
  provider.behave((response) => {
    response.writeHead(200, { 'content-type': 'audio/x-wav' }).write('RIFF');
    response.once('close', () => {
      closed = true;
    });
  });
  const answer = tell(form).catch((error: unknown) => error);
  await expect.poll(() => asked(form)).toBe(1);
  const claim = randomUUID();
  await identity.superuser.query('UPDATE recording_fetch SET claim = $1, claimed_until = $2', [
    claim,
    new Date(identity.clock.now() + HOUR),
  ]);
  // Before it gives up a provider that sends nothing.
  await expect.poll(() => closed, { timeout: 20_000 }).toBe(true);
  expect(await answer).toMatchObject({ code: 'fetch_failed' });
  expect(await row()).toMatchObject({ attempts: 1, claimed: true, fault: null });
  expect(await stored()).toBe(0);
});

test('the same callback at once, from both, is one row and one fetch', async () => {
  const form = provider.callback();
  const results = await Promise.allSettled([tell(form), tell(form, other), tell(form), tell(form, other)]);
  const created = results.filter((result) => result.status === 'fulfilled' && result.value?.created);
  expect(created).toHaveLength(1);
  for (const result of results)
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'in_progress' });
  await isStored();
  expect(asked(form)).toBe(1);
});

describe('is given up', () => {
  test('after seven days, visibly: what was said of the call is gone, and a new callback begins anew', async () => {
    const form = provider.callback();
    provider.behave(answering(503));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    const told = await refused();
    identity.clock.advance(6 * DAY);
    await attempted(2);
    identity.clock.advance(DAY - 90 * SECOND);
    await expect.poll(async () => (await row())?.state).toBe('given_up');
    expect(await row()).toMatchObject({ attempts: 3, fault: 'status_503', sealed: null, claimed: false });
    // Attempts that nobody waited for are no entries, their end is.
    expect(await refused()).toBe(told + 1);
    const { id, call } = (await row()) as Row;
    const lines = [...one.givenUp, ...other.givenUp].filter(({ fetch }) => fetch === id);
    expect(lines).toEqual([{ fetch: id, call, fault: 'status_503' }]);
    expect(await one.services.recordingFetches.counts()).toEqual({ waiting: 0, given_up: 1 });
    const day = new Date(Date.parse(form.RecordingStartTime));
    const missed = await identity.superuser.query(
      'SELECT id::text FROM announced_call WHERE source_id = $1 AND started_at = $2',
      [source, day],
    );
    expect(missed.rows).toEqual([{ id: call }]);

    identity.clock.advance(2 * HOUR);
    await looks();
    expect(asked(form)).toBe(3);
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    expect(await row()).toMatchObject({ state: 'waiting', attempts: 1, sealed: expect.anything() });
    provider.behave();
    identity.clock.advance(MINUTE);
    await isStored();
  });

  test('when the provider has said eight times in a row that there is no such recording', async () => {
    const form = provider.callback();
    provider.behave(answering(404));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    for (let n = 2; n <= 9; n += 1) {
      provider.behave(answering(n === 2 ? 500 : n % 2 === 0 ? 404 : 410));
      identity.clock.advance(HOUR);
      await attempted(n);
      expect((await row())?.state).toBe('waiting');
    }
    identity.clock.advance(HOUR);
    await expect.poll(async () => (await row())?.state).toBe('given_up');
    expect(await row()).toMatchObject({ attempts: 10, fault: 'status_410' });
  });

  test('at once when it is no recording, and removed a week later', async () => {
    const form = provider.callback();
    provider.behave((response) => {
      response.writeHead(200, { 'content-type': 'audio/x-wav' }).end('\u007fELF and what follows');
    });
    await expect(tell(form)).rejects.toMatchObject({ code: 'refused_content' });
    expect(await row()).toMatchObject({ state: 'given_up', fault: 'refused_content', sealed: null });
    identity.clock.advance(6 * DAY);
    await one.services.recordingFetches.forget();
    expect(await rows()).toHaveLength(1);
    identity.clock.advance(2 * DAY);
    await one.services.recordingFetches.forget();
    expect(await rows()).toEqual([]);
  });
});

describe('when it came on another way in the meantime', () => {
  /** Fails once, comes by itself, and is asked for again. */
  const comeBy = async (form: Form): Promise<string> => {
    provider.behave(answering(500));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    const actor = { type: 'source', id: source, role: 'source', organisation: home.id, session: null };
    const metadata = { callId: form.CallSid, deliveryId: `twilio ${form.RecordingSid}` };
    const { id } = await one.services.ingestRecording({
      actor: actor as SourceActor,
      metadata: parseMetadata(metadata, identity.clock.now()),
      body: Readable.from([Buffer.from(audio)]),
      limits: { declaredBytes: null, declaredSha256: null, declaredMediaType: null },
      request: randomUUID(),
      signal: new AbortController().signal,
    });
    return id;
  };

  test('it is not asked for; where the provider was to delete it, nobody knows whether it did', async () => {
    await setAccount(provider.authToken, true);
    const form = provider.callback();
    const recording = await comeBy(form);
    expect(await rows()).toHaveLength(1);
    identity.clock.advance(MINUTE);
    await isStored();
    expect(asked(form)).toBe(1);
    expect([...one.copiesKept, ...other.copiesKept]).toEqual([{ recording, fault: 'interrupted' }]);
  });

  test('and was erased, it is not asked for, and nobody is told that it is missing', async () => {
    const form = provider.callback();
    const recordingId = await comeBy(form);
    const actor = home.admin.actor as UserActor;
    const decision = { decisionReference: 'the board, 17', reason: 'retention' } as const;
    await one.services.eraseRecording({ actor, recordingId, request: randomUUID(), ...decision });
    const lines = one.givenUp.length + other.givenUp.length;
    identity.clock.advance(MINUTE);
    await expect.poll(rows).toEqual([]);
    await expect(tell(form)).rejects.toMatchObject({ code: 'erased' });
    expect(await rows()).toEqual([]);
    expect(asked(form)).toBe(1);
    expect(one.givenUp.length + other.givenUp.length).toBe(lines);
  });
});

test('a token that is changed in between is the one that is asked with, at once', async () => {
  const form = provider.callback();
  const changed = 'f'.repeat(32);
  const basic = `Basic ${Buffer.from(`${provider.accountSid}:${changed}`).toString('base64')}`;
  provider.behave((response, { headers }, sound) => {
    if (headers.authorization === basic)
      response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
    else response.writeHead(401).end();
  });
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  expect(await row()).toMatchObject({ fault: 'status_401' });
  await setAccount(changed);
  // Before the pause is over.
  await isStored(15_000);
  expect(provider.about(form.RecordingSid).map(({ authorization }) => authorization)).toEqual([
    provider.basic,
    basic,
  ]);
});

test('another account is not asked for the recordings of the one before', async () => {
  const form = provider.callback();
  provider.behave(answering(500));
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  await one.services.twilio.set(home.caller(), source, {
    ...{ accountSid: `AC${'9'.repeat(32)}`, authToken: 'another'.repeat(5), callbackUrl: CALLBACK_URL },
    deleteAfter: false,
  });
  await attempted(2);
  expect(await row()).toMatchObject({ state: 'waiting', fault: 'not_acceptable_metadata' });
  expect(asked(form)).toBe(1);
  provider.behave();
  await setAccount();
  await isStored();
});

describe('of a source that may not deliver', () => {
  test('nothing is asked for, and no attempt is spent; enabled again, it goes on', async () => {
    const form = provider.callback();
    provider.behave(answering(500));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    await one.services.sources.setDisabled(home.caller(), source, true);
    provider.behave();
    identity.clock.advance(2 * DAY);
    await looks();
    expect(asked(form)).toBe(1);
    expect(await row()).toMatchObject({ state: 'waiting', attempts: 1 });
    await one.services.sources.setDisabled(home.caller(), source, false);
    await isStored();
  });

  test('and of one whose account is removed, it is given up when its time is over', async () => {
    const form = provider.callback();
    provider.behave(answering(500));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    await one.services.twilio.remove(home.caller(), source);
    provider.behave();
    identity.clock.advance(6 * DAY);
    await one.services.recordingFetches.forget();
    await looks();
    expect(await row()).toMatchObject({ state: 'waiting', attempts: 1 });
    identity.clock.advance(DAY + MINUTE);
    await Promise.all([one.services.recordingFetches.forget(), other.services.recordingFetches.forget()]);
    expect(await row()).toMatchObject({ state: 'given_up', fault: 'status_500', sealed: null });
    const { id } = (await row()) as Row;
    const lines = [...one.givenUp, ...other.givenUp].filter(({ fetch }) => fetch === id);
    expect(lines).toHaveLength(1);
    expect(asked(form)).toBe(1);
  });
});

test('while the log is away nothing is stored, and nothing is lost', async () => {
  const form = provider.callback();
  await identity.stopLog();
  try {
    await expect(tell(form)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await row()).toMatchObject({ state: 'waiting', fault: 'log_unavailable', call: null });
  } finally {
    await identity.resumeLog();
  }
  expect(asked(form)).toBe(0);
  identity.clock.advance(MINUTE);
  await isStored();
  // Its call is announced by the attempt that nobody waited for.
  const announced = await identity.superuser.query('SELECT 1 FROM announced_call WHERE source_id = $1', [
    source,
  ]);
  expect(announced.rowCount).toBe(1);
});

test('a provider that does not answer keeps no other source waiting', async () => {
  const slow = source;
  const forms = Array.from({ length: 4 }, () => provider.callback());
  provider.behave(answering(500));
  for (const form of forms) await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  source = (await home.newSource()).source.id;
  await setAccount();
  const quick = provider.callback();
  await expect(tell(quick)).rejects.toMatchObject({ code: 'fetch_failed' });
  const held: (() => void)[] = [];
  provider.behave((response, { url = '' }, sound) => {
    const hand = () => void response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
    if (url.includes(quick.RecordingSid)) hand();
    else held.push(hand);
  });
  identity.clock.advance(MINUTE);
  await isStored();
  // Two at once of each source, of both processes.
  await expect.poll(() => held.length).toBeLessThanOrEqual(4);
  source = slow;
  provider.behave();
  for (const hand of held) hand();
  await expect.poll(stored).toBe(4);
  await expect.poll(rows).toEqual([]);
});

test.each([
  'UPDATE recording_fetch SET source_id = source_id',
  'UPDATE recording_fetch SET organisation_id = organisation_id',
  'UPDATE recording_fetch SET delivery_index = delivery_index',
  `UPDATE recording_fetch SET fault = '0701740605 called'`,
  `UPDATE recording_fetch SET state = 'given_up'`,
  'UPDATE recording_fetch SET callback_sealed = NULL',
])('the application may not %s', async (statement) => {
  provider.behave(answering(500));
  await expect(tell(provider.callback())).rejects.toMatchObject({ code: 'fetch_failed' });
  await expect(identity.pool.query(statement)).rejects.toMatchObject({
    code: expect.stringMatching(/^(42501|23)/),
  });
});
