import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';
import { type CallMetadata, MAX_METADATA_BYTES, parseMetadataJson } from '../core/metadata.ts';
import { sha256Digest } from './content-digest.ts';
import { uploadBody } from './upload-body.ts';

export type MultipartUpload = {
  readonly metadata: CallMetadata;
  readonly declaredSha256: Buffer | null;
  readonly declaredMediaType: string | null;
  /** Ends without an error only when the whole form, with its closing boundary, has been read. */
  readonly body: AsyncIterable<Buffer>;
};

const badForm = (fault: string): AppError =>
  new AppError('invalid_request', `The form is not as documented: ${fault}.`);

/** Bytes of a small part, whether it came as a field or as a file. */
const smallPart = async (part: Multipart): Promise<Buffer> => {
  if (part.type === 'field') {
    if (part.valueTruncated || part.fieldnameTruncated) throw badForm(`the part ${part.fieldname} is too long`);
    return Buffer.from(String(part.value), 'utf8');
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of part.file as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_METADATA_BYTES) throw badForm('the part metadata is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

async function* audioThenEnd(
  request: FastifyRequest,
  audio: MultipartFile,
  parts: AsyncIterableIterator<Multipart>,
): AsyncGenerator<Buffer> {
  yield* uploadBody(request.raw, audio.file);
  // Half a form ends its file part early and then fails here: without the closing boundary nothing counts.
  const next = await nextPart(parts);
  if (next !== null) throw badForm('nothing may follow the part audio');
}

const nextPart = async (parts: AsyncIterableIterator<Multipart>): Promise<Multipart | null> => {
  try {
    const { done, value } = await parts.next();
    return done === true ? null : value;
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('invalid_request', 'The form could not be read to its end. Nothing was stored; send it again.', {
      cause: error,
    });
  }
};

/** Reads `metadata` (JSON), optionally `sha256` (hex), then `audio`, in this order, from an attacker-controlled form. */
export const readMultipartUpload = async (request: FastifyRequest, now: number): Promise<MultipartUpload> => {
  if (!request.isMultipart())
    throw new AppError('unsupported_media_type', 'Send multipart/form-data with the parts metadata and audio.');
  const parts = request.parts({
    limits: { fieldSize: MAX_METADATA_BYTES, fields: 2, files: 2, parts: 4, headerPairs: 20, fileSize: Infinity },
  }) as AsyncIterableIterator<Multipart>;
  const first = await nextPart(parts);
  if (first?.fieldname !== 'metadata') throw badForm('the first part must be metadata (JSON)');
  const metadata = parseMetadataJson(await smallPart(first), now);
  let next = await nextPart(parts);
  let declaredSha256: Buffer | null = null;
  if (next?.fieldname === 'sha256') {
    declaredSha256 = sha256Digest((await smallPart(next)).toString('latin1'));
    next = await nextPart(parts);
  }
  if (next === null || next.fieldname !== 'audio' || next.type !== 'file')
    throw badForm('after metadata comes the part audio, as a file');
  return {
    metadata,
    declaredSha256,
    declaredMediaType: next.mimetype,
    body: audioThenEnd(request, next, parts),
  };
};
