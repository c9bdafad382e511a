import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wavFile } from '../support/audio-files.ts';
import { type BucketView, createBucketView } from '../support/bucket-view.ts';
import { until } from '../support/child.ts';
import { createHttpClient } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { s3Settings } from '../support/s3-bucket.ts';
import { adminCreateOf, buildScene, ROOMY, type Scene } from '../support/scene.ts';
import { createTus, locationOf, recordingOf, type Tus } from '../support/tus.ts';
import { newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Recordings that come in parts (docs/uploads.md), where parts and recordings lie in a bucket of a real S3 server. */
const bucket = `callvault-test-${randomUUID()}`;
let objects: BucketView;
let folder: VaultFolder;
let vault: RunningVault;
let scene: Scene;
let tus: Tus;

beforeAll(async () => {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3Settings();
  objects = createBucketView(bucket);
  folder = await newVaultFolder({
    ...ROOMY,
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
  });
  const { code, stderr } = await folder.cli('migrate');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  // Where a bucket keeps versions, parts must be gone in all of them.
  await objects.keepVersions();
  vault = await folder.start();
  scene = await buildScene(createHttpClient(vault.url), adminCreateOf(folder));
  tus = createTus(scene.http, scene.home.source.apiKey);
});
afterAll(async () => {
  scene?.http.close();
  await folder?.remove();
  await objects?.remove();
});

const MIB = 1024 ** 2;
/** Sound that is heard fast, for it is sent at eight times the pace at which it is heard. */
const newAudio = (bytes: number): Buffer =>
  wavFile({ data: randomBytes(bytes), rate: 96_000, channels: 2, bits: 24 });

const parts = async (): Promise<readonly string[]> =>
  (await objects.keys()).filter((key) => key.endsWith('.part'));

/** Nothing of a part, in any version, and nothing that has begun and not ended. */
const expectNoParts = async (seen: readonly string[]): Promise<void> => {
  expect(await parts()).toEqual([]);
  expect(await objects.unfinished()).toBe(0);
  for (const key of seen) expect(await objects.versions(key)).toEqual([0, 0]);
  const rows = await inDatabase(folder, (client) => client.query('SELECT 1 FROM upload_part'));
  expect(rows.rowCount).toBe(0);
};

const offsetOf = async (path: string): Promise<number> => {
  const { status, headers } = await tus.head(path);
  return status === 200 ? Number(headers['upload-offset']) : -1;
};

test('several parts, a connection that is cut within one, and the rest: played bit for bit, and no part is left', async () => {
  const audio = newAudio(22 * MIB);
  const path = locationOf(await tus.begin(audio.length));
  const first = 3 * MIB + 17;
  expect((await tus.patch(path, 0, audio.subarray(0, first))).status).toBe(204);
  const seen = new Set(await parts());
  expect(seen.size).toBe(1);
  // Cut when S3 has something of the part, but not the whole of it.
  const sent = audio.subarray(first, first + 14 * MIB);
  const { cut } = tus.standing(path, first, audio.length - first, sent);
  await until(async () => (await parts()).length === 2 && (await objects.unfinished()) === 1);
  cut();
  let kept = -1;
  await until(async () => {
    kept = await offsetOf(path);
    return kept >= 0;
  });
  // What had arrived of the part that was cut is there: more than the whole part before it.
  expect(kept).toBeGreaterThan(first + 8 * MIB);
  expect(kept).toBeLessThanOrEqual(first + sent.length);
  for (const key of await parts()) seen.add(key);
  expect(seen.size).toBe(3);
  const sealed = await objects.read([...seen][0] as string);
  expect(sealed.includes('RIFF')).toBe(false);
  expect(sealed.includes(audio.subarray(1_000, 1_032))).toBe(false);
  const last = await tus.patch(path, kept, audio.subarray(kept));
  expect(last.status).toBe(204);
  const id = recordingOf(last) ?? '';
  const opened = await createIntegrator(scene).listening(scene.own.nurse, id);
  const pieces: Buffer[] = [];
  for (let at = 0; at < audio.length; at += pieces.at(-1)!.length)
    pieces.push((await opened.listen({ range: `bytes=${at}-` })).body);
  expect(Buffer.concat(pieces).equals(audio)).toBe(true);
  await expectNoParts([...seen]);
}, 120_000);

test('past its time: gone for its source at once, and from the bucket with the next sweep', async () => {
  const before = await objects.keys();
  const audio = newAudio(9 * MIB);
  const path = locationOf(await tus.begin(audio.length));
  const id = path.split('/').at(-1) ?? '';
  expect((await tus.patch(path, 0, audio.subarray(0, -1))).status).toBe(204);
  const seen = await parts();
  expect(seen).toHaveLength(2);
  await inDatabase(
    folder,
    (client) =>
      client.query(
        `UPDATE resumable_upload SET created_at = now() - interval '3 days', expires_at = now() - interval '1 second' WHERE id = $1`,
        [id],
      ),
    'superuser',
  );
  expectProblem(await tus.patch(path, audio.length - 1, audio.subarray(-1)), 404, 'not_found');
  expect(await parts()).toEqual(seen);
  await vault.stop();
  vault = await folder.start({ PORT: new URL(scene.http.url).port });
  await expectNoParts(seen);
  expect(await objects.keys()).toEqual(before);
  const uploads = await inDatabase(folder, (client) =>
    client.query('SELECT 1 FROM resumable_upload WHERE id = $1', [id]),
  );
  expect(uploads.rowCount).toBe(0);
  const told = await createIntegrator(scene).entries({ action: 'recording.abandoned' });
  expect(told.at(-1)?.detail).toMatchObject({ reason: 'sweeper' });
}, 120_000);

test('killed within a part: the next start leaves nothing of it, and the upload goes on where it was', async () => {
  const audio = newAudio(12 * MIB);
  const path = locationOf(await tus.begin(audio.length));
  const first = 2 * MIB;
  await tus.patch(path, 0, audio.subarray(0, first));
  const { cut } = tus.standing(path, first, audio.length - first, audio.subarray(first, first + 6 * MIB));
  await until(async () => (await objects.unfinished()) === 1);
  await vault.kill();
  cut();
  expect(await objects.unfinished()).toBe(1);
  vault = await folder.start({ PORT: new URL(scene.http.url).port });
  expect(await objects.unfinished()).toBe(0);
  expect(await offsetOf(path)).toBe(first);
  const seen = await parts();
  expect(seen).toHaveLength(1);
  const last = await tus.patch(path, first, audio.subarray(first));
  expect(last.status).toBe(204);
  expect(recordingOf(last)).toMatch(/^[0-9a-f-]{36}$/);
  await expectNoParts(seen);
}, 120_000);
