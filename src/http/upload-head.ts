import type { FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';
import type { HeaderOf } from './content-digest.ts';

/** What the head of an upload says, before a byte of its body is read. Everything here is attacker-controlled. */
export const headerOf =
  ({ headers }: FastifyRequest): HeaderOf =>
  (name) => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };

/** A part of a recording must not pass for the whole (RFC 9110 §14.5): `curl -C` sends only what it thinks is missing. */
export const assertWhole = (request: FastifyRequest): void => {
  if (request.headers['content-range'] === undefined) return;
  throw new AppError(
    'invalid_request',
    'Content-Range: a recording is not taken in parts. Send it whole, without Content-Range (curl without -C).',
  );
};

/** A body may be empty, but its framing must say so (RFC 9112 §6.3): a request without any was meant as something else. */
export const assertBody = ({ headers }: FastifyRequest): void => {
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return;
  throw new AppError('invalid_request', 'The request has no body: send the audio.');
};

/** The content types of a raw body, as /openapi.json names them. */
export const rawMediaTypes = ['audio/*', 'application/octet-stream'] as const;

const ACCEPTED = /^(?:audio\/[\w.+!#$&^-]+|application\/octet-stream)\s*(?:;|$)/i;

/** The content type of a raw body, or null when it names none. Throws `unsupported_media_type` for what is no audio. */
export const rawMediaType = (request: FastifyRequest): string | null => {
  const type = request.headers['content-type'];
  if (type === undefined || type === '') return null;
  if (ACCEPTED.test(type)) return type;
  throw new AppError(
    'unsupported_media_type',
    `Send the recording as ${rawMediaTypes.join(' or ')}, or without a Content-Type (curl -T does).`,
  );
};
