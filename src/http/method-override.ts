import type { IncomingMessage } from 'node:http';
import { AppError } from '../core/errors.ts';

/** Attacker-controlled, and of tus 1.0: for networks that let nothing through but GET and POST. */
const HEADER = 'x-http-method-override';
const OFFERED: ReadonlySet<string> = new Set(['PATCH', 'DELETE', 'HEAD']);

/**
 * Addresses of uploads as they are told to clients, and nothing that could be read as another address: no escapes, no dots, no
 * second slash.
 */
const UPLOADS = /^\/v1\/uploads(?:\/[\w-]+)?(?:\?|$)/;

const isOfUploads = ({ method, url }: IncomingMessage): boolean =>
  method === 'POST' && UPLOADS.test(url ?? '');

/** Node joins what comes twice with commas, which no method is. */
const methodIn = ({ headers }: IncomingMessage): string | undefined => headers[HEADER]?.toString();

/**
 * A POST for an upload becomes what its header says, before anybody looks at it: address, access, limits, body and log know
 * the real method alone. Everything else is left as it is; {@link assertMeant} refuses what cannot be taken.
 */
export const takeMethodOverride = (request: IncomingMessage): void => {
  const method = methodIn(request);
  if (method !== undefined && OFFERED.has(method) && isOfUploads(request)) request.method = method;
};

/** Passed over, the header would have something else done than was asked for. Throws `invalid_request`. */
export const assertMeant = (request: IncomingMessage): void => {
  const method = methodIn(request);
  if (method === undefined || (OFFERED.has(method) && method === request.method)) return;
  throw new AppError(
    'invalid_request',
    'X-HTTP-Method-Override must be PATCH, DELETE or HEAD, once, with POST to the address of an upload.',
  );
};

/** The same for addresses of uploads that do not know POST, so that it is not the address that is blamed. */
export const assertMeantForUpload = (request: IncomingMessage): void => {
  if (isOfUploads(request)) assertMeant(request);
};
