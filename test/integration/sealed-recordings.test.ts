import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GenerationId, OrganisationId, RecordingId } from '../../src/core/ids.ts';
import { type EdgeRecording, sealAtEdge } from '../../src/crypto/edge-sealing.ts';
import type { ObjectIdentity } from '../../src/crypto/envelope.ts';
import { collected, inChunks } from '../support/byte-streams.ts';
import { generatedCall } from '../support/generated-call.ts';
import { formOf, jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Source, startScene } from '../support/scene.ts';

/** A source that seals by itself: what comes is opened in memory, and stored as it came. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
let source: Source;
let edge: { organisation: string; keyVersion: number; publicKey: string };
const signing = generateKeyPairSync('ed25519');
const publicText = (key: KeyObject): string =>
  key.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64url');
const audio = generatedCall(20, 71);

const settingsOf = async (id: string, change: object): Promise<Reply> =>
  scene.http.patch(`/v1/admin/sources/${id}`, { token: await scene.home.admin.token(), json: change });

beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
  source = await scene.stage.source(scene.home.admin, scene.own.id);
  jsonOf(await settingsOf(source.id, { signingKey: publicText(signing.publicKey) }), 200);
  edge = jsonOf(await scene.http.get('/v1/edge-key', { token: source.apiKey }), 200);
});
afterAll(() => scene?.close());

const identityOf = (over: Partial<ObjectIdentity> = {}): ObjectIdentity => ({
  organisation: edge.organisation as OrganisationId,
  recording: randomUUID() as RecordingId,
  generation: randomUUID() as GenerationId,
  ...over,
});
const sealed = async (
  identity = identityOf(),
  {
    plain = audio,
    key = signing.privateKey,
    ...over
  }: Partial<EdgeRecording> & { plain?: Buffer; key?: KeyObject } = {},
) => {
  const { manifest, object } = sealAtEdge(
    identity,
    { keyVersion: edge.keyVersion, publicKey: Buffer.from(edge.publicKey, 'base64url') },
    {
      source: inChunks(plain, 10_007),
      plainBytes: plain.length,
      plainSha256: createHash('sha256').update(plain).digest(),
      mediaType: 'audio/wav',
      metadata: { callId: randomUUID(), callerNumber: '0701740605' },
      ...over,
    },
    key,
  );
  return { manifest, object: await collected(object) };
};
const send = (manifest: string, object: Buffer, token = source.apiKey): Promise<Reply> =>
  scene.http.post('/v1/sealed-recordings', {
    token,
    form: formOf([
      { name: 'manifest', content: manifest },
      { name: 'object', content: object, type: 'application/octet-stream' },
    ]),
  });
const played = async (id: string): Promise<Buffer> =>
  (await (await people.listening(scene.own.nurse, id)).listen()).body;
type Answer = {
  readonly id: string;
  readonly sha256: string;
  readonly durationMs: number;
  readonly flags: string[];
};

test('is stored, found and played bit for bit, under the id that the source chose', async () => {
  const identity = identityOf();
  const { manifest, object } = await sealed(identity);
  const answer = jsonOf<Answer>(await send(manifest, object), 201);
  expect(answer).toMatchObject({
    id: identity.recording,
    sha256: createHash('sha256').update(audio).digest('hex'),
    durationMs: 20_000,
  });
  expect((await played(answer.id)).equals(audio)).toBe(true);
  const [entry] = await people.entries({ recording: answer.id, action: 'recording.stored' });
  expect(entry?.detail.sealedSha256).toBe(createHash('sha256').update(object).digest('hex'));
});

test('again, sealed anew under other ids: the recording that is there already', async () => {
  const metadata = { callId: randomUUID() };
  const first = await sealed(identityOf(), { metadata });
  const { id } = jsonOf<Answer>(await send(first.manifest, first.object), 201);
  const second = await sealed(identityOf(), { metadata });
  expect(jsonOf<Answer>(await send(second.manifest, second.object), 200).id).toBe(id);
});

test('empty, and with unknown audio: kept and flagged like any other', async () => {
  for (const plain of [Buffer.alloc(0), Buffer.from('no sound at all')]) {
    const { manifest, object } = await sealed(identityOf(), { plain });
    expect(jsonOf<Answer>(await send(manifest, object), 201).flags.length).toBeGreaterThan(0);
  }
});

test('an id that is taken: 409, and what is there stays', async () => {
  const identity = identityOf();
  const first = await sealed(identity);
  jsonOf(await send(first.manifest, first.object), 201);
  for (const taken of [identity, identityOf({ generation: identity.generation })]) {
    const again = await sealed(taken, { plain: generatedCall(2, 72) });
    expectProblem(await send(again.manifest, again.object), 409, 'conflict');
  }
  expect((await played(identity.recording)).equals(audio)).toBe(true);
});

test('signed by another, or by nobody known: 403, nothing stored, an entry', async () => {
  const identity = identityOf();
  const { manifest, object } = await sealed(identity, { key: generateKeyPairSync('ed25519').privateKey });
  expectProblem(await send(manifest, object), 403, 'forbidden');
  const plainSource = await scene.stage.source(scene.home.admin, scene.own.id);
  expectProblem(await send((await sealed()).manifest, object, plainSource.apiKey), 403, 'forbidden');
  expect((await people.open(scene.own.nurse, identity.recording)).status).toBe(404);
  expect(await people.entries({ actor: plainSource.id, action: 'recording.refused' })).toHaveLength(1);
});

test('a source with a signing key adds nothing unsealed, until the key is taken from it', async () => {
  const deliver = (): Promise<Reply> =>
    scene.http.post('/v1/recordings', {
      token: source.apiKey,
      form: uploadForm({ callId: randomUUID() }, audio),
    });
  expectProblem(await deliver(), 403, 'forbidden');
  jsonOf(await settingsOf(source.id, { signingKey: null }), 200);
  jsonOf(await deliver(), 201);
  jsonOf(await settingsOf(source.id, { signingKey: publicText(signing.publicKey) }), 200);
});

test.each([
  ['a changed byte', (object: Buffer) => object.fill(object[70_000] === 0 ? 1 : 0, 70_000, 70_001)],
  ['a missing end', (object: Buffer) => object.subarray(0, 65_536)],
  ['something behind it', (object: Buffer) => Buffer.concat([object, Buffer.alloc(1)])],
  ['the object of another', async () => (await sealed()).object],
  ['nothing', () => Buffer.alloc(0)],
])('%s: 400, and nothing is stored', async (_, change) => {
  const identity = identityOf();
  const { manifest, object } = await sealed(identity);
  expectProblem(await send(manifest, await change(object)), 400, 'digest_mismatch');
  expect((await people.open(scene.own.nurse, identity.recording)).status).toBe(404);
});

test('a manifest that says something else of the audio than is so: 400', async () => {
  for (const over of [{ plainSha256: Buffer.alloc(32) }, { plainBytes: audio.length - 1 }]) {
    const { manifest, object } = await sealed(identityOf(), over);
    expect((await send(manifest, object)).status).toBe(400);
  }
  const elsewhere = await sealed(identityOf({ organisation: randomUUID() as OrganisationId }));
  expectProblem(await send(elsewhere.manifest, elsewhere.object), 400, 'invalid_request');
  const unknown = await sealed(identityOf(), { metadata: { callId: 'x', nonsense: 1 } });
  expectProblem(await send(unknown.manifest, unknown.object), 400, 'not_acceptable_metadata');
});

test('no signing key that is none', async () => {
  for (const signingKey of ['', 'x', `${'A'.repeat(42)}B`, 'A'.repeat(44), 5])
    expect((await settingsOf(source.id, { signingKey })).status).toBe(400);
  // Of low order: zero, one, and a point of order eight; and what is no point at all.
  for (const hex of [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    `02${'00'.repeat(31)}`,
  ]) {
    const signingKey = Buffer.from(hex, 'hex').toString('base64url');
    const refused = await settingsOf(source.id, { signingKey });
    expectProblem(refused, 400, 'invalid_request');
    expect(refused.text).toMatch(/signingKey.*no public key of Ed25519/s);
  }
});
