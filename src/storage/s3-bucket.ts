import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { AppError } from '../core/errors.ts';
import { createS3Room, type S3ObjectStoreOptions, type S3Room } from './s3-client.ts';
import { type S3Facts, s3Facts, s3Fault } from './s3-fault.ts';

/** Of certificates that are not believed; OpenSSL's words. */
const CERTIFICATE = /CERT|SELF_SIGNED|ISSUER/;

const adviceFor = ({ status, code }: S3Facts): string => {
  if (status === 401 || status === 403)
    return 'Check S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, and what they may do there';
  if (code !== null && CERTIFICATE.test(code))
    return 'Check its certificate; an authority of your own is named in NODE_EXTRA_CA_CERTS';
  return 'Check that it runs there and can be reached from here';
};

/** For whoever starts the vault, or a command: which store cannot be used, why, and what to look at. The key and its secret are left out. */
export const storeFault = (
  { endpoint, region, bucket }: Pick<S3ObjectStoreOptions, 'endpoint' | 'region' | 'bucket'>,
  error: unknown,
): AppError => {
  const fault = s3Fault(error);
  if (fault.code !== 'storage_unavailable') return fault;
  const facts = s3Facts(error);
  const where =
    endpoint === null ? `Amazon S3 in ${region} (S3_REGION)` : `${new URL(endpoint).host} (S3_ENDPOINT)`;
  const why = facts.status === null ? (facts.code ?? facts.name) : `status ${facts.status}`;
  return new AppError(
    'storage_unavailable',
    `${fault.message.replace(/\.$/, '')}: ${where}, bucket ${bucket} (S3_BUCKET), ${why}. ${adviceFor(facts)}.`,
    { cause: fault.cause },
  );
};

/** Answers to this have no body, so a status is all there is to go by. */
const isThere = async (room: S3Room, options: S3ObjectStoreOptions): Promise<boolean> => {
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
    throw storeFault(options, error);
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
    if (!(await isThere(room, options)))
      throw new AppError(
        'config_invalid',
        `There is no bucket ${room.bucket}: run "callvault migrate" to have it made, or make it with the tools of the object store.`,
      );
  });

/** Object Lock can be had only when a bucket is made, and keeps nothing by itself: only checkpoints ask for it. */
const make = async (
  room: S3Room,
  options: S3ObjectStoreOptions,
  ObjectLockEnabledForBucket: boolean,
): Promise<void> => {
  try {
    await room.client.send(new CreateBucketCommand({ Bucket: room.bucket, ObjectLockEnabledForBucket }));
  } catch (cause) {
    // A server that knows no such thing; what it makes is stated as what it is at every start.
    if (ObjectLockEnabledForBucket && s3Facts(cause).status === 501) return make(room, options, false);
    if (s3Facts(cause).status !== 403) throw storeFault(options, cause);
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
    if (await isThere(room, options)) return false;
    await make(room, options, true);
    return true;
  });
