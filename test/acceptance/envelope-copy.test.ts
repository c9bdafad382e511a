import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newCall, sha256 } from '../support/care-line.ts';
import { uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { flipBit, objectPathOf } from '../support/kept-recording.ts';
import { type Scene, startScene } from '../support/scene.ts';
import type { VaultFolder } from '../support/vault.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** docs/file-format.md §4: what lies beside an object, and that nothing depends on it. */
let scene: Scene & { readonly folder: VaultFolder; readonly close: () => Promise<unknown> };
let people: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene?.close());

type Kept = { readonly id: string; readonly path: string; readonly audio: Buffer };

const keep = async (bytes: number): Promise<Kept> => {
  const { audio } = newCall(bytes);
  const { id } = await people.deliver({}, audio);
  const row = (await inspect(scene.folder)).rows.find((one) => one.id === id);
  return { id, audio, path: objectPathOf(scene.folder.dataDir, row?.object ?? '') };
};

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const CANONICAL = new RegExp(
  `^\\{"format":1,"algorithm":"tink-aes256gcm-hkdfsha256","segmentBytes":65536,"organisation":"${UUID}",` +
    `"recording":"${UUID}","generation":"${UUID}","plainBytes":\\d+,"sealedBytes":\\d+,"sealedSha256":"[0-9a-f]{64}",` +
    `"header":"28[0-9a-f]{78}","keyCommitment":"[0-9a-f]{64}"\\}\\n$`,
);

const storedEntry = async (recording: string): Promise<{ envelopeSha256: string; sealedSha256: string }> =>
  inDatabase(scene.folder, async (client) => {
    const text = `SELECT body::jsonb -> 'detail' AS detail FROM audit.entry
      WHERE body::jsonb ->> 'action' = 'recording.stored' AND body::jsonb ->> 'recording' = $1`;
    return (
      await client.query<{ detail: { envelopeSha256: string; sealedSha256: string } }>(text, [recording])
    ).rows[0]!.detail;
  });

test('the copy is the one line the document describes; the access log has its digest', async () => {
  const kept = await keep(200_000);
  const copy = await readFile(`${kept.path}.envelope`, 'latin1');
  expect(copy).toMatch(CANONICAL);
  const said = JSON.parse(copy) as Record<string, unknown>;
  const object = await readFile(kept.path);
  expect(said).toMatchObject({
    recording: kept.id,
    generation: kept.path.slice(-36),
    plainBytes: kept.audio.length,
    sealedBytes: object.length,
    sealedSha256: sha256(object),
    header: object.subarray(0, 40).toString('hex'),
  });
  expect(await storedEntry(kept.id)).toMatchObject({
    envelopeSha256: sha256(Buffer.from(copy)),
    sealedSha256: said.sealedSha256,
  });
  expect((await stat(`${kept.path}.envelope`)).mode & 0o777).toBe(0o600);
});

test.each<[string, (path: string) => Promise<unknown>]>([
  ['gone', (path) => rm(path)],
  ['damaged', (path) => flipBit(path, 300)],
  ['another file', (path) => writeFile(path, 'x'.repeat(100_000))],
])(
  'a copy that is %s keeps nobody from hearing; its recording is erased like any other',
  async (_how, change) => {
    const kept = await keep(100_000);
    await change(`${kept.path}.envelope`);
    const playing = await people.listening(scene.own.nurse, kept.id);
    expect((await playing.listen()).body.equals(kept.audio)).toBe(true);
    const asked = { token: await scene.home.admin.token(), json: { reason: 'retention' } };
    expect((await scene.http.delete(`/v1/recordings/${kept.id}`, asked)).status).toBe(204);
    for (const path of [kept.path, `${kept.path}.envelope`])
      await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  },
);

test('uploads that come to nothing leave neither object nor copy', async () => {
  const before = await inspect(scene.folder);
  expect(before.copies.length).toBeGreaterThan(0);
  const { callId, audio } = newCall(150_000);
  const program = Buffer.concat([Buffer.from('\x7fELF'), Buffer.alloc(90_000)]);
  const token = scene.home.source.apiKey;
  const refused = await scene.http.post('/v1/recordings', { token, form: uploadForm({ callId }, program) });
  expect(refused.text).toContain('refused_content');
  const headers = {
    'content-type': 'audio/wav',
    'content-digest': `sha-256=:${'A'.repeat(43)}=:`,
    'x-call-id': callId,
    'x-call-care-unit': scene.own.name,
  };
  const wrong = await scene.http.put(`/v1/ingest/${callId}`, { token, headers, body: audio });
  expect(wrong.text).toContain('digest_mismatch');
  const { objects, copies, strays } = await inspect(scene.folder);
  expect({ objects, copies, strays }).toEqual({
    objects: before.objects,
    copies: before.copies,
    strays: [],
  });
});
