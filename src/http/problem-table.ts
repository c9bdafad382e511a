import type { ErrorCode } from '../core/errors.ts';

export type ProblemKind = {
  /** Status of RFC 9110, 6585 or 4918. */
  readonly status: number;
  /** Status on /v1/uploads, where clients of tus take that one for a wrong offset and send everything again. */
  readonly onUploads?: number;
  /** What whoever meets it can do, for docs/errors.md. */
  readonly remedy: string;
};

const OPERATOR = 'Tell the operator, with the `requestId`: the log of the service says what it was.';

/** Every error code. Adding a code without a line here does not compile; docs/errors.md is generated from it. */
export const problemTable: Record<ErrorCode, ProblemKind> = {
  invalid_request: { status: 400, remedy: 'Mend what `detail` or `faults` names, then send it again.' },
  unauthenticated: {
    status: 401,
    remedy: 'Sign in, or send a valid token or API key in `Authorization: Bearer`.',
  },
  forbidden: {
    status: 403,
    remedy: 'Another role or a purpose is needed; the attempt is in the access log.',
  },
  password_change_required: {
    status: 403,
    remedy: 'Somebody else made this password: choose your own with `POST /v1/auth/password`, then go on.',
  },
  cross_site: {
    status: 403,
    remedy:
      'Call from the vault’s own page, or with a token instead of the cookie. A client that is no browser and has the cookie (`POST /v1/auth/refresh`) sends `Sec-Fetch-Site: same-origin` and `Content-Type: application/json`.',
  },
  not_found: {
    status: 404,
    remedy: 'Check the id. What belongs to others is answered like what does not exist.',
  },
  erased: {
    status: 410,
    remedy: 'Nothing: there was such a call, and it is erased. Do not deliver it again.',
  },
  method_not_allowed: { status: 405, remedy: 'Use a method that `Allow` names.' },
  not_acceptable: {
    status: 406,
    remedy: 'Ask for a media type that `detail` names, or name a `format`.',
  },
  not_acceptable_metadata: {
    status: 400,
    remedy: 'Mend each field that `faults` names; keep the recording.',
  },
  conflict: {
    status: 409,
    onUploads: 422,
    remedy:
      'What is stored says otherwise: read it, then decide. An upload with the same call and segment has other content.',
  },
  in_progress: {
    status: 503,
    remedy: 'The same call is being delivered right now: send it again after `Retry-After`.',
  },
  held: { status: 409, remedy: 'A hold keeps it: compliance must release the hold first.' },
  retention_floor: {
    status: 409,
    remedy: 'It is too young, or of a class that needs a decision: name the decision, or wait.',
  },
  digest_mismatch: {
    status: 400,
    remedy: 'The bytes changed on the way, or the digest is of other bytes: send it again.',
  },
  length_mismatch: { status: 400, remedy: 'The body was shorter or longer than declared: send it again.' },
  checksum_mismatch: {
    status: 460,
    remedy:
      'The bytes changed on the way; none of this request was kept. Send it again from the same offset.',
  },
  offset_mismatch: {
    status: 409,
    remedy: 'Ask `HEAD` how much is there, and send from that offset on.',
  },
  upload_locked: {
    status: 423,
    remedy: 'Another request works on this upload: ask `HEAD` after `Retry-After`, then go on.',
  },
  unsupported_version: {
    status: 412,
    remedy: 'Send `Tus-Resumable: 1.0.0`; `Tus-Version` names what is spoken here.',
  },
  precondition_failed: {
    status: 412,
    remedy: 'What is there is not what `If-Match` names: ask for it without, then again with its `ETag`.',
  },
  too_large: {
    status: 413,
    remedy: 'Stay below `MAX_UPLOAD_BYTES` for recordings, 64 KiB for JSON.',
  },
  headers_too_large: { status: 431, remedy: 'Send shorter headers: 16 KiB with the address.' },
  unsupported_media_type: {
    status: 415,
    remedy:
      'Send the content type that openapi.json names, without Content-Encoding and with no Transfer-Encoding but chunked.',
  },
  refused_content: {
    status: 422,
    remedy: 'This is a program or an archive: send the recording itself, unpacked.',
  },
  fetch_failed: {
    status: 502,
    remedy:
      'The provider named a recording and did not hand it over. Nothing: it is asked for again for seven days, and missed until it comes. A callback that is sent again is tried at once.',
  },
  number_in_name: {
    status: 400,
    remedy: 'Use an opaque name such as a UUID; the number goes into `X-Call-Caller-Number`.',
  },
  range_not_satisfiable: {
    status: 416,
    remedy: 'Ask for a range inside the length that `Content-Range` gives.',
  },
  request_timeout: {
    status: 408,
    remedy: 'Send it again, faster or over a better line. Nothing was stored.',
  },
  client_closed: {
    status: 400,
    remedy: 'Send the whole request before the connection ends. Nothing was stored.',
  },
  rate_limited: { status: 429, remedy: 'Wait for `Retry-After`, then ask less often.' },
  overloaded: { status: 503, remedy: 'Wait for `Retry-After`. If it lasts, the machine is too small.' },
  log_unavailable: {
    status: 503,
    remedy:
      'Try again after `Retry-After`. The operator: the access log cannot be written (database, disk); nothing is heard until it can.',
  },
  log_halted: {
    status: 503,
    remedy:
      'The operator: the log in the database is not the one this process wrote. Run `npx callvault verify` before anything else.',
  },
  event_exists: { status: 409, remedy: 'It was done already; nothing was done twice.' },
  storage_unavailable: {
    status: 503,
    remedy: 'Try again after `Retry-After`. The operator: the object store does not answer.',
  },
  database_unavailable: {
    status: 503,
    remedy: 'Try again after `Retry-After`. The operator: the database does not answer.',
  },
  storage_full: {
    status: 507,
    remedy: 'Keep the recording and send it later. The operator: make room (`FREE_DISK_FLOOR`).',
  },
  keys_unavailable: {
    status: 503,
    remedy: 'Try again after `Retry-After`. The operator: the keys cannot be read.',
  },
  wrong_key: {
    status: 500,
    remedy: 'The operator: these are not the keys of this vault; restore the right ones.',
  },
  integrity_failure: {
    status: 502,
    remedy:
      'The operator: what is stored was damaged or changed. Of a recording, the sender’s copy or a backup has it whole; of the access log, `npx callvault verify` says which entries.',
  },
  invalid_receipt: { status: 500, remedy: OPERATOR },
  config_invalid: {
    status: 500,
    remedy: 'The operator: each fault names its setting; mend it and start again.',
  },
  instance_running: { status: 500, remedy: 'The operator: stop the other vault on this data folder first.' },
  internal: { status: 500, remedy: OPERATOR },
};
