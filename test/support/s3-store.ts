import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { S3ObjectStoreOptions } from '../../src/storage/s3-client.ts';
import { createS3ObjectStore } from '../../src/storage/s3-object-store.ts';
import { newKey, type OpenedStore } from './opened-store.ts';
import { createBucket, s3Settings, type TestBucket } from './s3-bucket.ts';

/** A store in a bucket of its own. `options` override what it is made with. */
export const openS3Store = async ({
  versions,
  ...options
}: Partial<S3ObjectStoreOptions> & { readonly versions: boolean }): Promise<OpenedStore & TestBucket> => {
  const made = await createBucket({ versions });
  const { bucket, client } = made;
  const store = createS3ObjectStore({ ...s3Settings(), bucket, ...options });
  const prefix = options.prefix ?? '';
  return {
    ...made,
    store,
    leftovers: async () => {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return Uploads.map(({ Key }) => Key ?? '');
    },
    strand: async () => {
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: `${prefix}${newKey()}` }));
    },
    close: async () => {
      await store.close();
      await made.close();
    },
  };
};
