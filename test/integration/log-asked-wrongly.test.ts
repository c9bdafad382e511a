import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHttpClient, type HttpClient } from '../support/http-client.ts';
import { type InProcessVault, startInProcess } from '../support/in-process-vault.ts';
import { expectProblem } from '../support/problems.ts';
import { buildScene, type Scene } from '../support/scene.ts';

/** Questions that would be answered with "nothing", or with something else than was asked, if they were not refused. */
let vault: InProcessVault;
let http: HttpClient;
let scene: Scene;

beforeAll(async () => {
  vault = await startInProcess();
  http = createHttpClient(vault.url);
  scene = await buildScene(http, vault.adminCreate);
});
afterAll(async () => {
  http.close();
  await vault.close();
});

const EARLIER = '2026-01-05T08:00:00Z';
/** The same moment and one later, as another zone writes them. */
const SAME = '2026-01-05T09:00:00+01:00';
const LATER = '2026-01-05T09:00:00.001+01:00';
const officer = () => scene.home.compliance.token();

describe('a period that ends before it begins is refused', () => {
  const at = encodeURIComponent;
  test.each([
    ['from', `/v1/audit/actors/ACTOR/activity?from=${at(LATER)}&to=${at(EARLIER)}`],
    ['from', `/v1/audit/actors/ACTOR/activity?format=csv&from=${at(LATER)}&to=${at(EARLIER)}`],
    ['since', `/v1/audit/export?since=${at(LATER)}&until=${at(EARLIER)}`],
    ['since', `/v1/audit/export?actor=ACTOR&since=${at(LATER)}&until=${at(EARLIER)}`],
  ])('%s in GET %s', async (where, path) => {
    const token = await officer();
    const answer = await http.get(path.replace('ACTOR', scene.home.compliance.id), { token });
    expect(expectProblem(answer, 400, 'invalid_request')).toMatchObject({ faults: [{ where }] });
    const whole = path.replace(at(LATER), at(SAME)).replace('ACTOR', scene.home.compliance.id);
    expect((await http.get(whole, { token })).status).toBe(200);
  });

  test.each([
    ['from', '/v1/audit/search', { from: LATER, to: EARLIER }],
    ['from', '/v1/audit/search', { from: LATER, to: EARLIER, format: 'csv' }],
    ['since', '/v1/audit/export', { since: LATER, until: EARLIER }],
  ])('%s in POST %s %j', async (where, path, json) => {
    const token = await officer();
    const answer = await http.post(path, { token, json });
    expect(expectProblem(answer, 400, 'invalid_request')).toMatchObject({ faults: [{ where }] });
  });

  test('of recordings', async () => {
    const token = await scene.home.units[0]!.nurse.token();
    const asked = (from: string) =>
      http.post('/v1/recordings/search', { token, json: { from, to: EARLIER } });
    expect(expectProblem(await asked(LATER), 400, 'invalid_request')).toMatchObject({
      faults: [{ where: 'from' }],
    });
    expect((await asked(SAME)).status).toBe(200);
  });
});

describe('a body that names a field twice is refused: whoever read the first would see another question', () => {
  const posted = async (path: string, body: string) =>
    http.post(path, {
      token: await officer(),
      body: Buffer.from(body),
      headers: { 'content-type': 'application/json' },
    });

  test.each([
    ['"from"', 'from'],
    // The same name, written in another way.
    ['"\\u0066rom"', 'from'],
  ])('%s', async (again, where) => {
    const body = `{"from":"${EARLIER}","limit":1,${again}:"${LATER}"}`;
    const answer = await posted('/v1/audit/search', body);
    expect(expectProblem(answer, 400, 'invalid_request')).toMatchObject({ faults: [{ where }] });
  });

  test('a number in the name is not repeated', async () => {
    const answer = await posted('/v1/audit/search', '{"+46701740605":1,"+46701740605":2}');
    expectProblem(answer, 400, 'invalid_request');
    expect(answer.body.toString()).not.toContain('701740605');
  });

  test('the same name as a value, or further in, is not twice', async () => {
    const body = '{"actions":["log.read"],"format":"json","purpose":"care"}';
    expect((await posted('/v1/audit/search', body)).status).toBe(200);
  });
});

test('an entry has one address', async () => {
  const token = await officer();
  for (const path of ['/entries/00', '/entries/007', '/entries/030/proof', '/entries/00/proof'])
    expectProblem(await http.get(`/v1/audit${path}`, { token }), 400, 'invalid_request');
  // Another's, or none: not refused for how it is written.
  expect((await http.get('/v1/audit/entries/999999999999999/proof', { token })).status).toBe(404);
});
