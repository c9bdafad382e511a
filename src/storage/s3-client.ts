import { S3Client } from '@aws-sdk/client-s3';
import type { ObjectKey } from './object-store.ts';

export type S3Timeouts = {
  /** Milliseconds for the connection to be there. */
  readonly connectMs: number;
  /** Milliseconds for a request to be answered; a long upload is not such a request, see `stallMs`. */
  readonly answerMs: number;
  /** Milliseconds in which the store takes no byte of an upload, or sends none that was asked for, before we give up. */
  readonly stallMs: number;
};

export type S3ObjectStoreOptions = {
  /** Null: Amazon's own, by region. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** `https://host/bucket/key` instead of `https://bucket.host/key`; most servers that are not Amazon's want it. */
  readonly forcePathStyle: boolean;
  /** Put before every key, for a bucket shared with others: lower-case words that each end in a slash. */
  readonly prefix?: string;
  readonly timeouts?: S3Timeouts;
};

/** What the parts of the S3 store share. */
export type S3Room = {
  readonly client: S3Client;
  readonly bucket: string;
  readonly prefix: string;
  readonly timeouts: S3Timeouts;
  readonly nameOf: (key: ObjectKey) => string;
  /** Ids of the multipart uploads that are under way in this process. */
  readonly uploads: Set<string>;
};

const TIMEOUTS: S3Timeouts = { connectMs: 5_000, answerMs: 30_000, stallMs: 30_000 };
const PREFIX = /^([a-z0-9][a-z0-9-]*\/)*$/;
/** A stream that is played slowly holds its socket; far above the number of players one process serves. */
const SOCKETS = 512;

const silent = (): void => undefined;
/** Without one the SDK writes warnings to the process's console; its errors reach the caller anyway. */
const SILENT_LOGGER = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

const createClient = (options: S3ObjectStoreOptions, timeouts: S3Timeouts): S3Client =>
  new S3Client({
    region: options.region,
    ...(options.endpoint === null ? {} : { endpoint: options.endpoint }),
    credentials: { accessKeyId: options.accessKeyId, secretAccessKey: options.secretAccessKey },
    forcePathStyle: options.forcePathStyle,
    // The endpoint comes from the vault's configuration alone, never from a variable or file the SDK would look up.
    ignoreConfiguredEndpointUrls: true,
    // The default sends a streamed body in signed chunks with a trailer, which servers other than AWS refuse (411).
    // Nothing is lost: every byte is authenticated by the sealed format when it is read.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Waiting for "100 Continue" would cost a connection of its own for every upload.
    expectContinueHeader: false,
    maxAttempts: 3,
    retryMode: 'standard',
    defaultsMode: 'standard',
    logger: SILENT_LOGGER,
    requestHandler: {
      connectionTimeout: timeouts.connectMs,
      requestTimeout: timeouts.answerMs,
      // Without it the timeout only writes a warning.
      throwOnRequestTimeout: true,
      // Idleness of the socket says nothing: a paced playback and a slow telephone system are idle by nature.
      socketTimeout: 0,
      httpAgent: { maxSockets: SOCKETS },
      httpsAgent: { maxSockets: SOCKETS },
    },
  });

/** Throws RangeError for a prefix that is not one. Opens no connection. */
export const createS3Room = (options: S3ObjectStoreOptions): S3Room => {
  const { bucket, prefix = '', timeouts = TIMEOUTS } = options;
  if (!PREFIX.test(prefix)) throw new RangeError('a prefix is made of lower-case words that end in a slash');
  return {
    client: createClient(options, timeouts),
    bucket,
    prefix,
    timeouts,
    nameOf: (key) => `${prefix}${key}`,
    uploads: new Set(),
  };
};
