import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';

const NAMES = ['S3_ENDPOINT', 'S3_REGION', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const;

/** What `npm run test:s3` has set. */
export const s3Settings = () => {
  const [endpoint, region, accessKeyId, secretAccessKey] = NAMES.map((name) => {
    const value = process.env[name];
    if (value === undefined) throw new Error(`${name} is not set: run this by npm run test:s3`);
    return value;
  }) as [string, string, string, string];
  return { endpoint, region, accessKeyId, secretAccessKey, forcePathStyle: true };
};

/** A client of the tests' own, so that they see what is there and not what the store says. */
export const createS3Client = (): S3Client => {
  const { accessKeyId, secretAccessKey, ...settings } = s3Settings();
  return new S3Client({ ...settings, credentials: { accessKeyId, secretAccessKey } });
};

/** Locked until its time has come, so the bucket outlives the test; the server of the tests forgets it. */
export const toleratesLocks = (error: { readonly name?: string }): void => {
  if (error.name !== 'AccessDenied' && error.name !== 'BucketNotEmpty') throw error;
};

/** Removes every version and every unfinished upload; what is locked stays. */
export const emptyBucket = async (client: S3Client, bucket: string): Promise<void> => {
  let after = {};
  for (;;) {
    const page = await client.send(new ListObjectVersionsCommand({ Bucket: bucket, ...after }));
    for (const { Key, VersionId } of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])])
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId })).catch(toleratesLocks);
    if (page.IsTruncated !== true) break;
    after = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
  }
  const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  for (const { Key, UploadId } of uploads.Uploads ?? [])
    await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
};

/** A new bucket, removed with all it holds by `close`. */
export const createBucket = async ({
  versions,
  locking = false,
}: {
  readonly versions: boolean;
  readonly locking?: boolean;
}) => {
  const client = createS3Client();
  const bucket = `callvault-test-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: locking }));
  if (versions)
    await client.send(
      new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
  return {
    client,
    bucket,
    close: async () => {
      await emptyBucket(client, bucket);
      await client.send(new DeleteBucketCommand({ Bucket: bucket })).catch(toleratesLocks);
      client.destroy();
    },
  };
};

export type TestBucket = Awaited<ReturnType<typeof createBucket>>;
