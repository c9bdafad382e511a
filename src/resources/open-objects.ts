import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { S3Settings } from '../config-rules.ts';
import { createFileObjectStore } from '../storage/file-object-store.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** Loaded where there is a bucket: the SDK takes 20 MB and a fifth of the start. */
const s3Store = () => import('../storage/s3-object-store.ts');
export const s3Bucket = () => import('../storage/s3-bucket.ts');

export const openObjects = async (config: Config): Promise<ObjectStore> => {
  if (config.s3 !== null) return (await s3Store()).createS3ObjectStore({ ...config.s3 });
  return createFileObjectStore({
    root: join(config.dataDir, 'objects'),
    freeBytesFloor: config.freeDiskFloor,
  });
};

/** `callvault migrate`: the bucket. Returns in a sentence what was done. */
export const prepareBucket = async (s3: S3Settings): Promise<string> =>
  (await (await s3Bucket()).ensureS3Bucket(s3))
    ? `Made the bucket ${s3.bucket}.`
    : `The bucket ${s3.bucket} is there.`;
