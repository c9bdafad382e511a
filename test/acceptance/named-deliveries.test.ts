import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wavFile } from '../support/audio-files.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';

/** `deliveryId`: sources that read folders know a file by its content, whatever call its name speaks of. */
let scene: Awaited<ReturnType<typeof startScene>>;
const [one, other] = [generatedCall(2, 51), generatedCall(2, 52)];

beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.close());

type Answer = { readonly id: string };
const deliver = (metadata: object, audio: Buffer): Promise<Reply> =>
  scene.http.post('/v1/recordings', {
    token: scene.home.source.apiKey,
    form: uploadForm({ ...metadata }, audio),
  });

test('the same delivery under two call ids is one recording, also when both come at once', async () => {
  const deliveryId = `sha256:${randomUUID()}`;
  const replies = await Promise.all(
    ['a', 'b'].map((call) => deliver({ callId: `${call}-${deliveryId}`, deliveryId }, one)),
  );
  const accepted = replies.filter(({ status }) => status < 300);
  expect(replies.map(({ status }) => status).every((status) => [200, 201, 409].includes(status))).toBe(true);
  const ids = new Set(accepted.map((reply) => jsonOf<Answer>(reply, reply.status).id));
  expect(ids.size).toBe(1);
  const again = await deliver({ callId: `c-${deliveryId}`, deliveryId }, one);
  expect(ids).toContain(jsonOf<Answer>(again, 200).id);
});

test('several files of one call are several recordings when their deliveries have ids', async () => {
  const callId = randomUUID();
  const ids = await Promise.all(
    [one, other].map(
      async (audio, n) =>
        jsonOf<Answer>(await deliver({ callId, deliveryId: `${callId}/${n}` }, audio), 201).id,
    ),
  );
  expect(new Set(ids).size).toBe(2);
  const { recordings } = jsonOf<{ recordings: { id: string }[] }>(
    await scene.http.post('/v1/recordings/search', {
      token: await scene.own.nurse.token(),
      json: { callId },
    }),
    200,
  );
  expect(recordings.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
});

test('the same delivery with other content: 409; a call of that name is another thing', async () => {
  const deliveryId = randomUUID();
  jsonOf(await deliver({ callId: randomUUID(), deliveryId }, one), 201);
  expectProblem(await deliver({ callId: randomUUID(), deliveryId }, other), 409, 'conflict');
  jsonOf(await deliver({ callId: deliveryId }, other), 201);
});

/** What a telephony system leaves of calls that nobody answered, or in which nobody spoke. */
const soundless = {
  header: () => wavFile({ data: Buffer.alloc(0), rate: 8000 }),
  silence: () => wavFile({ data: Buffer.alloc(16_000 + 2 * Math.floor(Math.random() * 8000)), rate: 8000 }),
  nothing: () => Buffer.alloc(0),
};
const found = async (json: object): Promise<string[]> => {
  const token = await scene.own.nurse.token();
  const reply = await scene.http.post('/v1/recordings/search', { token, json });
  return jsonOf<{ recordings: Answer[] }>(reply, 200).recordings.map(({ id }) => id);
};

for (const [what, make] of Object.entries(soundless))
  test(`${what}: the same bytes of different calls are different recordings, and each is found`, async () => {
    const audio = make();
    const deliveryId = `sha256:${randomUUID()}`;
    const calls = ['0701740601', '0701740602', '0701740603'].map((callerNumber) => ({
      callId: randomUUID(),
      callerNumber,
    }));
    const ids: string[] = [];
    for (const call of calls) ids.push(jsonOf<Answer>(await deliver({ ...call, deliveryId }, audio), 201).id);
    expect(new Set(ids).size).toBe(3);
    for (const [n, { callId }] of calls.entries()) expect(await found({ callId })).toEqual([ids[n]]);
    // Each again, and once more under a name that tells nothing.
    for (const [n, call] of calls.entries())
      expect(jsonOf<Answer>(await deliver({ ...call, deliveryId }, audio), 200).id).toBe(ids[n]);
    expect(ids).toContain(jsonOf<Answer>(await deliver({ callId: deliveryId, deliveryId }, audio), 200).id);
  });

test('the same bytes without a sound, told of nothing but another number: another recording', async () => {
  const deliveryId = `sha256:${randomUUID()}`;
  const call = (callerNumber: string | null) =>
    deliver(
      { callId: deliveryId, deliveryId, ...(callerNumber === null ? {} : { callerNumber }) },
      soundless.header(),
    );
  const first = jsonOf<Answer>(await call('0701740611'), 201).id;
  const second = jsonOf<Answer>(await call('0701740612'), 201).id;
  expect(second).not.toBe(first);
  expect(jsonOf<Answer>(await call(null), 200).id).toBe(first);
  expect(jsonOf<Answer>(await call('0701740612'), 200).id).toBe(second);
});

test('two of them at once: both are stored, at the first try or when they come again', async () => {
  const deliveryId = `sha256:${randomUUID()}`;
  const audio = soundless.silence();
  const calls = [randomUUID(), randomUUID(), randomUUID()];
  const send = async (callId: string): Promise<string> => {
    for (;;) {
      const reply = await deliver({ callId, deliveryId }, audio);
      if (reply.status < 300) return jsonOf<Answer>(reply, reply.status).id;
      expectProblem(reply, 503, 'in_progress');
    }
  };
  const ids = await Promise.all(calls.map(send));
  expect(new Set(ids).size).toBe(3);
  for (const [n, callId] of calls.entries()) expect(await found({ callId })).toEqual([ids[n]]);
});

test('one of them erased: another call that was silent as well is taken, the same is not', async () => {
  const deliveryId = `sha256:${randomUUID()}`;
  const audio = soundless.silence();
  const callId = randomUUID();
  const { id } = jsonOf<Answer>(await deliver({ callId, deliveryId }, audio), 201);
  const erased = await scene.http.delete(`/v1/recordings/${id}`, {
    token: await scene.home.admin.token(),
    json: { reason: 'patient_request' },
  });
  expect(erased.status).toBe(204);
  expectProblem(await deliver({ callId, deliveryId }, audio), 410, 'erased');
  jsonOf(await deliver({ callId: randomUUID(), deliveryId }, audio), 201);
});
