import type { FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';
import { type CallMetadata, MAX_METADATA_BYTES, parseMetadataJson } from '../core/metadata.ts';
import { parseSiprecMetadata } from '../core/siprec-metadata.ts';
import { MAX_XML_BYTES } from '../core/xml-document.ts';
import { arrivingInTime } from './body-deadline.ts';
import { declaredDigest, namesDigest, sha256Digest } from './content-digest.ts';
import { boundaryOf, type FormPart, readForm } from './form-parts.ts';
import { uploadBody } from './upload-body.ts';
import { headerOf } from './upload-head.ts';

export type MultipartUpload = {
  readonly metadata: CallMetadata;
  readonly declaredSha256: Buffer | null;
  readonly declaredMediaType: string | null;
  /** Ends without an error only when the whole form, with its closing boundary, has been read. */
  readonly body: AsyncIterable<Buffer>;
};

export type Form = ReturnType<typeof readForm>;

export const badForm = (fault: string, cause?: unknown): AppError =>
  new AppError(
    'invalid_request',
    `The form is not as documented: ${fault}.`,
    cause === undefined ? {} : { cause },
  );

const unfinished = (cause: unknown): AppError =>
  badForm('it ends before its closing boundary. Nothing was stored; send it again', cause);

/** Bytes of a part that may only be small. */
export const smallPart = async (
  part: FormPart,
  name: string,
  maxBytes = MAX_METADATA_BYTES,
): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of part.stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw badForm(`the part ${name} is too long`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof AppError ? error : unfinished(error);
  }
  return Buffer.concat(chunks);
};

export const nextPart = async (form: Form): Promise<FormPart | null> => {
  try {
    return await form.next();
  } catch (error) {
    throw error instanceof AppError ? error : unfinished(error);
  }
};

/** The chunks of the part that must be the last of its form. */
export async function* lastPart(request: FastifyRequest, part: FormPart, form: Form): AsyncGenerator<Buffer> {
  try {
    yield* uploadBody(request.raw, part.stream);
  } catch (error) {
    // The parser ends the part early when the form does; a connection that was cut is told apart by the request.
    throw request.raw.complete && !(error instanceof AppError && error.code === 'request_timeout')
      ? unfinished(error)
      : error;
  }
  // Without the closing boundary nothing counts.
  if ((await nextPart(form)) !== null) throw badForm(`nothing may follow the part ${part.name}`);
}

/** Throws `unsupported_media_type` for what is no form, `invalid_request` for a form that cannot be read. */
export const openForm = (request: FastifyRequest, parts: string): Form => {
  const type = request.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\s*(?:;|$)/i.test(type))
    throw new AppError('unsupported_media_type', `Send multipart/form-data with the parts ${parts}.`);
  const boundary = boundaryOf(type);
  if (boundary === null) throw badForm('its Content-Type names no boundary of 1 to 70 characters');
  // Over the whole form (RFC 9530 §2) it would say nothing of the recording, and passing it over would look like a check.
  if (namesDigest(headerOf(request)))
    throw badForm(
      'a digest in the head of the request is of the whole form, which is not checked; send that of the audio as Content-Digest among the headers of its part, or as the part sha256 (64 hex digits) before it',
    );
  return readForm(request.raw, boundary);
};

/** The small parts before the audio, in their order; each may be left out but for one of the first two. */
const readSmallParts = async (form: Form) => {
  let part = await nextPart(form);
  const take = async (name: string, maxBytes?: number): Promise<Buffer | null> => {
    if (part?.name !== name) return null;
    const bytes = await smallPart(part, name, maxBytes);
    part = await nextPart(form);
    return bytes;
  };
  const metadata = await take('metadata');
  const siprec = await take('siprec', MAX_XML_BYTES);
  if (metadata === null && siprec === null)
    throw badForm('the first part must be metadata (JSON), or siprec (application/rs-metadata+xml)');
  const sha256 = await take('sha256');
  return { metadata, siprec, sha256, audio: part };
};

const metadataOf = (metadata: Buffer | null, siprec: Buffer | null, now: number): CallMetadata =>
  siprec === null
    ? parseMetadataJson(metadata ?? Buffer.alloc(0), now)
    : parseSiprecMetadata(siprec, metadata, now);

const readHead = async (form: Form, now: number) => {
  const { metadata, siprec, sha256, audio } = await readSmallParts(form);
  const read = metadataOf(metadata, siprec, now);
  const declaredSha256 = sha256 === null ? null : sha256Digest(sha256.toString('latin1'));
  if (audio?.name !== 'audio') throw badForm('after metadata comes the part audio');
  const ownSha256 = declaredDigest(audio.header);
  if (ownSha256 !== null && declaredSha256 !== null && !ownSha256.equals(declaredSha256))
    throw badForm('the part sha256 and the Content-Digest of the part audio are not the same digest');
  return { metadata: read, declaredSha256: declaredSha256 ?? ownSha256, audio };
};

/**
 * Reads `metadata` (JSON) or `siprec` (RFC 7865) or both, optionally `sha256` (hex), then `audio`, in this order, from an
 * attacker-controlled form. What `metadata` says, `siprec` need not. The digest may also be a `Content-Digest` among the headers of the part audio.
 */
export const readMultipartUpload = async (request: FastifyRequest, now: number): Promise<MultipartUpload> => {
  const form = openForm(request, 'metadata and audio');
  const { metadata, declaredSha256, audio } = await arrivingInTime(readHead(form, now));
  return {
    metadata,
    declaredSha256,
    // With its parameters: sound without a container has its rate there.
    declaredMediaType: audio.header('content-type') ?? null,
    body: lastPart(request, audio, form),
  };
};
