/**
 * Size arithmetic of the sealed object (docs/file-format.md §2): where which plaintext byte lies. Pure, so that a
 * `Content-Length` and the ciphertext a Range needs are known without a key.
 *
 *     object = header(40) ‖ C_0 ‖ … ‖ C_{n-1};   segment i = object bytes [i·S, (i+1)·S);   C_i = ciphertext ‖ tag(16)
 *
 * The header counts towards segment 0, which therefore holds S-56 plaintext bytes and every other one S-16.
 */
export const HEADER_BYTES = 40;
/** Of a manifest of the edge as text: metadata of 64 KiB, sealed, twice in base64url, and the rest. */
export const MAX_MANIFEST_BYTES = 128 * 1024;
export const TAG_BYTES = 16;
/** The one segment size the vault writes and opens. Others exist for test vectors only. */
export const VAULT_SEGMENT_BYTES = 65_536;

const FIRST_OVERHEAD = HEADER_BYTES + TAG_BYTES;
/** One plaintext byte must fit beside header and tag; the upper bound keeps one segment from exhausting memory. */
const MIN_SEGMENT_BYTES = FIRST_OVERHEAD + 1;
const MAX_SEGMENT_BYTES = 2 ** 24;
/** The counter in the nonce has 32 bits, and Tink stops one short of wrapping. */
const MAX_SEGMENTS = 2 ** 32 - 1;

/** Bytes [start, end), counted from 0. */
export type ByteRange = { readonly start: number; readonly end: number };

const assertSegmentBytes = (segmentBytes: number): void => {
  if (!Number.isInteger(segmentBytes) || segmentBytes < MIN_SEGMENT_BYTES || segmentBytes > MAX_SEGMENT_BYTES)
    throw new RangeError('no such segment size');
};

const assertLength = (length: number): void => {
  if (!Number.isSafeInteger(length) || length < 0)
    throw new RangeError('a length is a whole number of bytes');
};

/** Segments of a message of `plain` bytes: at least one, and never an empty one behind a full one. */
export const segmentCount = (plain: number, segmentBytes = VAULT_SEGMENT_BYTES): number => {
  assertSegmentBytes(segmentBytes);
  assertLength(plain);
  const first = segmentBytes - FIRST_OVERHEAD;
  const count = plain <= first ? 1 : 1 + Math.ceil((plain - first) / (segmentBytes - TAG_BYTES));
  if (count > MAX_SEGMENTS) throw new RangeError('a sealed object has at most 2^32-1 segments');
  return count;
};

/** Length of the object that seals `plain` bytes. Throws RangeError when there is none. */
export const sealedBytes = (plain: number, segmentBytes = VAULT_SEGMENT_BYTES): number => {
  const sealed = HEADER_BYTES + plain + TAG_BYTES * segmentCount(plain, segmentBytes);
  assertLength(sealed);
  return sealed;
};

/**
 * Length of the message inside an object of `sealed` bytes, or null when no object has that length. `sealed` is
 * attacker-controlled: it is what a store reports for an object that anybody with access to the store may have replaced.
 */
export const plainBytes = (sealed: number, segmentBytes = VAULT_SEGMENT_BYTES): number | null => {
  assertSegmentBytes(segmentBytes);
  if (!Number.isSafeInteger(sealed) || sealed < FIRST_OVERHEAD) return null;
  const count = Math.ceil(sealed / segmentBytes);
  const last = sealed - (count - 1) * segmentBytes;
  if (count > MAX_SEGMENTS || (count > 1 && last <= TAG_BYTES)) return null;
  return sealed - HEADER_BYTES - TAG_BYTES * count;
};

/** Index of the segment that holds plaintext byte `offset`. */
export const segmentOf = (offset: number, segmentBytes = VAULT_SEGMENT_BYTES): number => {
  assertSegmentBytes(segmentBytes);
  assertLength(offset);
  const first = segmentBytes - FIRST_OVERHEAD;
  return offset < first ? 0 : 1 + Math.floor((offset - first) / (segmentBytes - TAG_BYTES));
};

/** Offset of the first plaintext byte of a segment. */
export const segmentStart = (segment: number, segmentBytes = VAULT_SEGMENT_BYTES): number =>
  segment === 0 ? 0 : segmentBytes - FIRST_OVERHEAD + (segment - 1) * (segmentBytes - TAG_BYTES);

/** What has to be read, and where the wanted bytes lie in it. */
export type SealedSpan = {
  readonly firstSegment: number;
  readonly lastSegment: number;
  /** Whole segments of the object. Starts at a segment boundary; that of segment 0 is the header. */
  readonly sealed: ByteRange;
  /** Plaintext bytes of `firstSegment` that come before the range. */
  readonly skip: number;
};

/**
 * The segments that hold plaintext bytes `range` of a message of `plain` bytes. Throws RangeError for a range that is
 * empty or leaves the message; the one empty range allowed is that of the empty message, whose only segment still has
 * a tag to verify.
 */
export const sealedSpan = (
  range: ByteRange,
  plain: number,
  segmentBytes = VAULT_SEGMENT_BYTES,
): SealedSpan => {
  const total = sealedBytes(plain, segmentBytes);
  assertLength(range.start);
  assertLength(range.end);
  const empty = range.end <= range.start;
  if (range.end > plain || (empty && (plain > 0 || range.start !== range.end)))
    throw new RangeError('the range lies outside the message');
  const firstSegment = segmentOf(range.start, segmentBytes);
  const lastSegment = empty ? 0 : segmentOf(range.end - 1, segmentBytes);
  return {
    firstSegment,
    lastSegment,
    sealed: {
      start: firstSegment * segmentBytes,
      end: Math.min(total, (lastSegment + 1) * segmentBytes),
    },
    skip: range.start - segmentStart(firstSegment, segmentBytes),
  };
};
