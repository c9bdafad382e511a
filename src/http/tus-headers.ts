import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';
import { headerOf } from './upload-head.ts';

/** Headers of tus 1.0 (tus.io/protocols/resumable-upload), all of them attacker-controlled. */
export const TUS_VERSION = '1.0.0';
export const TUS_EXTENSIONS = 'creation,checksum,termination,expiration';
export const PART_MEDIA_TYPE = 'application/offset+octet-stream';
/** Id of the recording that an upload has become. */
export const RECORDING_HEADER = 'callvault-recording';

const malformed = (header: string, form: string): AppError =>
  new AppError('invalid_request', `The header ${header} must be ${form}.`);

/** Every request but OPTIONS says which version it speaks. */
export const assertVersion = (request: FastifyRequest): void => {
  if (headerOf(request)('tus-resumable') === TUS_VERSION) return;
  throw new AppError('unsupported_version', `Send the header Tus-Resumable: ${TUS_VERSION}.`);
};

const COUNT = /^\d{1,15}$/;

export const countIn = (request: FastifyRequest, header: string): number => {
  const value = headerOf(request)(header.toLowerCase());
  if (value === undefined || !COUNT.test(value)) throw malformed(header, 'a number of bytes');
  return Number(value);
};

/** Throws `too_large` beyond the limit of recordings, `invalid_request` for what this server does not offer. */
export const lengthIn = (request: FastifyRequest, maxUploadBytes: number): number => {
  const header = headerOf(request);
  if (header('upload-defer-length') !== undefined)
    throw new AppError('invalid_request', 'Upload-Defer-Length is not offered: send Upload-Length.');
  if (header('upload-concat') !== undefined)
    throw new AppError('invalid_request', 'Upload-Concat is not offered: send the recording as one upload.');
  const length = countIn(request, 'Upload-Length');
  if (length > maxUploadBytes)
    throw new AppError('too_large', `A recording may have at most ${maxUploadBytes} bytes here.`);
  return length;
};

/** `sha256 <base64>`, or null without the header. Nothing that looks like a checksum is passed over. */
export const checksumIn = (request: FastifyRequest): Buffer | null => {
  const value = headerOf(request)('upload-checksum');
  if (value === undefined) {
    if (/upload-checksum/i.test(headerOf(request)('trailer') ?? ''))
      throw new AppError(
        'invalid_request',
        'A checksum in a trailer is not offered: send it before the body.',
      );
    return null;
  }
  const encoded = /^sha256 ([A-Za-z0-9+/]{43}=)$/.exec(value)?.[1];
  if (encoded === undefined) throw malformed('Upload-Checksum', 'sha256 and the digest in base64');
  return Buffer.from(encoded, 'base64');
};

export const assertPart = (request: FastifyRequest): void => {
  const type = headerOf(request)('content-type') ?? '';
  if (type.split(';', 1)[0]?.trim().toLowerCase() === PART_MEDIA_TYPE) return;
  throw new AppError('unsupported_media_type', `Send the bytes as ${PART_MEDIA_TYPE}.`);
};

/** A POST that brings bytes expects them to count, which they would not. */
export const assertNoBody = (request: FastifyRequest): void => {
  const header = headerOf(request);
  if (header('transfer-encoding') === undefined && (header('content-length') ?? '0') === '0') return;
  throw new AppError('invalid_request', 'Send no body with POST: the bytes come with PATCH.');
};

export type Told = {
  readonly offset: number;
  readonly expiresAt: Date;
  readonly recording: { readonly id: string } | null;
};

/** What every answer about an upload says. */
export const tell = (reply: FastifyReply, { offset, expiresAt, recording }: Told): FastifyReply => {
  void reply
    .header('cache-control', 'no-store')
    .header('upload-offset', String(offset))
    .header('upload-expires', expiresAt.toUTCString());
  return recording === null ? reply : reply.header(RECORDING_HEADER, recording.id);
};
