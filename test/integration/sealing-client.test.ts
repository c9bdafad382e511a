import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSealingClient, type EdgeKey, readEdgeKey } from '../../src/agent/sealing-client.ts';
import { createVaultClient, type Upload, type VaultClient } from '../../src/agent/vault-client.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { type Source, startScene } from '../support/scene.ts';

let scene: Awaited<ReturnType<typeof startScene>>;
let source: Source;
let client: VaultClient;
let edgeKey: EdgeKey;
const signing = generateKeyPairSync('ed25519');
const audio = generatedCall(20, 81);

beforeAll(async () => {
  scene = await startScene();
  source = await scene.stage.source(scene.home.admin, scene.own.id);
  const signingKey = signing.publicKey
    .export({ format: 'der', type: 'spki' })
    .subarray(-32)
    .toString('base64url');
  jsonOf(
    await scene.http.patch(`/v1/admin/sources/${source.id}`, {
      token: await scene.home.admin.token(),
      json: { signingKey },
    }),
    200,
  );
  client = createVaultClient({ url: scene.vault.url, apiKey: source.apiKey });
  const answer = await scene.http.get('/v1/edge-key', { token: source.apiKey });
  edgeKey = readEdgeKey(JSON.stringify(jsonOf(answer, 200)));
});
afterAll(async () => {
  client?.close();
  await scene?.close();
});

const uploadOf = (bytes: Buffer, metadata: Record<string, string> = {}): Upload => ({
  open: () => Readable.from([bytes.subarray(0, 50_000), bytes.subarray(50_000)]),
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
  mediaType: 'audio/wav',
  metadata: { callId: randomUUID(), ...metadata },
});

test('what is sealed before it leaves is played bit for bit, with what was said of it', async () => {
  const sealing = createSealingClient(client, signing.privateKey, edgeKey);
  const upload = uploadOf(audio, {
    callerNumber: '0701740605',
    channels: 'caller',
    segment: '3',
    pauses: '1000-2000',
    originalName: 'Måndag 📞.wav',
  });
  const first = await sealing.upload(upload);
  expect(first).toMatchObject({ outcome: 'stored', created: true });
  expect(await sealing.upload(upload)).toEqual({ ...first, created: false });
  const people = createIntegrator(scene);
  const { id } = first as { id: string };
  const { body } = await (await people.listening(scene.own.nurse, id)).listen();
  expect(body.equals(audio)).toBe(true);
  const facts = await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() });
  expect(jsonOf(facts, 200)).toMatchObject({
    callerNumber: '0701740605',
    originalName: 'Måndag 📞.wav',
    segment: 3,
  });
});

test('several at once, and an empty one', async () => {
  const sealing = createSealingClient(client, signing.privateKey, edgeKey);
  const uploads = [randomBytes(65_480), randomBytes(65_481), randomBytes(1), Buffer.alloc(0)].map((bytes) =>
    uploadOf(bytes),
  );
  for (const delivery of await Promise.all(uploads.map((upload) => sealing.upload(upload))))
    expect(delivery).toMatchObject({ outcome: 'stored', created: true });
});

test('a file that changed since its digest was reckoned is to be sent again', async () => {
  const sealing = createSealingClient(client, signing.privateKey, edgeKey);
  const upload = { ...uploadOf(audio), open: () => Readable.from([Buffer.alloc(audio.length)]) };
  expect(await sealing.upload(upload)).toMatchObject({ outcome: 'later', code: 'digest_mismatch' });
  const shorter = { ...uploadOf(audio), open: () => Readable.from([audio.subarray(0, 100)]) };
  expect(await sealing.upload(shorter)).toMatchObject({ outcome: 'later' });
});

test('without the key that the vault knows: later, and nothing else gets through either', async () => {
  const stranger = createSealingClient(client, generateKeyPairSync('ed25519').privateKey, edgeKey);
  expect(await stranger.upload(uploadOf(audio))).toMatchObject({ code: 'forbidden', stopped: true });
  const other = createVaultClient({ url: scene.vault.url, apiKey: 'cvk_wrong' });
  expect(await createSealingClient(other, signing.privateKey, edgeKey).upload(uploadOf(audio))).toMatchObject(
    {
      code: 'unauthenticated',
      stopped: true,
    },
  );
  other.close();
});

test('a file that cannot be read is its own fault and not the vault’s', async () => {
  const sealing = createSealingClient(client, signing.privateKey, edgeKey);
  const upload = { ...uploadOf(audio), open: () => createReadStream('/nowhere/at/all') };
  await expect(sealing.upload(upload)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a key that the vault does not have: nothing of the recording opens elsewhere, and it is not tried for ever', async () => {
  const swapped = generateKeyPairSync('x25519')
    .publicKey.export({ format: 'der', type: 'spki' })
    .subarray(-32);
  const wrong: EdgeKey[] = [
    { ...edgeKey, publicKey: swapped },
    { ...edgeKey, keyVersion: edgeKey.keyVersion + 7 },
    { ...edgeKey, organisation: randomUUID() as EdgeKey['organisation'] },
  ];
  for (const key of wrong)
    expect(await createSealingClient(client, signing.privateKey, key).upload(uploadOf(audio))).toMatchObject({
      outcome: 'later',
      code: 'edge_key_refused',
      stopped: true,
      reason: expect.stringMatching(/--edge-key .* anew/),
    });
});

test('what is wrong with a call is said of that call, and is no fault of the key', async () => {
  const sealing = createSealingClient(client, signing.privateKey, edgeKey);
  expect(await sealing.upload(uploadOf(audio, { personalNumber: '0701740605' }))).toMatchObject({
    outcome: 'refused',
    code: 'not_acceptable_metadata',
  });
});

test.each<[string, unknown]>([
  ['nothing', ''],
  ['no JSON', 'cv'],
  ['null', null],
  ['a list', []],
  ['another algorithm', { algorithm: 2 }],
  ['a version that is none', { keyVersion: '1' }],
  ['an organisation that is none', { organisation: '../x' }],
  ['a key that is too short', { publicKey: 'AAAA' }],
  ['a key of low order', { publicKey: 'A'.repeat(43) }],
  ['no key', { publicKey: null }],
])('a file of the key with %s: refused', (_, change) => {
  const good = { ...edgeKey, algorithm: 1, publicKey: Buffer.from(edgeKey.publicKey).toString('base64url') };
  expect(readEdgeKey(JSON.stringify(good))).toEqual({
    ...edgeKey,
    publicKey: Buffer.from(edgeKey.publicKey),
  });
  const text =
    typeof change === 'object' && change !== null && !Array.isArray(change)
      ? JSON.stringify({ ...good, ...change })
      : typeof change === 'string'
        ? change
        : JSON.stringify(change);
  expect(() => readEdgeKey(text)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
});
