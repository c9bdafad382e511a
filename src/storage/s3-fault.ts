import { AppError } from '../core/errors.ts';

/** What is kept of an error of the SDK. */
export type S3Facts = {
  readonly name: string;
  /** HTTP status, or null when there was no answer. */
  readonly status: number | null;
  /** The system's code for a broken connection (`ECONNREFUSED` …), or null. */
  readonly code: string | null;
  readonly requestId: string | null;
};

const WORD = /^[\w.:-]{1,128}$/;
const word = (value: unknown): string | null =>
  typeof value === 'string' && WORD.test(value) ? value : null;

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

/** The names come from the server's answer, so they are attacker-controlled: single words only, and short ones. */
export const s3Facts = (error: unknown): S3Facts => {
  const metadata = field(error, '$metadata');
  const status = field(metadata, 'httpStatusCode');
  return {
    name: word(field(error, 'name')) ?? 'UnknownError',
    status: typeof status === 'number' ? status : null,
    code: word(field(error, 'code')),
    requestId: word(field(metadata, 'requestId')),
  };
};

/**
 * For the operator's log. Never the SDK's own error: it carries the request with its signature, and some answers repeat the
 * access key or the string that was signed.
 */
const causeOf = ({ name, status, code, requestId }: S3Facts): Error =>
  new Error(
    [
      `S3: ${name}`,
      status === null ? 'no answer' : `status ${status}`,
      ...(code === null ? [] : [code]),
      ...(requestId === null ? [] : [`request ${requestId}`]),
    ].join(', '),
  );

const unavailableBecause = ({ name, status }: S3Facts): string => {
  if (name === 'NoSuchBucket') return 'The bucket of the objects does not exist.';
  if (status === 401 || status === 403) return 'The object store refuses the credentials or the action.';
  if (name === 'TimeoutError') return 'The object store did not answer in time.';
  return 'The object store cannot be used now.';
};

const isMissing = ({ name, status }: S3Facts): boolean =>
  name === 'NoSuchKey' || name === 'NotFound' || (status === 404 && name === 'UnknownError');

const isConflict = ({ name, status }: S3Facts): boolean =>
  status === 412 || name === 'PreconditionFailed' || name === 'ConditionalRequestConflict';

const isFull = ({ name, status }: S3Facts): boolean => status === 507 || name === 'QuotaExceeded';

/**
 * An error of the SDK as the caller sees it: `not_found`, `conflict`, `storage_full` or `storage_unavailable`. Told apart
 * by name and status; texts differ from server to server. An AppError passes unchanged.
 */
export const s3Fault = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  const facts = s3Facts(error);
  const cause = causeOf(facts);
  if (isMissing(facts)) return new AppError('not_found', 'There is no such object.', { cause });
  if (isConflict(facts))
    return new AppError('conflict', 'There is an object under this key already.', { cause });
  if (isFull(facts)) return new AppError('storage_full', 'There is no space left for objects.', { cause });
  return new AppError('storage_unavailable', unavailableBecause(facts), { cause });
};

/** Awaits a request and translates its error. */
export const onS3 = async <T>(request: Promise<T>): Promise<T> => {
  try {
    return await request;
  } catch (error) {
    throw s3Fault(error);
  }
};
