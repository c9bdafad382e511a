import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { type Source, startScene } from '../support/scene.ts';

/** `--seal-with`: as a telephony host does it, with keys made by openssl. */
let scene: Awaited<ReturnType<typeof startScene>>;
let source: Source;
let host: PbxHost;
let signingKey: string;
let edgeKey: string;
const audio = generatedCall(4, 951);

beforeAll(async () => {
  scene = await startScene();
  source = await scene.stage.source(scene.home.admin, scene.own.id);
  host = createPbxHost(source.apiKey);
  signingKey = join(host.spool, 'signing.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', signingKey], { stdio: 'ignore' });
  chmodSync(signingKey, 0o600);
  writeFileSync(join(host.spool, 'call.wav'), audio);
  edgeKey = join(host.home, 'edge-key.json');
  const answer = await scene.http.get('/v1/edge-key', { token: source.apiKey });
  writeFileSync(edgeKey, JSON.stringify(jsonOf(answer, 200)));
});
afterAll(async () => {
  await host?.close();
  await scene?.close();
});

const push = async (...args: string[]) => {
  const ended = await host.run(
    [
      'push',
      '--url',
      scene.vault.url,
      '--key-file',
      host.keyFile,
      '--try-for',
      '0',
      '--json',
      ...args,
      join(host.spool, 'call.wav'),
    ],
    {},
  );
  const files =
    ended.out === ''
      ? []
      : (JSON.parse(ended.out) as { files: { outcome: string; id: string; code?: string }[] }).files;
  return { ...ended, files };
};

test('before the vault knows the signing key nothing is taken; with it, sealed and only sealed', async () => {
  const sealing = ['--seal-with', signingKey, '--edge-key', edgeKey];
  const early = await push(...sealing);
  expect(early.files).toMatchObject([{ outcome: 'later', code: 'forbidden' }]);
  const publicKey = execFileSync('openssl', ['pkey', '-in', signingKey, '-pubout', '-outform', 'DER'])
    .subarray(-32)
    .toString('base64url');
  jsonOf(
    await scene.http.patch(`/v1/admin/sources/${source.id}`, {
      token: await scene.home.admin.token(),
      json: { signingKey: publicKey },
    }),
    200,
  );
  expect((await push()).files).toMatchObject([{ outcome: 'later', code: 'forbidden' }]);
  const sealed = await push(...sealing);
  expect([sealed.code, sealed.files]).toMatchObject([0, [{ outcome: 'stored' }]]);
  const { body } = await (
    await createIntegrator(scene).listening(scene.own.nurse, sealed.files[0]?.id ?? '')
  ).listen();
  expect(body.equals(audio)).toBe(true);
});

test('a signing key that others can read, or that is none, is refused before anything is sent', async () => {
  chmodSync(signingKey, 0o644);
  expect(await push('--seal-with', signingKey, '--edge-key', edgeKey)).toMatchObject({ code: 2, files: [] });
  chmodSync(signingKey, 0o600);
  const none = await push('--seal-with', host.keyFile, '--edge-key', edgeKey);
  expect(none).toMatchObject({ code: 2, files: [] });
  expect(none.err).toMatch(/Ed25519/);
  expect(none.err).not.toContain(source.apiKey);
});

test('without a key to seal to, or with one that others could have changed: nothing is sent', async () => {
  const alone = await push('--seal-with', signingKey);
  expect(alone).toMatchObject({ code: 2, files: [] });
  expect(alone.err).toMatch(/--edge-key/);
  expect(await push('--edge-key', edgeKey)).toMatchObject({ code: 2, files: [] });
  const open = join(host.home, 'open.json');
  writeFileSync(open, readFileSync(edgeKey));
  chmodSync(open, 0o666);
  const changeable = await push('--seal-with', signingKey, '--edge-key', open);
  expect(changeable).toMatchObject({ code: 2, files: [] });
  expect(changeable.err).toMatch(/changed by others/);
});

test('somebody in between sees neither number nor name, and gets nothing sealed to a key of his own', async () => {
  const seen: Buffer[] = [];
  const own = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const between = createServer((request, answer) => {
    const body: Buffer[] = [];
    request.on('data', (chunk: Buffer) => body.push(chunk));
    request.on('end', () => {
      seen.push(Buffer.from(request.url ?? ''), ...body);
      const said = JSON.parse(readFileSync(edgeKey, 'utf8')) as object;
      if (request.method === 'GET')
        answer.end(JSON.stringify({ ...said, publicKey: own.toString('base64url') }));
      else answer.writeHead(503).end();
    });
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(between.address() as AddressInfo).port}`;
  const name = '0701740699_2026-03-01_08-15-30.wav';
  writeFileSync(join(host.spool, name), audio);
  const ended = await host.run(
    ['push', '--url', url, '--key-file', host.keyFile, '--try-for', '0', '--read-name'].concat(
      '--seal-with',
      signingKey,
      '--edge-key',
      edgeKey,
      join(host.spool, name),
    ),
    { env: { CALLVAULT_PERSONAL_NUMBER: '191212121212', CALLVAULT_QUEUE: 'Barnmottagningen' } },
  );
  await new Promise((resolve) => between.close(resolve));
  expect(ended.code).toBe(3);
  const wire = Buffer.concat(seen).toString('latin1');
  expect(wire.length).toBeGreaterThan(audio.length);
  const manifest = /\r\n\r\n([\w-]+\.[\w-]+\.[\w-]+)\r\n/.exec(wire)?.[1] ?? '';
  const told = Buffer.from(manifest.split('.')[1] ?? '', 'base64url').toString('latin1');
  expect(told).toMatch(/"sealedDek"/);
  for (const secret of ['0701740699', '191212121212', 'Barnmottagningen', own.toString('base64url')])
    expect(wire + told).not.toContain(secret);
  expect(wire).not.toContain(audio.subarray(1_000, 1_100).toString('latin1'));
  expect(wire).toContain('/v1/sealed-recordings');
  expect(wire).not.toContain('edge-key');
});
