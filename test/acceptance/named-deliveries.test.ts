import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
