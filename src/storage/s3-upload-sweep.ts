import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
} from '@aws-sdk/client-s3';
import { BUNDLE_ROOM, OBJECT_ROOM, objectKeyParts } from './object-key.ts';
import type { IsUnderWay, ObjectKey } from './object-store.ts';
import type { S3Room } from './s3-client.ts';
import { onS3, s3Facts, s3Fault } from './s3-fault.ts';

type Begun = { readonly Key: string; readonly UploadId: string; readonly at: Date };

async function* uploadsOf(room: S3Room, below: string): AsyncGenerator<Begun, void, void> {
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  while (marker !== undefined) {
    const page: ListMultipartUploadsCommandOutput = await onS3(
      room.client.send(
        new ListMultipartUploadsCommand({
          Bucket: room.bucket,
          Prefix: `${room.prefix}${below}/`,
          ...marker,
        }),
      ),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? [])
      if (Key !== undefined && UploadId !== undefined && Initiated !== undefined)
        yield { Key, UploadId, at: Initiated };
    marker =
      page.IsTruncated === true
        ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
        : undefined;
  }
}

/** An upload that is no longer there has been completed or removed by somebody else. */
const unlessGone = async <T>(request: Promise<T>): Promise<T | null> => {
  try {
    return await request;
  } catch (error) {
    if (s3Facts(error).name === 'NoSuchUpload') return null;
    throw s3Fault(error);
  }
};

/** True when a part has come since `olderThan`: the age of an upload is not that of a long call's latest part. */
const isFlowing = async (room: S3Room, { Key, UploadId }: Begun, olderThan: Date): Promise<boolean> => {
  let marker: string | undefined;
  do {
    const page: ListPartsCommandOutput | null = await unlessGone(
      room.client.send(
        new ListPartsCommand({ Bucket: room.bucket, Key, UploadId, PartNumberMarker: marker }),
      ),
    );
    if (page === null) return false;
    const recent = (page.Parts ?? []).some(
      ({ LastModified }) => LastModified !== undefined && LastModified >= olderThan,
    );
    if (recent) return true;
    marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return false;
};

const abort = async (room: S3Room, { Key, UploadId }: Begun): Promise<boolean> => {
  const command = new AbortMultipartUploadCommand({ Bucket: room.bucket, Key, UploadId });
  return (await unlessGone(room.client.send(command))) !== null;
};

/**
 * Removes the parts of uploads that nobody is writing and nothing has been added to since `olderThan`; those of this process
 * are never touched. A part is 5 MiB, which a quiet call takes long to fill: of another process's uploads their age says little.
 */
export const sweepUploads = async (
  room: S3Room,
  olderThan: Date,
  isUnderWay: IsUnderWay,
): Promise<number> => {
  const isWritten = async ({ Key }: Begun): Promise<boolean> => {
    const key = Key.slice(room.prefix.length);
    return objectKeyParts(key) !== null && isUnderWay(key as ObjectKey);
  };
  let removed = 0;
  for (const below of [OBJECT_ROOM, BUNDLE_ROOM])
    for await (const upload of uploadsOf(room, below)) {
      if (upload.at >= olderThan || room.uploads.has(upload.UploadId)) continue;
      if ((await isWritten(upload)) || (await isFlowing(room, upload, olderThan))) continue;
      if (await abort(room, upload)) removed += 1;
    }
  return removed;
};
