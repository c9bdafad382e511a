import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { AppError } from '../core/errors.ts';
import { createS3Room, type S3ObjectStoreOptions, type S3Room } from './s3-client.ts';
import { s3Facts, s3Fault } from './s3-fault.ts';

/** Answers to this have no body, so a status is all there is to go by. */
const isThere = async (room: S3Room): Promise<boolean> => {
  try {
    await room.client.send(new HeadBucketCommand({ Bucket: room.bucket }));
    return true;
  } catch (error) {
    const { status } = s3Facts(error);
    if (status === 404) return false;
    if (status === 301)
      throw new AppError(
        'config_invalid',
        `The bucket ${room.bucket} lies in another region: set S3_REGION to it.`,
      );
    throw s3Fault(error);
  }
};

const withRoom = async <T>(options: S3ObjectStoreOptions, use: (room: S3Room) => Promise<T>): Promise<T> => {
  const room = createS3Room(options);
  try {
    return await use(room);
  } finally {
    room.client.destroy();
  }
};

/**
 * For the start: a vault without its bucket would refuse every call one by one. Throws `config_invalid` with what to do when
 * there is none, `storage_unavailable` when that cannot be known.
 */
export const assertS3Bucket = (options: S3ObjectStoreOptions): Promise<void> =>
  withRoom(options, async (room) => {
    if (!(await isThere(room)))
      throw new AppError(
        'config_invalid',
        `There is no bucket ${room.bucket}: run "callvault migrate" to have it made, or make it with the tools of the object store.`,
      );
  });

/** Object Lock can be had only when a bucket is made, and keeps nothing by itself: only checkpoints ask for it. */
const make = async (room: S3Room, ObjectLockEnabledForBucket: boolean): Promise<void> => {
  try {
    await room.client.send(new CreateBucketCommand({ Bucket: room.bucket, ObjectLockEnabledForBucket }));
  } catch (cause) {
    // A server that knows no such thing; what it makes is stated as what it is at every start.
    if (ObjectLockEnabledForBucket && s3Facts(cause).status === 501) return make(room, false);
    if (s3Facts(cause).status !== 403) throw s3Fault(cause);
    throw new AppError(
      'storage_unavailable',
      `There is no bucket ${room.bucket}, and these credentials may not make it: make it with the tools of the object store.`,
      { cause: s3Fault(cause) },
    );
  }
};

/**
 * Makes the bucket, with Object Lock where the server has it, unless it is there; one that is there is left as it is. True when it was made. Throws
 * `storage_unavailable` when the store cannot be asked or these credentials may not make buckets.
 */
export const ensureS3Bucket = (options: S3ObjectStoreOptions): Promise<boolean> =>
  withRoom(options, async (room) => {
    if (await isThere(room)) return false;
    await make(room, true);
    return true;
  });
