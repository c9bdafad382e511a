import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import type { SourceActor } from '../../src/core/access.ts';
import type { SourceId } from '../../src/core/ids.ts';
import { parseMetadata } from '../../src/core/metadata.ts';
import { createLogger } from '../../src/logger.ts';
import { openResources, type Resources } from '../../src/resources.ts';
import { wavFile } from '../support/audio-files.ts';
import { until } from '../support/child.ts';
import { type Identity, newOrganisation } from '../support/identity.ts';
import { startTestDatabase, type TestDatabase, urlOf } from '../support/postgres.ts';
import { createBucket, s3Settings, type TestBucket } from '../support/s3-bucket.ts';
import { ROOMY } from '../support/scene.ts';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';

/** Two instances on one database and one bucket: what the one writes slowly, the other's sweeper must not take for abandoned. */
let db: TestDatabase;
let bucket: TestBucket;
let folder: VaultFolder;
let writing: Resources;
let sweeping: Resources;
let actor: SourceActor;

const open = (name: string): Promise<Resources> => {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3Settings();
  const env = {
    ...folder.env,
    ...ROOMY,
    DATA_DIR: join(folder.home, name),
    KEYS_DIR: folder.keysDir,
    DATABASE_URL: urlOf(db.app),
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    S3_BUCKET: bucket.bucket,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
    S3_FORCE_PATH_STYLE: 'true',
  };
  return openResources(readConfig(env), 'serve', createLogger('silent'));
};

beforeAll(async () => {
  db = await startTestDatabase();
  bucket = await createBucket({ versions: false });
  folder = await newVaultFolder();
  writing = await open('one');
  sweeping = await open('two');
  const identity = { services: writing.services, chosen: async () => undefined };
  const home = await newOrganisation(identity as unknown as Identity);
  const { source } = await home.newSource();
  const organisation = home.admin.actor.organisation as SourceActor['organisation'];
  actor = { type: 'source', id: source.id as SourceId, role: 'source', organisation, session: null };
});
afterAll(async () => {
  await sweeping?.close();
  await writing?.close();
  await folder?.remove();
  await bucket?.close();
  await db?.close();
});

/** More than one part of S3, so that there is a multipart upload before the end. */
const audio = wavFile({ data: randomBytes(7 * 1024 ** 2), rate: 48_000, channels: 2, bits: 16 });
const HALF = 6 * 1024 ** 2;
/** Several beats of an upload that lives, and in whole seconds, as times of S3 are. */
const GRACE_MS = 25_000;

const begun = async (): Promise<string[]> => {
  const { Uploads = [] } = await bucket.client.send(
    new ListMultipartUploadsCommand({ Bucket: bucket.bucket }),
  );
  return Uploads.map(({ Key }) => Key ?? '');
};

/** Gives its first bytes at once and the rest when it is let go on. */
const slowly = () => {
  const { promise, resolve: goOn } = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Buffer, void, void> {
    for (let at = 0; at < audio.length; at += 65_536) {
      if (at === HALF) await promise;
      yield Buffer.from(audio.subarray(at, at + 65_536));
    }
  }
  return { body: body(), goOn };
};

const request = () => ({ actor, request: randomUUID() });
const metadata = () => parseMetadata({ callId: randomUUID() }, Date.now());

describe('beyond the grace time without a new part, while another instance sweeps', () => {
  test('a call that is recorded while it lasts is stored whole', { timeout: 120_000 }, async () => {
    const { body, goOn } = slowly();
    const stored = writing.services.ingestRecording({
      ...request(),
      metadata: metadata(),
      body,
      limits: { declaredBytes: null, declaredSha256: null, declaredMediaType: 'audio/wav' },
      signal: new AbortController().signal,
    });
    stored.catch(() => undefined);
    await until(async () => (await begun()).length === 1);
    await sleep(GRACE_MS + 3_000);
    expect(await sweeping.services.sweep(GRACE_MS)).toMatchObject({ removed: 0, leftovers: 0 });
    expect(await begun()).toHaveLength(1);
    goOn();
    expect(await stored).toMatchObject({ created: true, bytes: audio.length });
    expect(await begun()).toEqual([]);
  });

  test('a part of an upload on a bad line is acknowledged whole', { timeout: 120_000 }, async () => {
    const { resumableUploads } = writing.services;
    const facts = { fields: { callId: randomUUID() }, mediaType: 'audio/wav' };
    const { id } = await resumableUploads.begin({ ...request(), length: audio.length, facts });
    const { body, goOn } = slowly();
    const appended = resumableUploads.append({
      ...request(),
      uploadId: id,
      offset: 0,
      sha256: null,
      declaredBytes: audio.length,
      body: () => body,
    });
    appended.catch(() => undefined);
    await until(async () => (await begun()).length === 1);
    await sleep(GRACE_MS + 3_000);
    expect(await sweeping.services.sweep(GRACE_MS)).toMatchObject({ leftovers: 0 });
    expect(await begun()).toHaveLength(1);
    goOn();
    expect((await appended).recording).not.toBeNull();
    expect(await begun()).toEqual([]);
  });
});
