import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { GetObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type BucketView, createBucketView } from '../support/bucket-view.ts';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { cutLog } from '../support/cut-log.ts';
import { createBucket, s3Settings, type TestBucket } from '../support/s3-bucket.ts';
import { adminCreateOf, choosePassword } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 240_000 });

/**
 * An old database under the newer checkpoints of a bucket under Object Lock: refused, declared by two, gone on with in a room
 * of its own. One story, in order.
 */
let made: TestBucket;
let bucket: BucketView;
let world: CareLineVault;
let admin: { readonly email: string; readonly password: string };
let first: readonly string[];

const ROOM = 'checkpoints/';
const copy = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to]);

/** Names in the room of an epoch, oldest first; without what lies in rooms below. */
const roomOf = async (epoch: number): Promise<readonly string[]> => {
  const room = epoch === 1 ? ROOM : `${ROOM}epoch-${epoch}/`;
  return (await bucket.checkpoints()).filter(
    (key) => /^\d{16}$/.test(key.slice(room.length)) && key.startsWith(room),
  );
};
const sizesOf = (keys: readonly string[]): number[] => keys.map((key) => Number(key.slice(-16)));

const start = async (): Promise<void> => {
  world = { ...world, vault: await world.folder.start() };
};
const restore = async (): Promise<void> => {
  await rm(world.folder.dataDir, { recursive: true });
  await copy(`${world.folder.dataDir}.backup`, world.folder.dataDir);
};
const declare = async (): Promise<Record<string, unknown>> => {
  const { compliance } = world.line;
  const approvers = [admin.email, compliance.email].flatMap((email) => ['--approver', email]);
  const args = [
    'restore',
    '--declare',
    '--reason',
    'Restored from the backup of the night',
    ...approvers,
    '--json',
  ];
  const { code, stdout, stderr } = await world.folder.cliTold(
    `${admin.password}\n${compliance.password}\n`,
    ...args,
  );
  expect([code, stderr]).toEqual([0, expect.stringMatching(/new epoch/)]);
  return JSON.parse(stdout) as Record<string, unknown>;
};

/** An entry more. */
const grow = () => world.folder.cli('verify');

/** What an auditor carries off: every room, of every name the version that came first, hidden or not. */
const carriedOff = async (): Promise<string> => {
  const folder = join(world.folder.home, `kept-${Date.now()}`);
  const listed = new ListObjectVersionsCommand({ Bucket: made.bucket, Prefix: ROOM });
  // Newest first: the last of a name is its oldest.
  for (const { Key = '', VersionId } of (await made.client.send(listed)).Versions ?? []) {
    const path = join(folder, Key.slice(ROOM.length));
    await mkdir(dirname(path), { recursive: true });
    const { Body } = await made.client.send(new GetObjectCommand({ Bucket: made.bucket, Key, VersionId }));
    await writeFile(path, await Body!.transformToString());
  }
  return folder;
};
const verifyAgainst = async (folder: string) => {
  const ran = await world.folder.cli('verify', '--json', '--against', folder);
  return {
    code: ran.code,
    verdict: JSON.parse(ran.stdout) as { ok: boolean; faults: { kind: string }[]; epochs: object[] },
  };
};

beforeAll(async () => {
  made = await createBucket({ versions: false, locking: true });
  bucket = createBucketView(made.bucket);
  const { endpoint, region, accessKeyId, secretAccessKey } = s3Settings();
  world = await startCareLine({
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    S3_BUCKET: made.bucket,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
    S3_CHECKPOINT_LOCK_DAYS: '2',
  });
  const email = 'second.admin@example.org';
  const second = await adminCreateOf(world.folder)(email, 'Region Second');
  admin = { email, password: await choosePassword(world.line.http, email, second.password) };
  await world.vault.stop();
  await copy(world.folder.dataDir, `${world.folder.dataDir}.backup`);
  await start();
  for (let i = 0; i < 3; i += 1) await grow();
  await world.vault.stop();
  first = await roomOf(1);
});
afterAll(async () => {
  world?.line.http.close();
  await world?.folder.remove();
  await bucket?.remove();
  await made?.close();
});

test('the bucket tells of what the restored database lacks: it does not start, and verify finds it', async () => {
  await restore();
  await expect(world.folder.start()).rejects.toThrow(/its tail is missing/);
  const { code, verdict } = await verifyAgainst(await carriedOff());
  expect([code, verdict.faults[0]?.kind]).toEqual([1, 'anchor']);
});

test('declared by two: checkpoints go on in a room of their own, locked, and the old room stays as it was', async () => {
  const declared = await declare();
  expect(declared).toMatchObject({ epoch: 2, lostTo: sizesOf(first).at(-1) });
  await start();
  await grow();
  await world.vault.stop();
  const second = await roomOf(2);
  expect(sizesOf(second)[0]).toBe((declared.seq as number) + 1);
  expect(second.length).toBeGreaterThan(1);
  expect(await roomOf(1)).toEqual(first);
  for (const key of second) {
    const { ObjectLockMode, ObjectLockRetainUntilDate } = await bucket.head(key);
    expect(ObjectLockMode).toBe('COMPLIANCE');
    expect(ObjectLockRetainUntilDate!.getTime()).toBeGreaterThan(Date.now() + 1.9 * 86_400_000);
    expect((await bucket.read(key)).toString()).toMatch(/^callvault\.[0-9a-f-]+\/epoch-2\n/);
  }
});

test('the verifier follows into the new room', async () => {
  const { code, verdict } = await verifyAgainst(await carriedOff());
  expect([code, verdict]).toEqual([
    0,
    expect.objectContaining({ ok: true, faults: [], epochs: [expect.objectContaining({ epoch: 2 })] }),
  ]);
  await start();
  await until(() =>
    world.vault.output().includes(`access log: checkpoints in s3://${made.bucket}/checkpoints/epoch-2`),
  );
});

test('H-5 cut in the new epoch, and its room hidden by delete markers and newer versions: refused, and found', async () => {
  const second = await roomOf(2);
  await inDatabase(world.folder, (client) => cutLog(client, sizesOf(second)[0]!), 'superuser');
  await world.vault.kill();
  for (const key of second.slice(1)) await bucket.delete(key);
  await bucket.write(second[1]!, await bucket.read(second[0]!));
  await expect(world.folder.start()).rejects.toThrow(/its tail is missing/);
  const { code, verdict } = await verifyAgainst(await carriedOff());
  expect([code, verdict.faults[0]?.kind]).toEqual([1, 'anchor']);
});

test('restored once more, from before the second epoch: the third has its room, and all three are followed', async () => {
  await restore();
  const declared = await declare();
  expect(declared).toMatchObject({ epoch: 3 });
  await start();
  await grow();
  await world.vault.stop();
  expect(sizesOf(await roomOf(3))[0]).toBe((declared.seq as number) + 1);
  const { code, verdict } = await verifyAgainst(await carriedOff());
  expect([code, verdict]).toEqual([
    0,
    expect.objectContaining({ ok: true, faults: [], epochs: [expect.objectContaining({ epoch: 3 })] }),
  ]);
});
