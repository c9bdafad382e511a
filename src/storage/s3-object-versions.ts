import { DeleteObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { AppError } from '../core/errors.ts';
import type { S3Room } from './s3-client.ts';
import { onS3, s3Facts, s3Fault } from './s3-fault.ts';

/** A round removes up to 1,000 versions; a key is written once, so more than one is somebody else's doing. */
const ROUNDS = 10;

type Versions = {
  /** Newest first, as S3 lists them. */
  readonly objects: readonly string[];
  readonly deleteMarkers: readonly string[];
  readonly complete: boolean;
};

const idsOf = (
  name: string,
  found: readonly { readonly Key?: string | undefined; readonly VersionId?: string | undefined }[] = [],
): readonly string[] => found.filter(({ Key }) => Key === name).map(({ VersionId }) => VersionId ?? 'null');

/** The versions of one object, at most 1,000; null where the store has no such notion. */
const versionsOf = async (room: S3Room, name: string): Promise<Versions | null> => {
  try {
    const page = await room.client.send(new ListObjectVersionsCommand({ Bucket: room.bucket, Prefix: name }));
    return {
      objects: idsOf(name, page.Versions),
      deleteMarkers: idsOf(name, page.DeleteMarkers),
      complete: page.IsTruncated !== true,
    };
  } catch (error) {
    if (s3Facts(error).status === 501) return null;
    throw s3Fault(error);
  }
};

const removeOne = async (room: S3Room, name: string, version?: string): Promise<void> => {
  const command = new DeleteObjectCommand({
    Bucket: room.bucket,
    Key: name,
    ...(version === undefined ? {} : { VersionId: version }),
  });
  await onS3(room.client.send(command));
};

/**
 * Removes an object with every version and delete marker, and looks until none is left: on a bucket with versions a plain
 * DELETE only hides it. Removing what is not there succeeds. Throws `storage_unavailable`, also for a version under lock.
 */
export const removeS3Object = async (room: S3Room, name: string): Promise<void> => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const versions = await versionsOf(room, name);
    if (versions === null) return removeOne(room, name);
    const { objects, deleteMarkers } = versions;
    if (objects.length + deleteMarkers.length === 0) return;
    // The oldest first, and the markers that hide them last: nothing may come back into view meanwhile.
    for (const version of [...objects.toReversed(), ...deleteMarkers]) await removeOne(room, name, version);
  }
  throw new AppError('storage_unavailable', 'The object store keeps versions of an object that was deleted.');
};

/**
 * To be called after an upload to a bucket with versions, with the version it made. There, servers that know conditional
 * uploads may take every one of them (Ceph 16 does), each as a version of its own. The oldest version is the object; any
 * other is removed again and refused with `conflict`.
 */
export const keepFirstVersion = async (room: S3Room, name: string, version: string): Promise<void> => {
  const versions = await versionsOf(room, name);
  if (versions === null || (versions.complete && versions.objects.at(-1) === version)) return;
  await removeOne(room, name, version);
  throw new AppError('conflict', 'There is an object under this key already.');
};
