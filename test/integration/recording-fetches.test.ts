import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  aboutItsSource,
  answering,
  DAY,
  fetchesRecordings,
  HOUR,
  looks,
  MINUTE,
  type Row,
  SECOND,
} from '../support/recording-fetches.ts';

/** What a provider's callback asked for is not lost while the provider fails or a vault ends. */
const world = fetchesRecordings();
const { tell, rows, row, stored, isStored, ofNobody, asked } = aboutItsSource(world);

test('is remembered before it is asked for, sealed, and stored once when the provider can: without another callback', async () => {
  const form = world.provider.callback();
  let before: Row[] = [];
  world.provider.behave((response) => {
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
  const dump = JSON.stringify(await world.identity.superuser.query('SELECT r::text FROM recording_fetch r'));
  for (const value of [form.CallSid, form.RecordingSid, form.AccountSid, world.provider.authToken])
    for (const text of [value, Buffer.from(value).toString('hex')]) expect(dump).not.toContain(text);

  world.provider.behave();
  await looks();
  expect(asked(form)).toBe(1);
  const countedBefore = ofNobody();
  world.identity.clock.advance(11 * MINUTE);
  await isStored();
  expect(asked(form)).toBe(2);
  expect((await tell(form))?.created).toBe(false);
  // By whichever of the two had it stored.
  expect(ofNobody()).toBe(countedBefore + 1);
  expect(asked(form)).toBe(2);
  expect(await rows()).toEqual([]);
});

test('is fetched by one of two processes, and by none while one has it that does not answer, until its claim lapses', async () => {
  const form = world.provider.callback();
  world.provider.behave(answering(500));
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  let finish: () => void = () => undefined;
  world.provider.behave((response, _request, sound) => {
    finish = () => void response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
  });
  // Somebody who was killed has it.
  await world.identity.superuser.query(
    `UPDATE recording_fetch SET claim = gen_random_uuid(), claimed_until = $1, next_at = $1`,
    [new Date(world.identity.clock.now() + 5 * SECOND + 200)],
  );
  world.identity.clock.advance(5 * SECOND);
  await expect(tell(form)).rejects.toMatchObject({ code: 'in_progress' });
  await expect.poll(() => asked(form)).toBe(2);
  // However long it takes, for it says that it lives.
  await new Promise((resolve) => setTimeout(resolve, 7_000));
  world.identity.clock.advance(20 * SECOND);
  await expect(tell(form, world.other)).rejects.toMatchObject({ code: 'in_progress' });
  await looks();
  expect(asked(form)).toBe(2);
  finish();
  await isStored();
  expect(asked(form)).toBe(2);
});

test('a callback that says no time stands for the time at which it came, however late the recording comes', async () => {
  const form = world.provider.callback({ RecordingStartTime: '' });
  world.provider.behave(answering(503));
  const came = world.identity.clock.now();
  await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  world.provider.behave();
  world.identity.clock.advance(3 * DAY);
  await isStored();
  const text = 'SELECT started_at AS at FROM recording WHERE source_id = $1';
  const [found] = (await world.identity.superuser.query(text, [world.source])).rows;
  expect(Math.abs(found.at.getTime() - came)).toBeLessThan(MINUTE);
});

test('one that has lost its claim stops fetching, and changes nothing of what another does', async () => {
  const form = world.provider.callback();
  let closed = false;
  world.provider.behave((response) => {
    response.writeHead(200, { 'content-type': 'audio/x-wav' }).write('RIFF');
    response.once('close', () => {
      closed = true;
    });
  });
  const answer = tell(form).catch((error: unknown) => error);
  await expect.poll(() => asked(form)).toBe(1);
  const claim = randomUUID();
  await world.identity.superuser.query('UPDATE recording_fetch SET claim = $1, claimed_until = $2', [
    claim,
    new Date(world.identity.clock.now() + HOUR),
  ]);
  // Before it gives up a provider that sends nothing.
  await expect.poll(() => closed, { timeout: 20_000 }).toBe(true);
  expect(await answer).toMatchObject({ code: 'fetch_failed' });
  expect(await row()).toMatchObject({ attempts: 1, claimed: true, fault: null });
  expect(await stored()).toBe(0);
});

test('the same callback at once, from both, is one row and one fetch', async () => {
  const form = world.provider.callback();
  const results = await Promise.allSettled([
    tell(form),
    tell(form, world.other),
    tell(form),
    tell(form, world.other),
  ]);
  const created = results.filter((result) => result.status === 'fulfilled' && result.value?.created);
  expect(created).toHaveLength(1);
  for (const result of results)
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'in_progress' });
  await isStored();
  expect(asked(form)).toBe(1);
});

test('while the log is away nothing is stored, and nothing is lost', async () => {
  const form = world.provider.callback();
  await world.identity.stopLog();
  try {
    await expect(tell(form)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await row()).toMatchObject({ state: 'waiting', fault: 'log_unavailable', call: null });
  } finally {
    await world.identity.resumeLog();
  }
  expect(asked(form)).toBe(0);
  world.identity.clock.advance(MINUTE);
  await isStored();
  // Its call is announced by the attempt that nobody waited for.
  const announced = await world.identity.superuser.query(
    'SELECT 1 FROM announced_call WHERE source_id = $1',
    [world.source],
  );
  expect(announced.rowCount).toBe(1);
});

test('a provider that does not answer keeps no other source waiting', async () => {
  const slow = world.source;
  const forms = Array.from({ length: 4 }, () => world.provider.callback());
  world.provider.behave(answering(500));
  for (const form of forms) await expect(tell(form)).rejects.toMatchObject({ code: 'fetch_failed' });
  world.source = (await world.home.newSource()).source.id;
  await world.setAccount();
  const quick = world.provider.callback();
  await expect(tell(quick)).rejects.toMatchObject({ code: 'fetch_failed' });
  const held: (() => void)[] = [];
  world.provider.behave((response, { url = '' }, sound) => {
    const hand = () => void response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
    if (url.includes(quick.RecordingSid)) hand();
    else held.push(hand);
  });
  world.identity.clock.advance(MINUTE);
  await isStored();
  // Two at once of each world.source, of both processes.
  await expect.poll(() => held.length).toBeLessThanOrEqual(4);
  world.source = slow;
  world.provider.behave();
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
  world.provider.behave(answering(500));
  await expect(tell(world.provider.callback())).rejects.toMatchObject({ code: 'fetch_failed' });
  await expect(world.identity.pool.query(statement)).rejects.toMatchObject({
    code: expect.stringMatching(/^(42501|23)/),
  });
});
