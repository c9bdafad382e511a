import {
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { createS3Client, emptyBucket, toleratesLocks } from './s3-bucket.ts';

const CHECKPOINTS = 'checkpoints/';

/** A bucket as somebody with its keys sees and changes it, past the vault. Holds fewer than a thousand objects. */
export const createBucketView = (bucket: string) => {
  const client = createS3Client();
  const Bucket = bucket;
  const names = async (): Promise<string[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
    return Contents.map(({ Key }) => Key as string);
  };
  return {
    /** All but checkpoints of the access log, which come by themselves. */
    keys: async (): Promise<readonly string[]> =>
      (await names()).filter((key) => !key.startsWith(CHECKPOINTS)),
    checkpoints: async (): Promise<readonly string[]> =>
      (await names()).filter((key) => key.startsWith(CHECKPOINTS)),
    head: (Key: string) => client.send(new HeadObjectCommand({ Bucket, Key })),
    read: async (Key: string): Promise<Buffer> => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      return Buffer.from(await Body!.transformToByteArray());
    },
    write: (Key: string, Body: Buffer) => client.send(new PutObjectCommand({ Bucket, Key, Body })),
    delete: (Key: string) => client.send(new DeleteObjectCommand({ Bucket, Key })),
    /** How many multipart uploads have begun and not ended. */
    unfinished: async (): Promise<number> =>
      (await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads?.length ?? 0,
    keepVersions: () =>
      client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } })),
    /** How many versions and delete markers there are under a name. */
    versions: async (Prefix: string): Promise<readonly [number, number]> => {
      const { Versions = [], DeleteMarkers = [] } = await client.send(
        new ListObjectVersionsCommand({ Bucket, Prefix }),
      );
      return [Versions.length, DeleteMarkers.length];
    },
    /** Removes the bucket with all that is in it, if it is there. */
    remove: async (): Promise<void> => {
      const isGone = (error: { readonly name?: string }): void => {
        if (error.name !== 'NoSuchBucket') toleratesLocks(error);
      };
      await emptyBucket(client, bucket).catch(isGone);
      await client.send(new DeleteBucketCommand({ Bucket })).catch(isGone);
      client.destroy();
    },
  };
};

export type BucketView = ReturnType<typeof createBucketView>;
