import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AppError, ErrorCode } from '../core/errors.ts';
import { discardRest } from './discard-rest.ts';
import { asAppError } from './foreign-error.ts';

/** Status of every error code (RFC 9110). Adding a code without a line here does not compile. */
export const problemStatus: Record<ErrorCode, number> = {
  invalid_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  cross_site: 403,
  not_found: 404,
  erased: 410,
  method_not_allowed: 405,
  not_acceptable_metadata: 400,
  conflict: 409,
  in_progress: 503,
  held: 409,
  retention_floor: 409,
  digest_mismatch: 400,
  length_mismatch: 400,
  too_large: 413,
  headers_too_large: 431,
  unsupported_media_type: 415,
  refused_content: 422,
  number_in_name: 400,
  range_not_satisfiable: 416,
  request_timeout: 408,
  client_closed: 400,
  rate_limited: 429,
  overloaded: 503,
  log_unavailable: 503,
  log_halted: 503,
  event_exists: 409,
  storage_unavailable: 503,
  database_unavailable: 503,
  storage_full: 507,
  keys_unavailable: 503,
  wrong_key: 500,
  integrity_failure: 502,
  invalid_receipt: 500,
  config_invalid: 500,
  instance_running: 500,
  internal: 500,
};

/** RFC 9457 problem details. `type` ends in the stable error code; docs/errors.md is generated from this table. */
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
  switch (problemStatus[code]) {
    case 502:
      return 'The stored recording did not pass its integrity check. Nothing was released. The operator has been told.';
    case 503:
      return 'The vault cannot do this right now and has done nothing. Try again shortly.';
    case 507:
      return 'The vault has no room for more recordings. Nothing was stored. Keep the file and try again later.';
    default:
      return 'Something failed inside the vault. Nothing was released.';
  }
};

export const problemOf = (error: AppError, requestId: string): Problem => {
  const status = problemStatus[error.code];
  return {
    type: `urn:callvault:problem:${error.code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: status >= 500 ? serverDetail(error.code) : error.message,
    code: error.code,
    requestId,
    ...(error.extras.faults === undefined || status >= 500 ? {} : { faults: error.extras.faults }),
  };
};

const challenge = (code: ErrorCode): string | null =>
  code === 'unauthenticated' ? 'Bearer realm="callvault"' : null;

/** The one place that answers an error. */
export const sendProblem = (request: FastifyRequest, reply: FastifyReply, thrown: unknown): FastifyReply => {
  const error = asAppError(thrown);
  const problem = problemOf(error, request.id);
  if (problem.status >= 500) request.log.error({ err: error }, 'request failed');
  // The framework would close the connection after a body it has not read.
  discardRest(request.raw);
  void reply.removeHeader('connection');
  const wait = error.extras.retryAfter ?? (problem.status === 503 ? 5 : null);
  if (wait !== null) void reply.header('retry-after', String(Math.ceil(wait)));
  const authenticate = challenge(error.code);
  if (authenticate !== null) void reply.header('www-authenticate', authenticate);
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
