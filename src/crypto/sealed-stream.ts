import { freeBuffer } from '../core/free-buffer.ts';
import {
  type ByteRange,
  HEADER_BYTES,
  type SealedSpan,
  sealedSpan,
  segmentCount,
  segmentStart,
  TAG_BYTES,
  VAULT_SEGMENT_BYTES,
} from '../core/sealed-layout.ts';
import { integrityFailure } from './integrity.ts';
import type { SegmentCipher } from './segment-cipher.ts';

const assertBytes = (chunk: unknown): void => {
  // A stream with an encoding set would hand out strings, whose characters are not its bytes.
  if (!(chunk instanceof Uint8Array)) throw new TypeError('a stream of bytes is wanted');
};

/**
 * Seals a stream: yields the header, then ciphertext and tag of every segment as chunks of their own (joining them would
 * nearly double the cost). A yielded buffer belongs to the consumer and is never touched again; a chunk of `source` must
 * stay unchanged only until the next one is asked for. The sealed object is complete when the generator has ended.
 */
export async function* seal(
  cipher: SegmentCipher,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, void> {
  yield Buffer.from(cipher.header);
  // Holds plaintext back until it is known whether the segment is the last one; overwritten at the end.
  const held = Buffer.allocUnsafeSlow(cipher.segmentBytes - TAG_BYTES);
  let filled = 0;
  let index = 0;
  let capacity = cipher.segmentBytes - HEADER_BYTES - TAG_BYTES;
  try {
    for await (const chunk of source) {
      assertBytes(chunk);
      let offset = 0;
      while (offset < chunk.length) {
        const whole = filled === 0 && chunk.length - offset > capacity;
        if (whole || filled === capacity) {
          const plain = whole ? chunk.subarray(offset, offset + capacity) : held.subarray(0, filled);
          const [ciphertext, tag] = cipher.seal(index, false, plain);
          offset += whole ? capacity : 0;
          filled = 0;
          index += 1;
          capacity = held.length;
          yield ciphertext;
          yield tag;
        } else {
          const part = chunk.subarray(offset, offset + capacity - filled);
          held.set(part, filled);
          filled += part.length;
          offset += part.length;
        }
      }
    }
    const [ciphertext, tag] = cipher.seal(index, true, held.subarray(0, filled));
    if (ciphertext.length > 0) yield ciphertext;
    yield tag;
  } finally {
    held.fill(0);
  }
}

/**
 * Buffers that segments are put together in, kept for the next range: most objects arrive from a socket in odd cuts, and
 * what is allocated per range is collected per range. They hold ciphertext only and are never handed to a consumer.
 */
const idle: Buffer[] = [];
const IDLE_MAX = 32;
const borrow = (bytes: number): Buffer => {
  const buffer = bytes === VAULT_SEGMENT_BYTES ? idle.pop() : undefined;
  return buffer ?? Buffer.allocUnsafeSlow(bytes);
};
const giveBack = (buffer: Buffer | null): void => {
  if (buffer?.length === VAULT_SEGMENT_BYTES && idle.length < IDLE_MAX) idle.push(buffer);
};

type Gathered = { readonly index: number; readonly sealed: Uint8Array };

/**
 * Cuts ciphertext that starts at a segment boundary into whole segments. Chunk sizes and the number of bytes are
 * attacker-controlled; a source that ends early or goes on too long throws `integrity_failure`. A yielded segment is to be
 * used before the next one is asked for.
 */
async function* gather(
  span: SealedSpan,
  segmentBytes: number,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Gathered, void, void> {
  let held: Buffer | null = null;
  let filled = 0;
  let index = span.firstSegment;
  const sizeOf = (): number =>
    Math.min(segmentBytes, span.sealed.end - span.sealed.start - (index - span.firstSegment) * segmentBytes);
  try {
    for await (const chunk of source) {
      assertBytes(chunk);
      let offset = 0;
      while (offset < chunk.length) {
        if (index > span.lastSegment) throw integrityFailure('length', index);
        const size = sizeOf();
        if (filled === 0 && chunk.length - offset >= size) {
          yield { index, sealed: chunk.subarray(offset, offset + size) };
          offset += size;
          index += 1;
          continue;
        }
        held ??= borrow(segmentBytes);
        const part = chunk.subarray(offset, offset + size - filled);
        held.set(part, filled);
        filled += part.length;
        offset += part.length;
        if (filled === size) {
          yield { index, sealed: held.subarray(0, size) };
          filled = 0;
          index += 1;
        }
      }
    }
  } finally {
    giveBack(held);
  }
  if (index <= span.lastSegment) throw integrityFailure('length', index);
}

/** What follows the header in segment 0, after the header was found to be the pinned one. */
const withoutHeader = (sealed: Uint8Array, header: Uint8Array): Uint8Array => {
  if (sealed.length < HEADER_BYTES || Buffer.compare(sealed.subarray(0, HEADER_BYTES), header) !== 0)
    throw integrityFailure('header', 0);
  return sealed.subarray(HEADER_BYTES);
};

type Opened = { readonly segment: Buffer; readonly start: number; readonly end: number };

/** The verified segments that hold `range`, each with the part of it that is asked for. */
async function* openSegments(
  cipher: SegmentCipher,
  range: ByteRange,
  plain: number,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Opened, void, void> {
  const { segmentBytes } = cipher;
  const span = sealedSpan(range, plain, segmentBytes);
  const finalSegment = segmentCount(plain, segmentBytes) - 1;
  for await (const { index, sealed } of gather(span, segmentBytes, source)) {
    const body = index === 0 ? withoutHeader(sealed, cipher.header) : sealed;
    const segment = cipher.open(index, index === finalSegment, body);
    const start = index === span.firstSegment ? span.skip : 0;
    const end = index === span.lastSegment ? range.end - segmentStart(index, segmentBytes) : segment.length;
    yield { segment, start, end };
  }
}

/**
 * Opens plaintext bytes `range` of a message of `plain` bytes. `source` is the ciphertext `sealedSpan(range, plain).sealed`
 * and attacker-controlled; its chunks must stay unchanged until the next one is asked for. Every chunk yielded has
 * verified and belongs to the consumer. Throws `integrity_failure` at the first segment that does not verify, and for a
 * source of another length; RangeError for a range outside the message.
 */
export async function* openRange(
  cipher: SegmentCipher,
  range: ByteRange,
  plain: number,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, void> {
  for await (const { segment, start, end } of openSegments(cipher, range, plain, source))
    if (end > start) yield segment.subarray(start, end);
}

/** As {@link openRange}, all at once: resolves when the last segment has verified, with bytes in memory of their own. */
export const openPiece = async (
  cipher: SegmentCipher,
  range: ByteRange,
  plain: number,
  source: AsyncIterable<Uint8Array>,
): Promise<Buffer> => {
  const piece = Buffer.allocUnsafeSlow(range.end - range.start);
  let filled = 0;
  try {
    for await (const { segment, start, end } of openSegments(cipher, range, plain, source)) {
      filled += segment.copy(piece, filled, start, end);
      freeBuffer(segment);
    }
  } catch (error) {
    piece.fill(0);
    throw error;
  }
  return piece;
};
