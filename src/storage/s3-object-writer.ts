import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { AppError } from '../core/errors.ts';
import { assertDeclaredLength, type Piece, type PieceOptions, pieces } from './object-body.ts';
import type { S3Room } from './s3-client.ts';
import { s3Fault } from './s3-fault.ts';
import { s3Length } from './s3-object-reader.ts';
import { keepFirstVersion } from './s3-object-versions.ts';

/** S3's limits (docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). */
const SINGLE_PUT_BYTES = 5 * 1024 ** 3;
const PARTS = 10_000;
/**
 * The least S3 allows, so that a slow upload shows the sweep in good time that it is alive. 10,000 of them make 48 GiB, weeks
 * of speech; some four are in memory per upload.
 */
const PART_BYTES = 5 * 1024 ** 2;
const PARTS_AT_ONCE = 2;

/**
 * One sealed segment. Larger pieces would keep a connection idle for so long, with a source as slow as a call in progress
 * (8 kB/s), that S3 gives it up after some 20 s.
 */
const PIECE_BYTES = 64 * 1024;

/** What an upload has made; a version where the bucket keeps versions. */
type Stored = { readonly bytes: number; readonly version: string | undefined };

const CONTENT_TYPE = 'application/octet-stream';

/**
 * One upload. Whoever fails first (source, caller, store, watchdog) decides what the caller hears, and everything else
 * stops through `signal`. After `commit` the caller's signal has no effect any more.
 */
const startRun = (signal: AbortSignal) => {
  signal.throwIfAborted();
  const stop = new AbortController();
  let failed = false;
  const fail = (error: unknown): void => {
    if (failed) return;
    failed = true;
    stop.abort(error);
  };
  const onAbort = (): void => fail(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return { signal: stop.signal, fail, commit: () => signal.removeEventListener('abort', onAbort) };
};

type Run = ReturnType<typeof startRun>;

/** Runs out when the store has taken nothing for `ms`: armed while the store owes us something, not while the source does. */
const createWatchdog = (ms: number, bark: () => void) => {
  let timer: NodeJS.Timeout | undefined;
  return {
    arm: (): void => {
      timer = setTimeout(bark, ms);
    },
    disarm: (): void => clearTimeout(timer),
  };
};

type Watchdog = ReturnType<typeof createWatchdog>;

const NO_WATCHDOG: Watchdog = { arm: () => undefined, disarm: () => undefined };

/** Tells the run of a failing source. Apart from `buffers`, into which the stream throws when it is the request that failed. */
async function* told(source: AsyncIterable<Piece>, run: Run): AsyncGenerator<Piece, void, void> {
  try {
    for await (const piece of source) yield piece;
  } catch (error) {
    run.fail(error);
    throw error;
  }
}

/** The pieces as the SDK's HTTP client wants them, one buffer and thus one write each. */
async function* buffers(
  source: AsyncIterable<Piece>,
  watchdog: Watchdog,
  onPiece: (piece: Piece) => void,
): AsyncGenerator<Buffer, void, void> {
  for await (const piece of source) {
    watchdog.arm();
    onPiece(piece);
    if (piece.bytes > 0) yield Buffer.concat(piece.chunks, piece.bytes);
    // The store has taken the piece and asks for the next one. After the last one it still owes the answer.
    if (!piece.last) watchdog.disarm();
  }
}

/** Runs a request that reads `stream` and cleans up behind it, whatever happens. */
const finishRun = async <T>(run: Run, stream: Readable, request: () => Promise<T>): Promise<T> => {
  // Without a listener a failing source would end the process; `told` has told the run already.
  stream.on('error', () => undefined);
  try {
    return await request();
  } catch (error) {
    run.fail(s3Fault(error));
    throw run.signal.reason;
  } finally {
    run.commit();
    stream.destroy();
  }
};

/** One request, its length declared: the store itself cannot take a shorter body for the whole, and the key is refused if taken. */
const putWhole = async (
  room: S3Room,
  name: string,
  body: AsyncIterable<Uint8Array>,
  bytes: number,
  signal: AbortSignal,
): Promise<Stored> => {
  const run = startRun(signal);
  const watchdog = createWatchdog(room.timeouts.stallMs, () =>
    run.fail(new AppError('storage_unavailable', 'The object store stopped taking the object.')),
  );
  const source = told(pieces(body, { bytes, signal: run.signal, pieceBytes: PIECE_BYTES }), run);
  const stream = Readable.from(
    buffers(source, watchdog, ({ last }) => {
      // With the last piece out the object may come to be at any moment: too late to call it off.
      if (last) run.commit();
    }),
  );
  const command = new PutObjectCommand({
    Bucket: room.bucket,
    Key: name,
    Body: stream,
    ContentLength: bytes,
    ContentType: CONTENT_TYPE,
    IfNoneMatch: '*',
  });
  // No timeout for the whole: an upload takes as long as its source. The watchdog measures the store alone.
  const request = () => room.client.send(command, { abortSignal: run.signal, requestTimeout: 0 });
  const { VersionId } = await finishRun(run, stream, request).finally(watchdog.disarm);
  return { bytes, version: VersionId };
};

/**
 * The client as `Upload` is to see it: its requests end with the run (it would let them go on), except the one that removes
 * the parts. Some servers ignore the condition on the request that completes the upload, so the key is looked at once more.
 */
const clientOfRun = (room: S3Room, name: string, run: Run, begun: (id: string) => void): S3Client => {
  type Command = Parameters<S3Client['send']>[0];
  const send = async (command: Command): Promise<unknown> => {
    if (command instanceof AbortMultipartUploadCommand) return room.client.send(command);
    if (command instanceof CompleteMultipartUploadCommand) {
      if ((await s3Length(room, name)) !== null)
        throw new AppError('conflict', 'There is an object under this key already.');
      run.signal.throwIfAborted();
      run.commit();
    }
    if (command instanceof PutObjectCommand) run.commit();
    const answer = await room.client.send(command, { abortSignal: run.signal });
    if (command instanceof CreateMultipartUploadCommand && 'UploadId' in answer) begun(answer.UploadId ?? '');
    return answer;
  };
  return Object.create(room.client, { send: { value: send } });
};

/** In parts, for a body whose length is unknown or beyond one request; what was sent is removed again on failure. */
const putInParts = async (
  room: S3Room,
  name: string,
  body: AsyncIterable<Uint8Array>,
  { bytes, signal }: PieceOptions,
): Promise<Stored> => {
  const run = startRun(signal);
  let total = 0;
  const source = told(pieces(body, { bytes, signal: run.signal, pieceBytes: PIECE_BYTES }), run);
  const stream = Readable.from(
    buffers(source, NO_WATCHDOG, (piece) => {
      total += piece.bytes;
    }),
  );
  let id = '';
  const begun = (uploadId: string): void => {
    id = uploadId;
    room.uploads.add(id);
  };
  const upload = new Upload({
    client: clientOfRun(room, name, run, begun),
    params: {
      Bucket: room.bucket,
      Key: name,
      Body: stream,
      ContentType: CONTENT_TYPE,
      IfNoneMatch: '*',
    },
    partSize: Math.max(PART_BYTES, Math.ceil((bytes ?? 0) / PARTS)),
    queueSize: PARTS_AT_ONCE,
    leavePartsOnError: false,
  });
  const request = () => upload.done();
  const { VersionId } = await finishRun(run, stream, request).finally(() => room.uploads.delete(id));
  return { bytes: total, version: VersionId };
};

/**
 * Stores a new object under `name` and resolves with its length. Throws the body's own error and the signal's reason
 * unchanged, `length_mismatch`, `conflict`, `storage_full`, `storage_unavailable`. When the store takes the whole object
 * and the connection breaks before its answer, the caller hears `storage_unavailable` and a whole object may exist: it is
 * not removed, because nothing proves that it is ours; the sweep over unfinished intents finds it.
 */
export const writeS3Object = async (
  room: S3Room,
  name: string,
  body: AsyncIterable<Uint8Array>,
  { bytes, signal }: PieceOptions,
): Promise<number> => {
  assertDeclaredLength(bytes);
  const stored =
    bytes === undefined || bytes > SINGLE_PUT_BYTES
      ? await putInParts(room, name, body, { bytes, signal })
      : await putWhole(room, name, body, bytes, signal);
  if (stored.version !== undefined) await keepFirstVersion(room, name, stored.version);
  return stored.bytes;
};
