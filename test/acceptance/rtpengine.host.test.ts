import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { sendsByCurl } from '../support/curl-sender.ts';
import { generatedCall } from '../support/generated-call.ts';

/** rtpengine's daemon posts by libcurl, with the key in the address: curl sends those bytes in its place. */
const sender = sendsByCurl();

const notify = (callId: string, audio: Buffer, key: string): Promise<number> => {
  const file = sender.fileOf(`${callId}-mix.wav`, audio);
  const address = new URL('/v1/ingest/rtpengine', sender.scene.vault.url);
  address.username = 'rtpengine';
  address.password = key;
  const headers = [
    `X-Recording-Call-ID: ${callId}`,
    `X-Recording-File-Name: ${callId}-mix.wav`,
    'X-Recording-Kind: mixed',
    'X-Recording-Stream-Start-Time: 1763629200.250000',
  ];
  return sender.statusOf(headers, '--max-redirs', '5', '-F', `ngfile=@${file}`, address.href);
};

test('a recording posted by libcurl with the key in the address is stored; again it is the same; a wrong key is refused', async () => {
  const callId = randomUUID();
  // Above 1 MB libcurl asks first (Expect: 100-continue).
  const audio = generatedCall(90, 4242);
  expect(await notify(callId, audio, sender.scene.home.source.apiKey)).toBe(201);
  expect(await notify(callId, audio, sender.scene.home.source.apiKey)).toBe(200);
  expect(await notify(randomUUID(), generatedCall(1), `${sender.scene.home.source.apiKey}x`)).toBe(401);
});
