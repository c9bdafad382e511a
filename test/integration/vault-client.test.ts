import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  createVaultClient,
  parseVaultUrl,
  type Upload,
  type VaultClient,
} from '../../src/agent/vault-client.ts';
import { generatedCall } from '../support/generated-call.ts';
import { startScene } from '../support/scene.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const uploadOf = (bytes: Buffer, metadata: Record<string, string> = {}): Upload => ({
  open: () => Readable.from([bytes]),
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
  mediaType: 'audio/wav',
  metadata: { callId: randomUUID(), ...metadata },
});

const clientOf = (url: string, apiKey = 'key', silenceMs = 2_000): VaultClient => {
  const client = createVaultClient({ url, apiKey, silenceMs });
  closing.push(() => client.close());
  return client;
};

describe('a vault', () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  const audio = generatedCall(2, 61);
  beforeAll(async () => {
    scene = await startScene();
  });
  afterAll(() => scene?.close());

  test('takes a call, knows it again, and finds it by what was said of it', async () => {
    const client = clientOf(scene.vault.url, scene.home.source.apiKey);
    const upload = uploadOf(audio, { originalName: 'Måndag åäö 📞.wav', callerNumber: '0701740605' });
    const first = await client.upload(upload);
    expect(first).toMatchObject({ outcome: 'stored', created: true });
    expect(await client.upload(upload)).toEqual({ ...first, created: false });
    const reply = await scene.http.post('/v1/recordings/search', {
      token: await scene.own.nurse.token(),
      json: { originalName: 'Måndag åäö 📞.wav' },
    });
    expect(JSON.parse(reply.body.toString()).recordings).toMatchObject([{ callerNumber: '0701740605' }]);
  });

  test('other bytes under the same call are refused; bytes that changed on the way are to be sent again', async () => {
    const client = clientOf(scene.vault.url, scene.home.source.apiKey);
    const upload = uploadOf(audio);
    await client.upload(upload);
    const other = generatedCall(2, 62);
    expect(await client.upload({ ...uploadOf(other), metadata: upload.metadata })).toMatchObject({
      outcome: 'refused',
      code: 'conflict',
    });
    const changed = { ...uploadOf(other), open: () => Readable.from([audio.subarray(0, other.length)]) };
    expect(await client.upload({ ...changed, bytes: audio.length })).toMatchObject({
      outcome: 'later',
      code: 'digest_mismatch',
      stopped: false,
    });
  });

  test('a file that became shorter: later, and what is sent next is not taken for its rest', async () => {
    const client = clientOf(scene.vault.url, scene.home.source.apiKey);
    const upload = uploadOf(audio);
    const shorter = { ...upload, open: () => Readable.from([audio.subarray(0, 100)]) };
    for (let i = 0; i < 3; i += 1) {
      expect(await client.upload(shorter)).toMatchObject({ outcome: 'later' });
      expect(await client.upload({ ...upload, metadata: { callId: randomUUID() } })).toMatchObject({
        outcome: 'stored',
      });
    }
  });

  test('with a wrong key: later, and nothing gets through before it is mended; also while a long body is being sent', async () => {
    const client = clientOf(scene.vault.url, 'cvk_wrong');
    for (const bytes of [1_000, 30_000_000])
      expect(await client.upload(uploadOf(randomBytes(bytes)))).toMatchObject({
        outcome: 'later',
        code: expect.stringMatching(/^(unauthenticated|unreachable)$/),
      });
    expect(await client.upload(uploadOf(audio))).toMatchObject({ code: 'unauthenticated', stopped: true });
  });
});

/** Servers that are no vault; what they say is attacker-controlled. */
const serverOf = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

describe('what is no vault', () => {
  test.each<[string, RequestListener]>([
    ['a page', (_, answer) => answer.end('<html>hello</html>')],
    ['an empty object', (_, answer) => answer.end('{}')],
    ['an id that is none', (_, answer) => answer.end('{"id":"../x","sha256":""}')],
    ['an endless answer', (_, answer) => void setInterval(() => answer.write('x'.repeat(65_536)), 1).unref()],
    ['no answer', () => undefined],
    ['a cut', (request) => request.socket.destroy()],
    ['a redirect', (_, answer) => answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['500', (_, answer) => answer.writeHead(500).end('oops')],
    [
      'another digest',
      (_, answer) => answer.writeHead(201).end(JSON.stringify({ id: randomUUID(), sha256: '0'.repeat(64) })),
    ],
  ])('%s: never stored, never refused, to be tried later', async (_, listener) => {
    const delivery = await clientOf(await serverOf(listener)).upload(uploadOf(randomBytes(200_000)));
    expect(delivery).toMatchObject({ outcome: 'later' });
    expect(JSON.stringify(delivery)).not.toMatch(/hello|oops|127\.0\.0\.1/);
  });

  test('waits as long as it is told, if that is a time', async () => {
    for (const [given, read] of [
      ['7', 7],
      ['-1', null],
      ['x', null],
      ['1e999', null],
    ] as const) {
      const url = await serverOf((_, answer) => answer.writeHead(503, { 'retry-after': given }).end());
      expect(await clientOf(url).upload(uploadOf(Buffer.from('x')))).toMatchObject({ retryAfter: read });
    }
  });

  test('nothing listens: said in words', async () => {
    expect(await clientOf('http://127.0.0.1:1').upload(uploadOf(Buffer.from('x')))).toMatchObject({
      outcome: 'later',
      reason: expect.stringMatching(/nothing listens/),
    });
  });

  test('a file that cannot be read is its own fault and not the vault’s', async () => {
    const url = await serverOf(() => undefined);
    const upload = { ...uploadOf(Buffer.from('x')), open: () => createReadStream('/nowhere/at/all') };
    await expect(clientOf(url).upload(upload)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('stops when it is told', async () => {
    const url = await serverOf(() => undefined);
    const upload = { ...uploadOf(Buffer.from('x')), signal: AbortSignal.timeout(100) };
    await expect(clientOf(url).upload(upload)).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }),
    );
  });
});

test.each([
  'vault.example.se',
  'ftp://vault.example.se',
  'http://vault.example.se',
  'http://127.0.0.1.example.se',
  'https://user:secret@vault.example.se',
  'https://vault.example.se/v1',
  'https://vault.example.se/?key=1',
  '',
])('%s is no address to send calls to', (text) => {
  expect(() => parseVaultUrl(text)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  expect(() => parseVaultUrl(text)).not.toThrow(/secret/);
});
