import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { startScene } from '../support/scene.ts';

/** rtpengine's daemon posts by libcurl, with the key in the address: curl sends those bytes in its place. */
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

const notify = async (callId: string, audio: Buffer, key: string): Promise<number> => {
  const file = join(folder, `${callId}-mix.wav`);
  writeFileSync(file, audio);
  const address = new URL('/v1/ingest/rtpengine', scene.vault.url);
  address.username = 'rtpengine';
  address.password = key;
  const headers = [
    `X-Recording-Call-ID: ${callId}`,
    `X-Recording-File-Name: ${callId}-mix.wav`,
    'X-Recording-Kind: mixed',
    'X-Recording-Stream-Start-Time: 1763629200.250000',
  ].flatMap((header) => ['-H', header]);
  const { stdout } = await promisify(execFile)('curl', [
    ...['-sS', '-L', '--max-redirs', '5', '--noproxy', '*', '-o', '/dev/null', '-w', '%{http_code}'],
    ...[...headers, '-F', `ngfile=@${file}`, address.href],
  ]);
  return Number(stdout);
};

test('a recording posted by libcurl with the key in the address is stored; again it is the same; a wrong key is refused', async () => {
  const callId = randomUUID();
  // Above 1 MB libcurl asks first (Expect: 100-continue).
  const audio = generatedCall(90, 4242);
  expect(await notify(callId, audio, scene.home.source.apiKey)).toBe(201);
  expect(await notify(callId, audio, scene.home.source.apiKey)).toBe(200);
  expect(await notify(randomUUID(), generatedCall(1), `${scene.home.source.apiKey}x`)).toBe(401);
});
