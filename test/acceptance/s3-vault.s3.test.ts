import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BucketView, createBucketView } from '../support/bucket-view.ts';
import { until } from '../support/child.ts';
import { createFlakyProxy, type FlakyProxy } from '../support/flaky-proxy.ts';
import { generatedCall } from '../support/generated-call.ts';
import { createHttpClient, jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { s3Settings } from '../support/s3-bucket.ts';
import { adminCreateOf, buildScene, ROOMY, type Scene } from '../support/scene.ts';
import { newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';

/** A vault whose objects lie in a bucket (with versions) of a real S3 server, reached over a line that can be cut. */
const bucket = `callvault-test-${randomUUID()}`;
/** Eight minutes: two parts of a multipart upload, many pieces of a playback. */
const audio = generatedCall(480);

let objects: BucketView;
let line: FlakyProxy;
let folder: VaultFolder;
let vault: RunningVault;
let scene: Scene;
let people: ReturnType<typeof createIntegrator>;

const serve = async (): Promise<void> => {
  vault = await folder.start();
};

beforeAll(async () => {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3Settings();
  objects = createBucketView(bucket);
  line = await createFlakyProxy(endpoint);
  folder = await newVaultFolder({
    ...ROOMY,
    S3_ENDPOINT: line.endpoint,
    S3_REGION: region,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
  });
});
afterEach(() => line.setFault(null));
afterAll(async () => {
  scene?.http.close();
  await folder?.remove();
  await line?.close();
  await objects?.remove();
});

/** Uploads and returns the id and the key of the one object that came into the bucket, beside it the copy of its envelope. */
const keep = async (upload: () => Promise<{ id: string }>): Promise<{ id: string; key: string }> => {
  const before = await objects.keys();
  const { id } = await upload();
  const added = (await objects.keys()).filter((key) => !before.includes(key));
  expect(added).toEqual([added[0], `${added[0]}.envelope`]);
  return { id, key: added[0] as string };
};
const byForm = (sound: Buffer = audio) => keep(() => people.deliver({}, sound));
const byPut = (sound: Buffer = audio) =>
  keep(async () => {
    const headers = {
      'content-type': 'audio/wav',
      'x-call-id': randomUUID(),
      'x-call-care-unit': scene.own.name,
    };
    const asked = { token: scene.home.source.apiKey, headers, body: sound };
    return jsonOf<{ id: string }>(await scene.http.put(`/v1/ingest/${randomUUID()}`, asked), 201);
  });

describe('the bucket', () => {
  test('without it the vault does not start, and says what to do', async () => {
    const { code, stdout, stderr } = await folder.cli('serve');
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    // Nothing was made for a vault that cannot be.
    expect([existsSync(folder.dataDir), existsSync(folder.keysDir)]).toEqual([false, false]);
    expect(stderr).toBe(
      `callvault: There is no bucket ${bucket}: run "callvault migrate" to have it made, or make it with the tools of the object store.\n`,
    );
  });

  test('`migrate` makes it once', async () => {
    const first = await folder.cli('migrate');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain(`Made the bucket ${bucket}.\n`);
    const again = await folder.cli('migrate');
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toContain(`The bucket ${bucket} is there.\n`);
    await objects.keepVersions();
  });

  test('while the store is away the vault does not start either', async () => {
    line.setFault({ direction: 'request', after: 0, how: 'reset' });
    const { code, stderr } = await folder.cli('serve');
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^callvault: The object store (cannot be used now|did not answer in time): \S+ \(S3_ENDPOINT\), bucket \S+ \(S3_BUCKET\), \w+\. Check that it runs there and can be reached from here\.\n$/,
    );
  });

  test('with it, it serves', async () => {
    await serve();
    const http = createHttpClient(vault.url);
    scene = await buildScene(http, adminCreateOf(folder));
    people = createIntegrator(scene);
    expect((await http.get('/readyz')).status).toBe(200);
    await until(() => vault.output().includes('objects in S3'));
  });
});

describe('a recording', () => {
  test.each([
    ['of unknown length (form): a multipart upload', byForm, /-\d+"$/],
    ['of known length (PUT): one request', byPut, /^"[0-9a-f]{32}"$/],
  ] as const)('%s, and it plays bit for bit', async (_how, upload, etag) => {
    const { id, key } = await upload();
    expect((await objects.head(key)).ETag).toMatch(etag);
    const playing = await people.listening(scene.own.nurse, id);
    const parts: Buffer[] = [];
    for (let at = 0; at < audio.length; at += parts.at(-1)!.length)
      parts.push((await playing.listen({ range: `bytes=${at}-` })).body);
    expect(Buffer.concat(parts).equals(audio)).toBe(true);
    for (const [start, end] of [
      [0, 99],
      [65_400, 65_700],
      [5_000_000, 5_400_000],
      [audio.length - 10, audio.length - 1],
    ] as const) {
      const part = await playing.listen({ range: `bytes=${start}-${end}` });
      expect([part.status, part.headers['content-range']]).toEqual([
        206,
        `bytes ${start}-${end}/${audio.length}`,
      ]);
      expect(part.body.equals(audio.subarray(start, end + 1))).toBe(true);
    }
    expect(await objects.unfinished()).toBe(0);
  });

  test('is nothing but a random name in the bucket: no metadata, no tags, no plain bytes', async () => {
    const listed = await objects.keys();
    expect(listed.length).toBeGreaterThan(4);
    const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
    for (const key of listed) {
      expect(key).toMatch(new RegExp(`^recordings/${uuid}/${uuid}(\\.envelope)?$`));
      const { Metadata, ContentType, TagCount, ContentDisposition, ContentLanguage, CacheControl } =
        await objects.head(key);
      expect(Metadata).toEqual({});
      expect(ContentType ?? 'binary/octet-stream').toMatch(/^(binary|application)\/octet-stream$/);
      expect([TagCount, ContentDisposition, ContentLanguage, CacheControl]).toEqual(Array(4).fill(undefined));
    }
    const sealed = await objects.read(listed.findLast((key) => !key.endsWith('.envelope')) as string);
    expect(sealed.includes('RIFF')).toBe(false);
    expect(sealed.includes(audio.subarray(1000, 1016))).toBe(false);
  });
});

/** The bytes of an object, put back changed under the same key. */
const damage = async (key: string, change: (sealed: Buffer) => Buffer): Promise<void> => {
  await objects.write(key, change(await objects.read(key)));
};
const flipped = (at: number) => (sealed: Buffer) => {
  sealed[at] = (sealed[at] as number) ^ 1;
  return sealed;
};

describe('an object that somebody with the bucket’s keys has', () => {
  test.each<[string, (key: string) => Promise<unknown>]>([
    ['changed', (key) => damage(key, flipped(100))],
    ['cut', (key) => damage(key, (sealed) => sealed.subarray(0, 65_536))],
    ['emptied', (key) => damage(key, () => Buffer.alloc(0))],
    ['deleted', (key) => objects.delete(key)],
    [
      'replaced by another recording',
      async (key) => {
        const { key: other } = await byForm(generatedCall(20, 7));
        await objects.write(key, await objects.read(other));
      },
    ],
  ])('%s: 502, no byte, an alarm', async (_what, change) => {
    const { id, key } = await byForm(generatedCall(20));
    await change(key);
    const playing = await people.listening(scene.own.nurse, id);
    expectProblem(await playing.listen({ range: 'bytes=0-99' }), 502, 'integrity_failure');
    expectProblem(await playing.listen(), 502, 'integrity_failure');
    expect(await people.entries({ recording: id, action: 'recording.damaged' })).toHaveLength(1);
    await until(() => vault.output().includes('ALARM'));
  });

  test('changed behind its beginning: what is before it plays, what touches it does not', async () => {
    const { id, key } = await byForm(generatedCall(20));
    await damage(key, flipped(3 * 65_536));
    const playing = await people.listening(scene.own.nurse, id);
    const before = await playing.listen({ range: 'bytes=0-99999' });
    expect(before.status).toBe(206);
    expect(before.body.equals(generatedCall(20).subarray(0, 100_000))).toBe(true);
    expectProblem(await playing.listen({ range: 'bytes=190000-210000' }), 502, 'integrity_failure');
    // The answer to the whole begins before its end has been looked at, and is cut where it would be wrong.
    await expect(playing.listen()).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  });
});

test('erased: no version of the object and of the copy beside it is left, and no delete marker', async () => {
  const { id, key } = await byForm(generatedCall(20));
  // A second version and a marker, as a careless tool would make them.
  for (const name of [key, `${key}.envelope`]) {
    await damage(name, (bytes) => bytes);
    await objects.delete(name);
  }
  // Those of the copy, whose name begins with the object's, are among them.
  expect(await objects.versions(key)).toEqual([4, 2]);
  const asked = { token: await scene.home.admin.token(), json: { reason: 'retention' } };
  expect((await scene.http.delete(`/v1/recordings/${id}`, asked)).status).toBe(204);
  expect(await objects.versions(key)).toEqual([0, 0]);
  expectProblem(await people.open(scene.own.nurse, id), 410, 'erased');
});

test('bundles of wrapped keys: the newest two, and no version of an older one', async () => {
  const bundles = async (): Promise<string[]> =>
    (await objects.keys()).filter((key) => key.startsWith('keys-export/'));
  const made: string[] = [];
  for (let time = 0; time < 3; time += 1) {
    const { code, stdout } = await folder.cli('export-keys', '--json');
    expect(code).toBe(0);
    made.push((JSON.parse(stdout) as { where: string }).where.replace(`s3://${bucket}/`, ''));
  }
  expect(await bundles()).toEqual(made.slice(1));
  expect(await objects.versions('keys-export/')).toEqual([2, 0]);
  const lines = (await objects.read(made[2]!)).toString('latin1').trimEnd().split('\n');
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ end: true, count: lines.length - 2 });
  for (const key of made.slice(1)) await objects.delete(key);
});

test('H-5 checkpoints of the access log are locked in the bucket, which makes it a second place', async () => {
  await until(async () => (await objects.checkpoints()).length > 0);
  const [first] = await objects.checkpoints();
  expect((await objects.head(first!)).ObjectLockMode).toBe('COMPLIANCE');
  const { stdout } = await folder.cli('doctor');
  expect(stdout).toContain(`checkpoint\ts3://${bucket}/checkpoints\t`);
  expect(stdout).not.toContain('No second place');
  await until(() => vault.output().includes(`access log: checkpoints in s3://${bucket}/checkpoints\n`));
});

describe('the store goes away and comes back', () => {
  test('uploads and playback answer 503, nothing is visible, and all is well again without a restart', async () => {
    const { id } = await byForm(generatedCall(20));
    const playing = await people.listening(scene.own.nurse, id);
    const before = await objects.keys();
    line.setFault({ direction: 'request', after: 0, how: 'reset' });
    const callId = randomUUID();
    await expect(people.deliver({ callId }, generatedCall(2))).rejects.toThrow(/answered 503/);
    expectProblem(await playing.listen({ range: 'bytes=0-99' }), 503, 'storage_unavailable');
    expectProblem(await playing.listen(), 503, 'storage_unavailable');
    await until(async () => (await scene.http.get('/readyz')).status === 503);
    // What needs no object goes on.
    expect(await people.search(scene.own.nurse, { callId })).toEqual([]);
    line.setFault(null);
    expect((await playing.listen({ range: 'bytes=0-99' })).status).toBe(206);
    await until(async () => (await scene.http.get('/readyz')).status === 200);
    expect(await objects.keys()).toEqual(before);
    await people.deliver({ callId }, generatedCall(2));
    expect(await people.search(scene.own.nurse, { callId })).toHaveLength(1);
  });

  test('killed in the middle of an upload: the next start leaves no part of it in the bucket', async () => {
    const before = await objects.keys();
    const { hostname, port } = new URL(vault.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    const boundary = 'half';
    socket.write(
      [
        'POST /v1/recordings HTTP/1.1',
        'Host: vault',
        `Authorization: Bearer ${scene.home.source.apiKey}`,
        `Content-Type: multipart/form-data; boundary=${boundary}`,
        `Content-Length: ${audio.length + 10_000}`,
        '',
        `--${boundary}`,
        'Content-Disposition: form-data; name="metadata"',
        'Content-Type: application/json',
        '',
        JSON.stringify({ callId: randomUUID() }),
        `--${boundary}`,
        'Content-Disposition: form-data; name="audio"; filename="a"',
        'Content-Type: audio/wav',
        '',
        '',
      ].join('\r\n'),
    );
    socket.write(audio);
    await until(async () => (await objects.unfinished()) > 0);
    await vault.kill();
    socket.destroy();
    expect(await objects.unfinished()).toBe(1);
    scene.http.close();
    await serve();
    expect(await objects.unfinished()).toBe(0);
    expect(await objects.keys()).toEqual(before);
  });
});
