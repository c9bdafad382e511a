import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AppError, ErrorCode } from '../core/errors.ts';
import { discardRest } from './discard-rest.ts';
import { asAppError } from './foreign-error.ts';
import { problemTable } from './problem-table.ts';

/** RFC 9457 problem details. `type` ends in the stable error code; docs/errors.md lists them all. */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly requestId: string;
  readonly faults?: readonly { readonly where: string; readonly fault: string }[];
};

/**
 * What a stranger is told of a failure: which kind, never why, and nothing that is not so of every failure of its code. That
 * nothing was done cannot be said: of a change whose effect failed, the entry may be in the log already.
 */
const failures: Partial<Record<ErrorCode, string>> = {
  log_halted:
    'The vault has stopped, for its access log is not the one that it was. Nothing was released. Only its operator can help.',
  integrity_failure:
    'What is stored here did not pass its integrity check. Nothing of it was released. The operator has been told.',
  fetch_failed: 'The provider did not hand over the recording that it named. It is not stored.',
  in_progress: 'The same is being done by another request right now. Send it again shortly.',
  storage_full:
    'The vault has no room for more recordings. This one is not stored: keep it and try again later.',
};

const failureOf = (code: ErrorCode): string =>
  failures[code] ??
  (problemTable[code].status === 503
    ? 'The vault cannot do this right now. Nothing was released. Try again shortly.'
    : 'Something failed inside the vault. Nothing was released.');

/** Which entry of the log is at fault may be told: whoever was refused it can have the others, and name this one. */
const detailOf = ({ code, extras, message }: AppError): string => {
  if (problemTable[code].status < 500) return message;
  return extras.entry === undefined
    ? failureOf(code)
    : `Entry ${extras.entry} of the access log is not the one that was committed. Nothing of it was released. The operator has been told.`;
};

export const problemOf = (
  error: AppError,
  requestId: string,
  status = problemTable[error.code].status,
): Problem => {
  return {
    type: `urn:callvault:problem:${error.code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: detailOf(error),
    code: error.code,
    requestId,
    ...(error.extras.faults === undefined || status >= 500 ? {} : { faults: error.extras.faults }),
  };
};

const challenge = (code: ErrorCode): string | null =>
  code === 'unauthenticated' ? 'Bearer realm="callvault"' : null;

/** Seconds after which to ask again, of a fault that may have passed by then; one that waits for a person is asked seldom. */
const waitFor = ({ status, code }: Problem): number | null => {
  if (code === 'log_halted') return 60;
  return status === 503 ? 5 : null;
};

/** On most routes an error has the status of its code. */
export type StatusOf = (code: ErrorCode) => number;
const usualStatus: StatusOf = (code) => problemTable[code].status;
export const statusOnUploads: StatusOf = (code) => problemTable[code].onUploads ?? usualStatus(code);

/** The one place that answers an error. */
export const sendProblem = (
  request: FastifyRequest,
  reply: FastifyReply,
  thrown: unknown,
  statusOf = usualStatus,
): FastifyReply => {
  const error = asAppError(thrown);
  const problem = problemOf(error, request.id, statusOf(error.code));
  if (problem.status >= 500) request.log.error({ err: error }, 'request failed');
  // The framework would close the connection after a body it has not read.
  discardRest(request.raw);
  void reply.removeHeader('connection');
  const wait = error.extras.retryAfter ?? waitFor(problem);
  if (wait !== null) void reply.header('retry-after', String(Math.ceil(wait)));
  const authenticate = challenge(error.code);
  if (authenticate !== null) void reply.header('www-authenticate', authenticate);
  if (error.extras.allow !== undefined) void reply.header('allow', error.extras.allow.join(', '));
  if (error.extras.totalBytes !== undefined)
    void reply.header('content-range', `bytes */${error.extras.totalBytes}`);
  return (
    reply
      .code(problem.status)
      .header('cache-control', 'private, no-store')
      .type('application/problem+json')
      // Bytes, for to text the framework adds a charset, which this media type does not have.
      .send(Buffer.from(JSON.stringify(problem)))
  );
};
