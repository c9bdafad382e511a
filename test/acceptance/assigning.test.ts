import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Person, type Source, startScene } from '../support/scene.ts';

/** Recordings that came without a care unit: the administrator finds them, and gives each to one. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
let source: Source;

beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
  source = await scene.stage.source(scene.home.admin);
});
afterAll(() => scene?.close());

const NUMBER = '0701740699';
const nobodys = async (): Promise<string> =>
  (await scene.stage.recording(source, { callerNumber: NUMBER, startedAt: new Date().toISOString() })).id;

const assign = async (id: string, unit: unknown, who: Person = scene.home.admin): Promise<Reply> =>
  scene.http.ask('PUT', `/v1/recordings/${id}/care-unit`, { token: await who.token(), json: { unit } });

type Page = { readonly items: readonly Record<string, unknown>[]; readonly next: string | null };
const page = async (query = '', who: Person = scene.home.admin): Promise<Reply> =>
  scene.http.get(`/v1/admin/unassigned-recordings${query}`, { token: await who.token() });
const idsOf = ({ items }: Page) => items.map(({ id }) => id);
const turn = async (unit: string, how: 'disable' | 'enable'): Promise<void> => {
  const reply = await scene.http.post(`/v1/admin/units/${unit}/${how}`, {
    token: await scene.home.admin.token(),
  });
  expect(reply.status).toBe(200);
};
const found = async (nurse: Person): Promise<string[]> => {
  const asked = { token: await nurse.token(), json: { callerNumber: NUMBER } };
  const reply = await scene.http.post('/v1/recordings/search', asked);
  return jsonOf<{ recordings: { id: string }[] }>(reply, 200).recordings.map(({ id }) => id);
};

test('PDL-11 the administrator finds it, gives it to a unit, and its nurses alone find and hear it', async () => {
  const id = await nobodys();
  const listed = await page();
  expect(idsOf(jsonOf<Page>(listed, 200))).toContain(id);
  expect(listed.headers['cache-control']).toBe('private, no-store');
  expect(listed.text).not.toContain(NUMBER.slice(1));
  expect(Object.keys(jsonOf<Page>(listed, 200).items[0] ?? {}).sort()).toEqual([
    'careUnit',
    'id',
    'source',
    'storedAt',
  ]);
  expect(await found(scene.own.nurse)).not.toContain(id);

  expect((await assign(id, scene.own.id)).status).toBe(204);
  expect(idsOf(jsonOf<Page>(await page(), 200))).not.toContain(id);
  expect(await found(scene.own.nurse)).toContain(id);
  expect((await people.open(scene.own.nurse, id)).status).toBe(201);
  expect((await people.open(scene.other.nurse, id)).status).toBe(404);
  expect((await people.open(scene.home.admin, id)).status).toBe(403);

  const [entry] = await people.entries({ recording: id, action: 'recording.assigned' });
  expect(entry).toMatchObject({
    actor: { id: scene.home.admin.id },
    unit: scene.own.id,
    detail: { unit: scene.own.id, before: null },
  });
  expect((await assign(id, scene.own.id)).status).toBe(204);
  expect(await people.entries({ recording: id, action: 'recording.assigned' })).toHaveLength(1);
});

test('of a disabled unit it is listed too, and given away; its nurses do not get it back', async () => {
  const { admin } = scene.home;
  const unit = await scene.stage.unit(admin);
  const nurse = await scene.stage.user(admin, 'nurse', [unit.id]);
  const { id } = await scene.stage.recording(await scene.stage.source(admin, unit.id), {});
  expectProblem(await assign(id, scene.own.id), 409, 'conflict');
  await turn(unit.id, 'disable');
  const listed = jsonOf<Page>(await page(), 200).items.find((one) => one.id === id);
  expect(listed).toMatchObject({ careUnit: unit.id });
  expect((await assign(id, scene.own.id)).status).toBe(204);
  await turn(unit.id, 'enable');
  expect((await people.open(nurse, id)).status).toBe(404);
  expect((await people.open(scene.own.nurse, id)).status).toBe(201);
  const [entry] = await people.entries({ recording: id, action: 'recording.assigned' });
  expect(entry?.detail).toEqual({ unit: scene.own.id, before: unit.id });
});

describe('refused, with nothing changed', () => {
  test('a unit that is not there, disabled, or another organisation’s: 400 names the field', async () => {
    const id = await nobodys();
    const gone = await scene.stage.unit(scene.home.admin);
    await turn(gone.id, 'disable');
    for (const unit of [randomUUID(), gone.id, scene.abroad.id]) {
      const { faults } = expectProblem(await assign(id, unit), 400, 'invalid_request');
      expect(faults).toEqual([
        { where: 'body/unit', fault: expect.stringMatching(/not there or is disabled/) },
      ]);
    }
    for (const unit of ['', 'Advice line', null, 7, ['x'], `${scene.own.id}\u0000`])
      expectProblem(await assign(id, unit), 400, 'invalid_request');
    expect(idsOf(jsonOf<Page>(await page('?limit=200'), 200))).toContain(id);
  });

  test('one that has a unit: 409, and the refusal is an entry', async () => {
    const { id } = await scene.stage.recording(scene.home.source, { careUnit: scene.own.id });
    expectProblem(await assign(id, scene.other.id), 409, 'conflict');
    expect((await people.open(scene.other.nurse, id)).status).toBe(404);
    const [entry] = await people.entries({
      recording: id,
      action: 'access.denied',
      actor: scene.home.admin.id,
    });
    expect(entry?.detail).toEqual({ route: '/v1/recordings/:id/care-unit', reason: 'has_unit' });
  });

  test('one that is erased: 410; another organisation’s and none: 404 alike', async () => {
    const id = await nobodys();
    const token = await scene.home.admin.token();
    const asked = { token, json: { reason: 'retention' } };
    expect((await scene.http.delete(`/v1/recordings/${id}`, asked)).status).toBe(204);
    expectProblem(await assign(id, scene.own.id), 410, 'erased');
    expect(idsOf(jsonOf<Page>(await page('?limit=200'), 200))).not.toContain(id);
    const theirs = await nobodys();
    const foreign = await assign(theirs, scene.abroad.id, scene.foreign.admin);
    const none = await assign(randomUUID(), scene.abroad.id, scene.foreign.admin);
    const { detail, code } = expectProblem(foreign, 404, 'not_found');
    expect(expectProblem(none, 404, 'not_found')).toMatchObject({ detail, code });
  });
});

test('the list: in pages, of one organisation, with no cursor but its own', async () => {
  const made = [await nobodys(), await nobodys(), await nobodys()];
  const seen: unknown[] = [];
  let query = '?limit=2';
  for (;;) {
    const { items, next } = jsonOf<Page>(await page(query), 200);
    expect(items.length).toBeLessThanOrEqual(2);
    seen.push(...items.map(({ id }) => id));
    if (next === null) break;
    query = `?limit=2&cursor=${next}`;
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.slice(0, 3)).toEqual(made.toReversed());
  expect(jsonOf<Page>(await page('', scene.foreign.admin), 200).items).toEqual([]);
  for (const cursor of [made[0], scene.own.recording.id])
    expectProblem(await page(`?cursor=${cursor}`, scene.foreign.admin), 400, 'invalid_request');
  for (const cursor of [randomUUID(), 'x', 'MTIz']) {
    expectProblem(await page(`?cursor=${cursor}`), 400, 'invalid_request');
  }
});
