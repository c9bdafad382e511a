import { Readable } from 'node:stream';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
} from '@aws-sdk/client-s3';
import { AppError } from '../core/errors.ts';
import { emptyBody, type SliceBounds, type SliceSource, sliceBody, sliceLength } from './object-slice.ts';
import type { ObjectSlice } from './object-store.ts';
import type { S3Room } from './s3-client.ts';
import { onS3, s3Facts, s3Fault } from './s3-fault.ts';

const unavailable = (message: string): AppError => new AppError('storage_unavailable', message);

/** Length of an object, or null when there is none. */
export const s3Length = async (room: S3Room, name: string): Promise<number | null> => {
  try {
    const { ContentLength } = await room.client.send(
      new HeadObjectCommand({ Bucket: room.bucket, Key: name }),
    );
    if (ContentLength === undefined) throw unavailable('The object store does not tell the length.');
    return ContentLength;
  } catch (error) {
    const fault = s3Fault(error);
    if (fault.code !== 'not_found') throw fault;
  }
  // An answer to HEAD has no text, so a missing bucket looks like a missing object; only the latter may be reported as one.
  try {
    await room.client.send(new HeadBucketCommand({ Bucket: room.bucket }));
    return null;
  } catch (error) {
    const fault = s3Fault(error);
    throw fault.code === 'not_found' ? unavailable('The bucket of the objects does not exist.') : fault;
  }
};

const emptySlice = async (room: S3Room, name: string): Promise<ObjectSlice> => {
  const totalBytes = await s3Length(room, name);
  if (totalBytes === null) throw new AppError('not_found', 'There is no such object.');
  return { body: emptyBody(), totalBytes };
};

const rangeHeader = ({ start, end }: SliceBounds): string | undefined => {
  if (start === 0 && end === null) return undefined;
  return `bytes=${start}-${end === null ? '' : end - 1}`;
};

const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

/** Length of the whole object as the answer tells it. Throws when these are not the bytes that were asked for. */
const totalOf = (response: GetObjectCommandOutput, bounds: SliceBounds): number => {
  const ranged = rangeHeader(bounds) !== undefined;
  const [, first, , total] = CONTENT_RANGE.exec(response.ContentRange ?? '') ?? [];
  const totalBytes = ranged ? Number(total) : (response.ContentLength ?? Number.NaN);
  const start = ranged ? Number(first) : 0;
  if (
    !Number.isSafeInteger(totalBytes) ||
    start !== bounds.start ||
    response.ContentLength !== sliceLength(bounds, totalBytes)
  )
    throw unavailable('The object store sends other bytes than it was asked for.');
  return totalBytes;
};

/** Reads exactly `length` bytes. The clock runs only while a byte that was asked for is outstanding. */
const arriving = (stream: Readable, length: number, stallMs: number): SliceSource => {
  // A connection that breaks while nobody reads must not end the process; the next read says what happened.
  stream.on('error', () => undefined);
  const chunks: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
  let left = length;
  return {
    read: async () => {
      const timer = setTimeout(
        () => stream.destroy(unavailable('The object store stopped sending.')),
        stallMs,
      );
      const step = await onS3(chunks.next()).finally(() => clearTimeout(timer));
      const chunk = step.done === true ? null : step.value;
      left -= chunk?.length ?? 0;
      if (left < 0 || (chunk === null && left > 0))
        throw unavailable('The object store sent another number of bytes than it announced.');
      return chunk;
    },
    close: async () => {
      stream.destroy();
    },
  };
};

/** Throws `not_found`, `storage_unavailable` and the signal's reason. */
export const readS3Slice = async (
  room: S3Room,
  name: string,
  bounds: SliceBounds,
  signal: AbortSignal,
): Promise<ObjectSlice> => {
  signal.throwIfAborted();
  if (bounds.start === bounds.end) return emptySlice(room, name);
  const command = new GetObjectCommand({ Bucket: room.bucket, Key: name, Range: rangeHeader(bounds) });
  const response = await room.client.send(command, { abortSignal: signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    // Nothing of the object lies within the bounds.
    if (s3Facts(error).status === 416) return null;
    throw s3Fault(error);
  });
  if (response === null) return emptySlice(room, name);
  const stream = response.Body;
  if (!(stream instanceof Readable)) throw unavailable('The object store sent no body.');
  try {
    const totalBytes = totalOf(response, bounds);
    const source = arriving(stream, sliceLength(bounds, totalBytes), room.timeouts.stallMs);
    return { body: sliceBody(source, signal), totalBytes };
  } catch (error) {
    stream.destroy();
    throw error;
  }
};
