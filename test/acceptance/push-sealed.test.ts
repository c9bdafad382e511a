import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
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
const audio = generatedCall(4, 951);

beforeAll(async () => {
  scene = await startScene();
  source = await scene.stage.source(scene.home.admin, scene.own.id);
  host = createPbxHost(source.apiKey);
  signingKey = join(host.spool, 'signing.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', signingKey], { stdio: 'ignore' });
  chmodSync(signingKey, 0o600);
  writeFileSync(join(host.spool, 'call.wav'), audio);
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
  const early = await push('--seal-with', signingKey);
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
  const sealed = await push('--seal-with', signingKey);
  expect([sealed.code, sealed.files]).toMatchObject([0, [{ outcome: 'stored' }]]);
  const { body } = await (
    await createIntegrator(scene).listening(scene.own.nurse, sealed.files[0]?.id ?? '')
  ).listen();
  expect(body.equals(audio)).toBe(true);
});

test('a signing key that others can read, or that is none, is refused before anything is sent', async () => {
  chmodSync(signingKey, 0o644);
  expect(await push('--seal-with', signingKey)).toMatchObject({ code: 2, files: [] });
  chmodSync(signingKey, 0o600);
  const none = await push('--seal-with', host.keyFile);
  expect(none).toMatchObject({ code: 2, files: [] });
  expect(none.err).toMatch(/Ed25519/);
  expect(none.err).not.toContain(source.apiKey);
});
