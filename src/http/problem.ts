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

/** What a stranger is told when the fault is ours: which kind, never why. */
const serverDetail = (code: ErrorCode): string => {
  if (code === 'log_halted')
    return 'The vault has stopped, for its access log is not the one that it was. Nothing was done. Only its operator can help.';
  switch (problemTable[code].status) {
    case 502:
      return 'What is stored here did not pass its integrity check. Nothing of it was released. The operator has been told.';
    case 503:
      return 'The vault cannot do this right now and has done nothing. Try again shortly.';
    case 507:
      return 'The vault has no room for more recordings. Nothing was stored. Keep the file and try again later.';
    default:
      return 'Something failed inside the vault. Nothing was released.';
  }
};

/** Which entry of the log is at fault may be told: whoever was refused it can have the others, and name this one. */
const detailOf = ({ code, extras, message }: AppError): string => {
  if (problemTable[code].status < 500) return message;
  return extras.entry === undefined
    ? serverDetail(code)
    : `Entry ${extras.entry} of the access log is not the one that was committed. Nothing of it was released. The operator has been told.`;
};

export const problemOf = (error: AppError, requestId: string): Problem => {
  const { status } = problemTable[error.code];
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

/** The one place that answers an error. */
export const sendProblem = (request: FastifyRequest, reply: FastifyReply, thrown: unknown): FastifyReply => {
  const error = asAppError(thrown);
  const problem = problemOf(error, request.id);
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
