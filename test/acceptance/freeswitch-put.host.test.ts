import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { startScene } from '../support/scene.ts';

/**
 * `http_put` of FreeSWITCH's mod_http_cache is a PUT by libcurl: Content-Type by the file's ending, Content-Length, its own
 * User-Agent, redirects followed, and what the profile appends. curl sends those bytes here in its place.
 */
let scene: Awaited<ReturnType<typeof startScene>>;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cvs-'));
  scene = await startScene();
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await scene?.close();
});

const put = async (name: string, audio: Buffer, apiKey: string, type = 'audio/x-wav'): Promise<number> => {
  const file = join(folder, 'call.wav');
  writeFileSync(file, audio);
  const headers = [`Content-Type: ${type}`, `Authorization: Bearer ${apiKey}`].flatMap((header) => [
    '-H',
    header,
  ]);
  const { stdout } = await promisify(execFile)('curl', [
    ...[
      '-sS',
      '-L',
      '--max-redirs',
      '10',
      '--noproxy',
      '*',
      '-A',
      'freeswitch-http-cache/1.0',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
    ],
    ...headers,
    ...['-T', file, `${scene.vault.url}/v1/ingest/${name}`],
  ]);
  return Number(stdout);
};

test('a recording put under the call’s UUID is found by it; put again it is the same', async () => {
  const uuid = randomUUID();
  // Above 1 MB libcurl asks first (Expect: 100-continue).
  const audio = generatedCall(90, 9_901);
  expect(await put(`${uuid}.wav`, audio, scene.home.source.apiKey)).toBe(201);
  expect(await put(`${uuid}.wav`, audio, scene.home.source.apiKey)).toBe(200);
  const { recordings } = jsonOf<{ recordings: { callId: string }[] }>(
    await scene.http.post('/v1/recordings/search', {
      token: await scene.own.nurse.token(),
      json: { callId: uuid },
    }),
    200,
  );
  expect(recordings).toMatchObject([{ callId: uuid }]);
});

test('a wrong key and a name that may hold a number are errors to it', async () => {
  expect(await put(`${randomUUID()}.wav`, generatedCall(1), 'cvk_wrong')).toBe(401);
  expect(await put('0701740621.wav', generatedCall(1), scene.home.source.apiKey)).toBeGreaterThanOrEqual(400);
});
