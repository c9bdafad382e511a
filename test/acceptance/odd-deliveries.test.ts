import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Source, startScene } from '../support/scene.ts';

/** Deliveries that contradict themselves, or of which it is not known whose they are: kept, flagged, told. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
const audio = generatedCall(2, 41);

beforeAll(async () => {
  scene = await startScene({ METRICS_PORT: '0' });
  people = createIntegrator(scene);
});
afterAll(() => scene?.close());

type Answer = { readonly id: string; readonly flags: readonly string[] };
const deliver = (source: Source, metadata: object): Promise<Reply> =>
  scene.http.post('/v1/recordings', { token: source.apiKey, form: uploadForm({ ...metadata }, audio) });

/** The flags that the source is answered, and that the entry has. */
const flagsOf = async (source: Source, metadata: object = {}) => {
  const { id, flags } = jsonOf<Answer>(await deliver(source, { callId: randomUUID(), ...metadata }), 201);
  const [entry] = await people.entries({ recording: id, action: 'recording.stored' });
  expect(entry?.detail.flags).toEqual(flags);
  return { id, flags };
};

const counted = async (flag: string): Promise<number> => {
  const port = /metrics on port (\d+)/.exec(scene.vault.output())?.[1];
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`flagged_total\\{flag="${flag}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
};

test('PDL-11 neither the metadata nor the source names a care unit: kept, flagged, counted, heard by nobody', async () => {
  const source = await scene.stage.source(scene.home.admin);
  const { id, flags } = await flagsOf(source);
  expect(flags).toContain('no_care_unit');
  expect((await people.open(scene.own.nurse, id)).status).toBe(404);
  expect(await counted('no_care_unit')).toBe(1);
  expect((await flagsOf(source, { careUnit: scene.own.id })).flags).not.toContain('no_care_unit');

  const callId = randomUUID();
  const first = jsonOf<Answer>(await deliver(source, { callId }), 201);
  const again = jsonOf<Answer>(await deliver(source, { callId }), 200);
  expect(again).toEqual(first);
  expect(await counted('no_care_unit')).toBe(2);
});

test('PDL-11 the default unit is disabled: flagged, until it is enabled, and then all of it is heard', async () => {
  const { admin } = scene.home;
  const unit = await scene.stage.unit(admin);
  const nurse = await scene.stage.user(admin, 'nurse', [unit.id]);
  const source = await scene.stage.source(admin, unit.id);
  const turn = async (how: string): Promise<void> => {
    const reply = await scene.http.post(`/v1/admin/units/${unit.id}/${how}`, { token: await admin.token() });
    expect(reply.status).toBe(200);
  };
  expect((await flagsOf(source)).flags).not.toContain('no_care_unit');
  await turn('disable');
  const { id, flags } = await flagsOf(source);
  expect(flags).toContain('no_care_unit');
  expect((await people.open(nurse, id)).status).toBe(404);
  await turn('enable');
  expect((await flagsOf(source)).flags).not.toContain('no_care_unit');
  expect((await people.open(nurse, id)).status).toBe(201);
});

test('metadata that contradicts the audio is kept and flagged', async () => {
  const { flags } = await flagsOf(scene.home.source, {
    channels: { 5: 'agent' },
    pauses: [
      [5000, 600_000],
      [1000, 2000],
    ],
  });
  expect(flags).toEqual(expect.arrayContaining(['pauses_unordered', 'pauses_beyond_end', 'channels_beyond']));
});

test('a call of the day after tomorrow: 400 names the field', async () => {
  const startedAt = new Date(Date.now() + 2 * 86_400_000).toISOString();
  const reply = await deliver(scene.home.source, { callId: randomUUID(), startedAt });
  const { faults } = expectProblem(reply, 400, 'not_acceptable_metadata');
  expect(faults).toEqual([{ where: 'startedAt', fault: expect.stringMatching(/more than a day ahead/) }]);
});
