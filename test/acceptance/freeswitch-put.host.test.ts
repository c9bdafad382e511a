import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sendsByCurl } from '../support/curl-sender.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';

/**
 * `http_put` of FreeSWITCH's mod_http_cache is a PUT by libcurl: Content-Type by the file's ending, Content-Length, its own
 * User-Agent, redirects followed, and what the profile appends. curl sends those bytes here in its place.
 */
const sender = sendsByCurl();

const put = (name: string, audio: Buffer, apiKey: string, type = 'audio/x-wav'): Promise<number> =>
  sender.statusOf(
    [`Content-Type: ${type}`, `Authorization: Bearer ${apiKey}`],
    ...['--max-redirs', '10', '-A', 'freeswitch-http-cache/1.0'],
    ...['-T', sender.fileOf('call.wav', audio), `${sender.scene.vault.url}/v1/ingest/${name}`],
  );

test('a recording put under the call’s UUID is found by it; put again it is the same', async () => {
  const uuid = randomUUID();
  // Above 1 MB libcurl asks first (Expect: 100-continue).
  const audio = generatedCall(90, 9_901);
  expect(await put(`${uuid}.wav`, audio, sender.scene.home.source.apiKey)).toBe(201);
  expect(await put(`${uuid}.wav`, audio, sender.scene.home.source.apiKey)).toBe(200);
  const { recordings } = jsonOf<{ recordings: { callId: string }[] }>(
    await sender.scene.http.post('/v1/recordings/search', {
      token: await sender.scene.own.nurse.token(),
      json: { callId: uuid },
    }),
    200,
  );
  expect(recordings).toMatchObject([{ callId: uuid }]);
});

test('a wrong key and a name that may hold a number are errors to it', async () => {
  expect(await put(`${randomUUID()}.wav`, generatedCall(1), 'cvk_wrong')).toBe(401);
  expect(
    await put('0701740621.wav', generatedCall(1), sender.scene.home.source.apiKey),
  ).toBeGreaterThanOrEqual(400);
});
