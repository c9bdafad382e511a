/**
 * Every way Callvault refuses or fails, as a closed union.
 * `http/problem-table.ts` maps each code to an RFC 9457 problem; a code without a mapping does not compile.
 */
export const errorCodes = [
  'invalid_request',
  'unauthenticated',
  'forbidden',
  'password_change_required',
  'cross_site',
  'not_found',
  'erased',
  'method_not_allowed',
  'not_acceptable',
  'not_acceptable_metadata',
  'conflict',
  'in_progress',
  'held',
  'retention_floor',
  'digest_mismatch',
  'length_mismatch',
  'checksum_mismatch',
  'offset_mismatch',
  'upload_locked',
  'unsupported_version',
  'precondition_failed',
  'too_large',
  'headers_too_large',
  'unsupported_media_type',
  'refused_content',
  'fetch_failed',
  'number_in_name',
  'range_not_satisfiable',
  'request_timeout',
  'client_closed',
  'rate_limited',
  'overloaded',
  'log_unavailable',
  'log_halted',
  'event_exists',
  'storage_unavailable',
  'database_unavailable',
  'storage_full',
  'keys_unavailable',
  'wrong_key',
  'integrity_failure',
  'invalid_receipt',
  'config_invalid',
  'instance_running',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** What a caller may be told besides the sentence; never a number, a name or a token. */
export type ErrorExtras = {
  /** Seconds after which trying again makes sense; becomes `Retry-After`. */
  readonly retryAfter?: number;
  /** Faults by field, for 400 answers. */
  readonly faults?: readonly { readonly where: string; readonly fault: string }[];
  /** Methods for 405 answers; become `Allow`. */
  readonly allow?: readonly string[];
  /** Total length for 416 answers. */
  readonly totalBytes?: number;
  /** Place of the entry of the access log that is at fault, for 502 answers. */
  readonly entry?: number;
  /** Why somebody else did not do what was asked of him: a closed word of ours, or a status. For the vault itself. */
  readonly why?: string;
};

/** The one error class. `message` is safe to show the caller for every code below 500; `cause` is for the operator's log only. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly extras: ErrorExtras;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } & ErrorExtras = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    const { cause: _cause, ...extras } = options;
    this.extras = extras;
  }
}

export const isAppError = (error: unknown, code?: ErrorCode): error is AppError =>
  error instanceof AppError && (code === undefined || error.code === code);
