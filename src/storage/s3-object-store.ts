import { randomBytes, randomUUID } from 'node:crypto';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { AppError } from '../core/errors.ts';
import {
  assertObjectKey,
  assertStoreKey,
  BUNDLE_ROOM,
  bundleKeyParts,
  OBJECT_ROOM,
  objectKeyParts,
} from './object-key.ts';
import { sliceBounds } from './object-slice.ts';
import type { ObjectKey, ObjectStore, StoredObject } from './object-store.ts';
import { createS3Room, type S3ObjectStoreOptions, type S3Room } from './s3-client.ts';
import { onS3 } from './s3-fault.ts';
import { readS3Slice, s3Length } from './s3-object-reader.ts';
import { removeS3Object } from './s3-object-versions.ts';
import { writeS3Object } from './s3-object-writer.ts';
import { sweepUploads } from './s3-upload-sweep.ts';

const PROBE_ROOM = 'probes/';
const PROBE_BYTES = 64;

type Found = { readonly name: string; readonly bytes: number; readonly modifiedAt: Date };

/** Everything under a prefix in key order, page by page. */
async function* objectsUnder(
  room: S3Room,
  prefix: string,
  after?: string,
): AsyncGenerator<Found, void, void> {
  let token: string | undefined;
  do {
    const page = await onS3(
      room.client.send(
        new ListObjectsV2Command({
          Bucket: room.bucket,
          Prefix: prefix,
          StartAfter: after,
          ContinuationToken: token,
        }),
      ),
    );
    for (const { Key, Size, LastModified } of page.Contents ?? [])
      if (Key !== undefined && Size !== undefined && LastModified !== undefined)
        yield { name: Key, bytes: Size, modifiedAt: LastModified };
    token = page.NextContinuationToken;
  } while (token !== undefined);
}

/** Names that are not keys of ours are passed over. */
async function* listObjects(room: S3Room, after?: ObjectKey): AsyncGenerator<StoredObject, void, void> {
  const from = after === undefined ? undefined : room.nameOf(after);
  for await (const { name, bytes, modifiedAt } of objectsUnder(room, `${room.prefix}${OBJECT_ROOM}/`, from)) {
    const key = name.slice(room.prefix.length);
    if (objectKeyParts(key) !== null) yield { key: key as ObjectKey, bytes, modifiedAt };
  }
}

/** Their names begin with the time, so key order is the order of time. */
async function* listBundles(room: S3Room): AsyncGenerator<StoredObject, void, void> {
  for await (const { name, bytes, modifiedAt } of objectsUnder(room, `${room.prefix}${BUNDLE_ROOM}/`)) {
    const key = name.slice(room.prefix.length);
    if (bundleKeyParts(key) !== null) yield { key: key as ObjectKey, bytes, modifiedAt };
  }
}

const sweepProbes = async (room: S3Room, olderThan: Date): Promise<number> => {
  let removed = 0;
  for await (const { name, modifiedAt } of objectsUnder(room, `${room.prefix}${PROBE_ROOM}`)) {
    if (modifiedAt >= olderThan) continue;
    await removeS3Object(room, name);
    removed += 1;
  }
  return removed;
};

/** Writes a small object, reads it back and removes it, as an upload, a playback and an erasure would. */
const probe = async (room: S3Room): Promise<void> => {
  const place = { Bucket: room.bucket, Key: `${room.prefix}${PROBE_ROOM}${randomUUID()}` };
  const written = randomBytes(PROBE_BYTES);
  await onS3(room.client.send(new PutObjectCommand({ ...place, Body: written })));
  const { Body } = await onS3(room.client.send(new GetObjectCommand(place)));
  const read = await onS3(Body?.transformToByteArray() ?? Promise.resolve(new Uint8Array()));
  await removeS3Object(room, place.Key);
  if (!written.equals(read))
    throw new AppError('storage_unavailable', 'The object store gives back other bytes.');
};

/**
 * Objects in an S3 bucket, which must exist; opens no connection before the first call. `put` is one conditional request
 * when the length is known, a multipart upload otherwise. Besides what the interface says, a key that is not one is a
 * RangeError, and every error of the store is told without keys, signatures or addresses. Objects carry no metadata.
 */
export const createS3ObjectStore = (options: S3ObjectStoreOptions): ObjectStore => {
  const room = createS3Room(options);
  const nameOf = (key: ObjectKey): string => {
    assertStoreKey(key);
    return room.nameOf(key);
  };
  return {
    kind: 's3',
    put: async (key, body, { bytes, signal }) => ({
      bytes: await writeS3Object(room, nameOf(key), body, { bytes, signal }),
    }),
    get: async (key, { start, end, signal }) =>
      readS3Slice(room, nameOf(key), sliceBounds({ start, end }), signal),
    locate: (key) => `s3://${room.bucket}/${nameOf(key)}`,
    head: async (key) => {
      const bytes = await s3Length(room, nameOf(key));
      return bytes === null ? null : { bytes };
    },
    delete: async (key) => removeS3Object(room, nameOf(key)),
    list: ({ after } = {}) => {
      if (after !== undefined) assertObjectKey(after);
      return listObjects(room, after);
    },
    bundles: () => listBundles(room),
    sweep: async (olderThan, isUnderWay = async () => false) => {
      const uploads = await sweepUploads(room, olderThan, isUnderWay);
      return { removed: uploads + (await sweepProbes(room, olderThan)) };
    },
    check: async () => probe(room),
    freeBytes: async () => null,
    close: async () => room.client.destroy(),
  };
};
