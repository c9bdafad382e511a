import { createHash, randomUUID } from 'node:crypto';
import { rm, truncate } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { flipBit, keepRecording } from '../support/kept-recording.ts';
import { expectProblem } from '../support/problems.ts';

/** More than one segment and more than one piece of what is read at once. */
const BYTES = 3 * 1024 * 1024 + 18;
let world: CareLineVault;
beforeAll(async () => {
  world = await startCareLine();
});
afterAll(() => world?.folder.remove());

const verify = (id: string, token = world.line.apiKey): Promise<Reply> =>
  world.line.http.post(`/v1/recordings/${id}/verification`, { token });

const entries = async (recording: string): Promise<string[]> => {
  const asked = { token: await world.line.compliance.token(), json: { recording } };
  const reply = await world.line.http.post('/v1/audit/search', asked);
  return jsonOf<{ entries: { action: string }[] }>(reply, 200)
    .entries.map(({ action }) => action)
    .reverse();
};

test('a source is told the digest of what lies in the store, and the entry says so', async () => {
  const { id, audio } = await keepRecording(world, BYTES);
  const sha256 = createHash('sha256').update(audio).digest('hex');
  expect(jsonOf(await verify(id), 200)).toEqual({ id, sha256, bytes: BYTES });
  expect(await entries(id)).toContain('recording.verified');
});

test('an empty recording is read back like any other', async () => {
  const { http, apiKey } = world.line;
  const stored = await http.post('/v1/recordings', {
    token: apiKey,
    form: uploadForm({ callId: randomUUID() }, Buffer.alloc(0)),
  });
  const { id } = jsonOf<{ id: string }>(stored, 201);
  const sha256 = createHash('sha256').digest('hex');
  expect(jsonOf(await verify(id), 200)).toEqual({ id, sha256, bytes: 0 });
});

test.each<[string, (path: string) => Promise<unknown>]>([
  ['is gone', (path) => rm(path)],
  ['lost its end', (path) => truncate(path, BYTES)],
  ['has one bit changed in its last segment', (path) => flipBit(path, BYTES - 5)],
])('an object that %s is no success: 502, and an alarm after the entry', async (_what, damage) => {
  const { id, path } = await keepRecording(world, BYTES);
  await damage(path);
  const reply = await verify(id);
  expectProblem(reply, 502, 'integrity_failure');
  expect(reply.text).not.toMatch(/[0-9a-f]{64}/);
  const told = await entries(id);
  expect(told.slice(told.indexOf('recording.verified'))).toContain('recording.damaged');
});

test('what does not exist is not found; an id that is none is refused', async () => {
  expectProblem(await verify(randomUUID()), 404, 'not_found');
  expect((await verify('no-id')).status).toBe(400);
});

test('the report of an import: digest and totals are an entry of the log', async () => {
  const { http, apiKey, compliance } = world.line;
  const report = { sha256: 'ab'.repeat(32), files: 5, verified: 3, wiped: 1, exceptions: 2 };
  const { id } = jsonOf<{ id: string }>(
    await http.post('/v1/import-reports', { token: apiKey, json: report }),
    201,
  );
  const asked = { token: await compliance.token(), json: { action: 'import.reported' } };
  const found = jsonOf<{ entries: object[] }>(await http.post('/v1/audit/search', asked), 200);
  expect(found.entries).toMatchObject([{ id, detail: report }]);
  for (const wrong of [
    { ...report, files: -1 },
    { ...report, files: 4 },
    { ...report, verified: Number.MAX_SAFE_INTEGER, exceptions: Number.MAX_SAFE_INTEGER },
    { ...report, wiped: 4 },
    { ...report, sha256: '0701740605' },
    { ...report, name: 'x' },
  ])
    expectProblem(
      await http.post('/v1/import-reports', { token: apiKey, json: wrong }),
      400,
      'invalid_request',
    );
});
