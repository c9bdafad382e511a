import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { startScene } from '../support/scene.ts';

/** `Expect: 100-continue`, as curl sends it before anything long: the key is looked at before the sound is asked for. */
let scene: Awaited<ReturnType<typeof startScene>>;
const audio = generatedCall(2, 91);
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.close());

/** Sends the head, and the body only when it is asked for; answers all that came. */
const deliver = (key: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { port } = new URL(scene.vault.url);
    const socket = connect(Number(port), '127.0.0.1');
    let text = '';
    socket.on('data', (data: Buffer) => {
      const asked = text.includes('100 Continue');
      text += data.toString('latin1');
      if (!asked && text.includes('100 Continue')) socket.write(audio);
      if (/HTTP\/1\.1 [245]\d\d/.test(text)) socket.end();
    });
    socket.once('close', () => resolve(text)).once('error', reject);
    socket.write(
      [
        `PUT /v1/ingest/${randomUUID()} HTTP/1.1`,
        'Host: vault',
        `Authorization: Bearer ${key}`,
        'Content-Type: audio/wav',
        `Content-Length: ${audio.length}`,
        'Expect: 100-continue',
        '\r\n',
      ].join('\r\n'),
    );
  });

test('of a known source the sound is asked for, once, and stored', async () => {
  const text = await deliver(scene.home.source.apiKey);
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 201']);
});

test('of a stranger it is never asked for', async () => {
  const text = await deliver('cvk_wrong');
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401']);
});
