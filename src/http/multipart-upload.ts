import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';
import { type CallMetadata, MAX_METADATA_BYTES, parseMetadataJson } from '../core/metadata.ts';
import { arrivingInTime } from './body-deadline.ts';
import { sha256Digest } from './content-digest.ts';
import { uploadBody } from './upload-body.ts';

export type MultipartUpload = {
  readonly metadata: CallMetadata;
  readonly declaredSha256: Buffer | null;
  readonly declaredMediaType: string | null;
  /** Ends without an error only when the whole form, with its closing boundary, has been read. */
  readonly body: AsyncIterable<Buffer>;
};

/**
 * Every part is a stream, whatever type or file name it claims: the parser keeps nothing, decodes nothing and stops at
 * nothing but our own counts. One part more than there may be, so that it can be refused by name.
 */
const PARSING = {
  isPartAFile: () => true,
  limits: { files: 4, parts: 4, fields: 0, headerPairs: 20, headerSize: 16 * 1024, fileSize: Infinity },
};

const badForm = (fault: string, cause?: unknown): AppError =>
  new AppError(
    'invalid_request',
    `The form is not as documented: ${fault}.`,
    cause === undefined ? {} : { cause },
  );

const unfinished = (cause: unknown): AppError =>
  badForm('it ends before its closing boundary. Nothing was stored; send it again', cause);

/** Bytes of a part that may only be small. */
const smallPart = async (part: MultipartFile, name: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of part.file as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_METADATA_BYTES) throw badForm(`the part ${name} is too long`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof AppError ? error : unfinished(error);
  }
  return Buffer.concat(chunks);
};

const nextPart = async (parts: AsyncIterableIterator<Multipart>): Promise<MultipartFile | null> => {
  try {
    const { done, value } = await parts.next();
    return done === true ? null : (value as MultipartFile);
  } catch (error) {
    throw unfinished(error);
  }
};

async function* audioThenEnd(
  request: FastifyRequest,
  audio: MultipartFile,
  parts: AsyncIterableIterator<Multipart>,
): AsyncGenerator<Buffer> {
  try {
    yield* uploadBody(request.raw, audio.file);
  } catch (error) {
    // The parser ends the part early when the form does; a connection that was cut is told apart by the request.
    throw request.raw.complete && !(error instanceof AppError && error.code === 'request_timeout')
      ? unfinished(error)
      : error;
  }
  // Without the closing boundary nothing counts.
  if ((await nextPart(parts)) !== null) throw badForm('nothing may follow the part audio');
}

const readHead = async (parts: AsyncIterableIterator<Multipart>, now: number) => {
  const first = await nextPart(parts);
  if (first?.fieldname !== 'metadata') throw badForm('the first part must be metadata (JSON)');
  const metadata = parseMetadataJson(await smallPart(first, 'metadata'), now);
  let next = await nextPart(parts);
  let declaredSha256: Buffer | null = null;
  if (next?.fieldname === 'sha256') {
    declaredSha256 = sha256Digest((await smallPart(next, 'sha256')).toString('latin1'));
    next = await nextPart(parts);
  }
  if (next?.fieldname !== 'audio') throw badForm('after metadata comes the part audio');
  return { metadata, declaredSha256, audio: next };
};

/** Reads `metadata` (JSON), optionally `sha256` (hex), then `audio`, in this order, from an attacker-controlled form. */
export const readMultipartUpload = async (request: FastifyRequest, now: number): Promise<MultipartUpload> => {
  if (!request.isMultipart())
    throw new AppError(
      'unsupported_media_type',
      'Send multipart/form-data with the parts metadata and audio.',
    );
  if (!/;\s*boundary=/i.test(request.headers['content-type'] ?? ''))
    throw badForm('its Content-Type names no boundary');
  // Over the whole form (RFC 9530 §2) it would say nothing of the recording, and passing it over would look like a check.
  if (request.headers['content-digest'] !== undefined)
    throw badForm(
      'Content-Digest in the head of the request is a digest of the whole form, which is not checked; send the SHA-256 of the audio as the part sha256 (64 hex digits) before the part audio',
    );
  const parts = request.parts(PARSING) as AsyncIterableIterator<Multipart>;
  const { metadata, declaredSha256, audio } = await arrivingInTime(readHead(parts, now));
  return {
    metadata,
    declaredSha256,
    declaredMediaType: audio.mimetype,
    body: audioThenEnd(request, audio, parts),
  };
};
