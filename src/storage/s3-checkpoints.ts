import { createHash } from 'node:crypto';
import {
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandInput,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { sizeOfCheckpointName } from '../core/audit/checkpoint.ts';
import { isAppError } from '../core/errors.ts';
import { assertCheckpointName } from './checkpoint-folder.ts';
import { storeFault } from './s3-bucket.ts';
import { createS3Room, type S3ObjectStoreOptions, type S3Room } from './s3-client.ts';
import { onS3, s3Facts, s3Fault } from './s3-fault.ts';

const ROOM = 'checkpoints/';
const DAY_MS = 86_400_000;
/** A note has a few hundred bytes; more than this is none of ours and not read. */
const MAX_BYTES = 64 * 1024;
/** A round of the checkpointer, and the end of the process, wait for these. */
const TIMEOUTS = { connectMs: 3_000, answerMs: 5_000, stallMs: 5_000 };

/** Whether the bucket keeps what it is told to keep: Object Lock can be had only when a bucket is made. */
const isLocking = async (room: S3Room, options: S3ObjectStoreOptions): Promise<boolean> => {
  try {
    const { ObjectLockConfiguration } = await room.client.send(
      new GetObjectLockConfigurationCommand({ Bucket: room.bucket }),
    );
    return ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled';
  } catch (error) {
    const { status } = s3Facts(error);
    // No such configuration, or a server that knows no such thing.
    if (status === 404 || status === 400 || status === 501) return false;
    throw storeFault(options, error);
  }
};

/** What a server answers, or null from one that knows no such thing. */
const orNone = async <T>(request: Promise<T>): Promise<T | null> => {
  try {
    return await request;
  } catch (error) {
    if (s3Facts(error).status === 501) return null;
    throw s3Fault(error);
  }
};

type Listed = { readonly keys: readonly string[]; readonly last: string | undefined; readonly more: boolean };

/** Names that hold a version, hidden by a delete marker or not: whoever has the bucket's keys can place such markers. */
const listVersions = async (room: S3Room, prefix: string, after: string): Promise<Listed | null> => {
  const page = await orNone(
    room.client.send(
      new ListObjectVersionsCommand({ Bucket: room.bucket, Prefix: prefix, KeyMarker: after }),
    ),
  );
  return (
    page && {
      keys: (page.Versions ?? []).map(({ Key = '' }) => Key),
      last: page.NextKeyMarker,
      more: page.IsTruncated === true,
    }
  );
};

const listNames = async (room: S3Room, prefix: string, after: string): Promise<Listed> => {
  const page = await onS3(
    room.client.send(new ListObjectsV2Command({ Bucket: room.bucket, Prefix: prefix, StartAfter: after })),
  );
  const keys = (page.Contents ?? []).map(({ Key = '' }) => Key);
  return { keys, last: keys.at(-1), more: page.IsTruncated === true };
};

async function* sizesFrom(room: S3Room, folder: string, from: number): AsyncGenerator<number, void, void> {
  const prefix = `${room.prefix}${folder}`;
  let after: string | undefined = from > 0 ? `${prefix}${String(from - 1).padStart(16, '0')}~` : prefix;
  let told = 0;
  while (after !== undefined) {
    const page: Listed = (await listVersions(room, prefix, after)) ?? (await listNames(room, prefix, after));
    for (const key of page.keys) {
      const size = sizeOfCheckpointName(key.slice(prefix.length)) ?? 0;
      // Versions of one name follow each other.
      if (size >= from && size > told) yield size;
      told = Math.max(told, size);
    }
    after = page.more ? page.last : undefined;
  }
}

/**
 * The version that came first: nobody can put one before it. Undefined where the bucket keeps no versions, null when there
 * is nothing under the name.
 */
const oldestVersion = async (room: S3Room, key: string): Promise<string | undefined | null> => {
  let oldest: string | undefined | null = null;
  let after: Pick<ListObjectVersionsCommandInput, 'KeyMarker' | 'VersionIdMarker'> | null = {};
  while (after !== null) {
    const page: ListObjectVersionsCommandOutput | null = await orNone(
      room.client.send(new ListObjectVersionsCommand({ Bucket: room.bucket, Prefix: key, ...after })),
    );
    if (page === null) return undefined;
    // Newest first, as S3 lists them; names that only begin like this one follow.
    const own = (page.Versions ?? []).filter(({ Key }) => Key === key);
    if (own.length > 0) oldest = own.at(-1)?.VersionId;
    const more: boolean = page.IsTruncated === true && page.NextKeyMarker === key;
    after = more ? { KeyMarker: key, VersionIdMarker: page.NextVersionIdMarker } : null;
  }
  return oldest === 'null' ? undefined : oldest;
};

const readNote = async (room: S3Room, key: string, VersionId: string | undefined): Promise<string> => {
  const { Body } = await onS3(
    room.client.send(
      new GetObjectCommand({
        Bucket: room.bucket,
        Key: key,
        Range: `bytes=0-${MAX_BYTES - 1}`,
        ...(VersionId === undefined ? {} : { VersionId }),
      }),
    ),
  );
  return onS3(Body?.transformToString('utf8') ?? Promise.resolve(''));
};

export type S3CheckpointOptions = S3ObjectStoreOptions & {
  /** Of which epoch of the log; 1. The second and later have a folder each. */
  readonly epoch?: number;
  /** For how long nobody can remove a checkpoint, the owner of the bucket included. */
  readonly lockDays: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

const roomOf = (epoch: number): string => (epoch === 1 ? ROOM : `${ROOM}epoch-${epoch}/`);

/** Where they are kept, for a person; known also while the bucket cannot be asked. */
export const s3CheckpointsAt = ({
  bucket,
  prefix = '',
  epoch = 1,
}: Pick<S3CheckpointOptions, 'bucket' | 'prefix' | 'epoch'>): string =>
  `s3://${bucket}/${prefix}${roomOf(epoch).slice(0, -1)}`;

/**
 * Checkpoints in a bucket, under Object Lock in COMPLIANCE mode where it was made with it (`locking`). Throws
 * `storage_unavailable` when the bucket cannot be asked, RangeError for a name that is none.
 */
export const openS3Checkpoints = async ({ lockDays, now, epoch = 1, ...options }: S3CheckpointOptions) => {
  const folder = roomOf(epoch);
  const room = createS3Room({ timeouts: TIMEOUTS, ...options });
  const locking = await isLocking(room, options).catch((error: unknown) => {
    room.client.destroy();
    throw error;
  });
  const keyOf = (name: string): string => {
    assertCheckpointName(name);
    return `${room.prefix}${folder}${name}`;
  };
  const read = async (key: string): Promise<string> =>
    readNote(room, key, (await oldestVersion(room, key)) ?? undefined);
  const put = async (key: string, text: string): Promise<string | undefined> => {
    const lock = {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: new Date(now() + lockDays * DAY_MS),
    } as const;
    const command = new PutObjectCommand({
      Bucket: room.bucket,
      Key: key,
      Body: Buffer.from(text),
      ContentType: 'text/plain; charset=utf-8',
      // Demanded with a lock, and what tells the server that the bytes are ours.
      ContentMD5: createHash('md5').update(text).digest('base64'),
      IfNoneMatch: '*',
      ...(locking ? lock : {}),
    });
    return (await onS3(room.client.send(command))).VersionId;
  };
  return {
    where: s3CheckpointsAt({ ...options, epoch }),
    locking,
    keep: async (name: string, text: string): Promise<string> => {
      const key = keyOf(name);
      // Where versions are kept, a server may take a conditional write all the same, as a version of its own.
      const earlier = locking ? await oldestVersion(room, key) : null;
      if (earlier !== null) return readNote(room, key, earlier);
      try {
        const version = await put(key, text);
        return version === undefined || version === 'null' ? text : await read(key);
      } catch (error) {
        if (!isAppError(error, 'conflict')) throw error;
        return read(key);
      }
    },
    sizes: (from: number) => sizesFrom(room, folder, from),
    read: async (name: string): Promise<string> => read(keyOf(name)),
    close: async (): Promise<void> => room.client.destroy(),
  };
};
