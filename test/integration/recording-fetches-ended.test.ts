import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { SourceActor, UserActor } from '../../src/core/access.ts';
import { parseMetadata } from '../../src/core/metadata.ts';
import {
  aboutItsSource,
  answering,
  audio,
  CALLBACK_URL,
  DAY,
  type Form,
  fetchesRecordings,
  HOUR,
  looks,
  MINUTE,
  type Row,
  SECOND,
} from '../support/recording-fetches.ts';

/** What a provider's callback asked for when it is given up, comes on another way, or when its source or account has changed. */
const world = fetchesRecordings();
const { tell, rows, row, refused, isStored, asked, attempted } = aboutItsSource(world);

describe('is given up', () => {
  test('after seven days, visibly: what was said of the call is gone, and a new callback begins anew', async () => {
    const form = world.provider.callback();
    world.provider.behave(answering(503));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    const told = await refused();
    world.identity.clock.advance(6 * DAY);
    await attempted(2);
    world.identity.clock.advance(DAY - 90 * SECOND);
    await expect.poll(async () => (await row())?.state).toBe('given_up');
    expect(await row()).toMatchObject({ attempts: 3, fault: 'status_503', sealed: null, claimed: false });
    // Attempts that nobody waited for are no entries, their end is.
    expect(await refused()).toBe(told + 1);
    const { id, call } = (await row()) as Row;
    const lines = [...world.one.givenUp, ...world.other.givenUp].filter(({ fetch }) => fetch === id);
    expect(lines).toEqual([{ fetch: id, call, fault: 'status_503' }]);
    expect(await world.one.services.recordingFetches.counts()).toEqual({ waiting: 0, given_up: 1 });
    const day = new Date(Date.parse(form.RecordingStartTime));
    const missed = await world.identity.superuser.query(
      'SELECT id::text FROM announced_call WHERE source_id = $1 AND started_at = $2',
      [world.source, day],
    );
    expect(missed.rows).toEqual([{ id: call }]);

    world.identity.clock.advance(2 * HOUR);
    await looks();
    expect(asked(form)).toBe(3);
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    expect(await row()).toMatchObject({ state: 'waiting', attempts: 1, sealed: expect.anything() });
    world.provider.behave();
    world.identity.clock.advance(MINUTE);
    await isStored();
  });

  test('when the provider has said eight times in a row that there is no such recording', async () => {
    const form = world.provider.callback();
    world.provider.behave(answering(404));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    for (let n = 2; n <= 9; n += 1) {
      world.provider.behave(answering(n === 2 ? 500 : n % 2 === 0 ? 404 : 410));
      world.identity.clock.advance(HOUR);
      await attempted(n);
      expect((await row())?.state).toBe('waiting');
    }
    world.identity.clock.advance(HOUR);
    await expect.poll(async () => (await row())?.state).toBe('given_up');
    expect(await row()).toMatchObject({ attempts: 10, fault: 'status_410' });
  });

  test('at once when it is no recording, and removed a week later', async () => {
    const form = world.provider.callback();
    world.provider.behave((response) => {
      response.writeHead(200, { 'content-type': 'audio/x-wav' }).end('\u007fELF and what follows');
    });
    await expect(tell(form)).rejects.toMatchObject({ code: 'refused_content' });
    expect(await row()).toMatchObject({ state: 'given_up', fault: 'refused_content', sealed: null });
    world.identity.clock.advance(6 * DAY);
    await world.one.services.recordingFetches.forget();
    expect(await rows()).toHaveLength(1);
    world.identity.clock.advance(2 * DAY);
    await world.one.services.recordingFetches.forget();
    expect(await rows()).toEqual([]);
  });
});

describe('when it came on another way in the meantime', () => {
  /** Fails once, comes by itself, and is asked for again. */
  const comeBy = async (form: Form): Promise<string> => {
    world.provider.behave(answering(500));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    const actor = {
      type: 'source',
      id: world.source,
      role: 'source',
      organisation: world.home.id,
      session: null,
    };
    const metadata = { callId: form.CallSid, deliveryId: `twilio ${form.RecordingSid}` };
    const { id } = await world.one.services.ingestRecording({
      actor: actor as SourceActor,
      metadata: parseMetadata(metadata, world.identity.clock.now()),
      body: Readable.from([Buffer.from(audio)]),
      limits: { declaredBytes: null, declaredSha256: null, declaredMediaType: null },
      request: randomUUID(),
      signal: new AbortController().signal,
    });
    return id;
  };

  test('it is not asked for; where the provider was to delete it, nobody knows whether it did', async () => {
    await world.setAccount(world.provider.authToken, true);
    const form = world.provider.callback();
    const recording = await comeBy(form);
    expect(await rows()).toHaveLength(1);
    world.identity.clock.advance(MINUTE);
    await isStored();
    expect(asked(form)).toBe(1);
    expect([...world.one.copiesKept, ...world.other.copiesKept]).toEqual([
      { recording, fault: 'interrupted' },
    ]);
  });

  test('and was erased, it is not asked for, and nobody is told that it is missing', async () => {
    const form = world.provider.callback();
    const recordingId = await comeBy(form);
    const actor = world.home.admin.actor as UserActor;
    const decision = { decisionReference: 'the board, 17', reason: 'retention' } as const;
    await world.one.services.eraseRecording({ actor, recordingId, request: randomUUID(), ...decision });
    const lines = world.one.givenUp.length + world.other.givenUp.length;
    world.identity.clock.advance(MINUTE);
    await expect.poll(rows).toEqual([]);
    await expect(tell(form)).rejects.toMatchObject({ code: 'erased' });
    expect(await rows()).toEqual([]);
    expect(asked(form)).toBe(1);
    expect(world.one.givenUp.length + world.other.givenUp.length).toBe(lines);
  });
});

test('a token that is changed in between is the one that is asked with, at once', async () => {
  const form = world.provider.callback();
  const changed = 'f'.repeat(32);
  const basic = `Basic ${Buffer.from(`${world.provider.accountSid}:${changed}`).toString('base64')}`;
  world.provider.behave((response, { headers }, sound) => {
    if (headers.authorization === basic)
      response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
    else response.writeHead(401).end();
  });
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  expect(await row()).toMatchObject({ fault: 'status_401' });
  await world.setAccount(changed);
  // Before the pause is over.
  await isStored(15_000);
  expect(world.provider.about(form.RecordingSid).map(({ authorization }) => authorization)).toEqual([
    world.provider.basic,
    basic,
  ]);
});

test('another account is not asked for the recordings of the one before', async () => {
  const form = world.provider.callback();
  world.provider.behave(answering(500));
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  await world.one.services.twilio.set(world.home.caller(), world.source, {
    ...{ accountSid: `AC${'9'.repeat(32)}`, authToken: 'another'.repeat(5), callbackUrl: CALLBACK_URL },
    deleteAfter: false,
  });
  await attempted(2);
  expect(await row()).toMatchObject({ state: 'waiting', fault: 'not_acceptable_metadata' });
  expect(asked(form)).toBe(1);
  world.provider.behave();
  await world.setAccount();
  await isStored();
});

describe('of a source that may not deliver', () => {
  test('nothing is asked for, and no attempt is spent; enabled again, it goes on', async () => {
    const form = world.provider.callback();
    world.provider.behave(answering(500));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    await world.one.services.sources.setDisabled(world.home.caller(), world.source, true);
    world.provider.behave();
    world.identity.clock.advance(2 * DAY);
    await looks();
    expect(asked(form)).toBe(1);
    expect(await row()).toMatchObject({ state: 'waiting', attempts: 1 });
    await world.one.services.sources.setDisabled(world.home.caller(), world.source, false);
    await isStored();
  });

  test('and of one whose account is removed, it is given up when its time is over', async () => {
    const form = world.provider.callback();
    world.provider.behave(answering(500));
    await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
    await world.one.services.twilio.remove(world.home.caller(), world.source);
    world.provider.behave();
    world.identity.clock.advance(6 * DAY);
    await world.one.services.recordingFetches.forget();
    await looks();
    expect(await row()).toMatchObject({ state: 'waiting', attempts: 1 });
    world.identity.clock.advance(DAY + MINUTE);
    await Promise.all([
      world.one.services.recordingFetches.forget(),
      world.other.services.recordingFetches.forget(),
    ]);
    expect(await row()).toMatchObject({ state: 'given_up', fault: 'status_500', sealed: null });
    const { id } = (await row()) as Row;
    const lines = [...world.one.givenUp, ...world.other.givenUp].filter(({ fetch }) => fetch === id);
    expect(lines).toHaveLength(1);
    expect(asked(form)).toBe(1);
  });
});
