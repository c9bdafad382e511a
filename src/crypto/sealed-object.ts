import { createHash, type KeyObject } from 'node:crypto';
import { type ByteRange, HEADER_BYTES, plainBytes, sealedSpan, TAG_BYTES } from '../core/sealed-layout.ts';
import {
  assertEnvelope,
  type Envelope,
  type ObjectIdentity,
  objectAad,
  type SealFacts,
  VAULT_FORMAT,
  type WrappedKey,
} from './envelope.ts';
import { integrityFailure } from './integrity.ts';
import { assertKeyCommitment } from './key-commitment.ts';
import { openPiece, openRange, seal } from './sealed-stream.ts';
import { segmentCipher } from './segment-cipher.ts';

/** A data key that has sealed nothing yet, with the header it will be used with. Made by the key ring; seals one object. */
export type FreshObjectKey = ObjectIdentity & {
  readonly dek: KeyObject;
  readonly header: Uint8Array;
  readonly keyCommitment: Uint8Array;
  readonly wrap: WrappedKey;
};

export type Sealing = {
  /** The object's bytes: header, then ciphertext and tag of each segment. Every chunk belongs to the consumer. */
  readonly body: AsyncGenerator<Buffer, void, void>;
  /** What goes into the database once `body` has ended. Throws before that: an unfinished object has no envelope. */
  readonly envelope: () => Envelope;
};

/** What a store hands out for a range: the bytes asked for, and the length of the whole object as the store sees it. */
export type SealedSlice = {
  readonly body: AsyncIterable<Uint8Array>;
  readonly totalBytes: number;
};

/** Fetches these bytes of the object from the store; `(range) => store.get(key, { ...range, signal })`. */
export type ReadSealed = (sealed: ByteRange) => Promise<SealedSlice>;

export type SealedObject = {
  /** Length of the message. */
  readonly plainBytes: number;
  /**
   * Plaintext bytes [start, end). Asks `read` once for the segments that hold them, compares the object's length with the
   * envelope, and resolves when the first segment has verified: from then on a status line may be sent. A later segment
   * that does not verify makes the iteration throw `integrity_failure` with no byte of it released; the response must
   * then be cut, never ended. Chunks belong to the consumer. The slice is closed in every case, provided the iterator is
   * exhausted or its `return` called (`for await` and `Readable.from` do). Throws RangeError for a range that is empty or
   * leaves the message; passes on what `read` throws.
   */
  readonly readRange: (
    range: ByteRange,
    read: ReadSealed,
  ) => Promise<AsyncIterableIterator<Buffer, void, void>>;
  /** As `readRange`, whole: resolves when every segment has verified, so that damage is known before a status line. */
  readonly readPiece: (range: ByteRange, read: ReadSealed) => Promise<Buffer>;
};

const used = new WeakSet<KeyObject>();
const EMPTY_BYTES = HEADER_BYTES + TAG_BYTES;

/**
 * Seals one recording (docs/file-format.md §2). `source` is read as the consumer reads `body`; when either fails, the
 * other is closed and there is no envelope. Throws RangeError when the key has already been used: the same nonces twice
 * would give both messages away.
 */
export const sealObject = (key: FreshObjectKey, source: AsyncIterable<Uint8Array>): Sealing => {
  if (used.has(key.dek)) throw new RangeError('a data key seals one object');
  used.add(key.dek);
  const { dek, wrap, header, keyCommitment, organisation, recording, generation } = key;
  const aad = objectAad(key, VAULT_FORMAT.segmentBytes);
  assertKeyCommitment(dek, header, aad, keyCommitment);
  const cipher = segmentCipher({ dek, aad, header });
  const digest = createHash('sha256');
  let envelope: Envelope | null = null;

  async function* body(): AsyncGenerator<Buffer, void, void> {
    let bytes = 0;
    for await (const chunk of seal(cipher, source)) {
      digest.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
    envelope = {
      ...VAULT_FORMAT,
      organisation,
      recording,
      generation,
      plainBytes: plainBytes(bytes) ?? 0,
      sealedBytes: bytes,
      sealedSha256: digest.digest(),
      header,
      keyCommitment,
      wrap,
    };
  }

  return {
    body: body(),
    envelope: () => {
      if (envelope === null) throw new RangeError('the object is not complete');
      return envelope;
    },
  };
};

/**
 * The plaintext of an object that somebody else sealed with this key, while it arrives: attacker-controlled, of `plain` bytes.
 * For ingest alone, which keeps nothing that does not verify to its end. Throws `integrity_failure`.
 */
export async function* openArriving(
  { dek, header, ...identity }: FreshObjectKey,
  plain: number,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, void> {
  const cipher = segmentCipher({ dek, header, aad: objectAad(identity, VAULT_FORMAT.segmentBytes) });
  if (plain > 0) {
    yield* openRange(cipher, { start: 0, end: plain }, plain, source);
    return;
  }
  // No range is empty, but a recording may be: header and one tag.
  let bytes = Buffer.alloc(0);
  for await (const chunk of source) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length > EMPTY_BYTES) break;
  }
  if (bytes.length !== EMPTY_BYTES || !bytes.subarray(0, HEADER_BYTES).equals(header))
    throw integrityFailure('length', 0);
  cipher.open(0, true, bytes.subarray(HEADER_BYTES));
}

/** Asks for the first chunk and puts it back, so that the caller knows it is there before he speaks. */
const begun = async (
  chunks: AsyncGenerator<Buffer, void, void>,
): Promise<AsyncIterableIterator<Buffer, void, void>> => {
  let first: IteratorResult<Buffer, void> | null = await chunks.next();
  const iterator: AsyncIterableIterator<Buffer, void, void> = {
    next: async () => {
      if (first === null) return chunks.next();
      const result = first;
      first = null;
      return result;
    },
    return: async () => {
      first = null;
      return chunks.return();
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
};

/** Starts the stream and leaves it at once, which is what closes it: one never begun would keep its file or socket open. */
const discard = async (body: AsyncIterable<Uint8Array>): Promise<void> => {
  try {
    for await (const _chunk of body) break;
  } catch {
    // Whatever it would have said, the object is refused for a better reason.
  }
};

/**
 * An object and its key, ready for any number of ranges: envelope and key commitment are checked and the object's key is
 * derived here, once. Throws `integrity_failure` when the envelope is not sound or `dek` is not the key it commits to.
 * Knows nothing of receipts: services get their objects from the key ring, which does. The exception is ingest, which
 * reads back what it has just sealed with the key it still holds.
 */
export const openObject = (facts: SealFacts, dek: KeyObject): SealedObject => {
  assertEnvelope(facts);
  const aad = objectAad(facts, facts.segmentBytes);
  assertKeyCommitment(dek, facts.header, aad, facts.keyCommitment);
  const cipher = segmentCipher({ dek, aad, header: facts.header, segmentBytes: facts.segmentBytes });
  const { plainBytes: plain, sealedBytes: sealed } = facts;
  const fetch = async (range: ByteRange, read: ReadSealed): Promise<AsyncIterable<Uint8Array>> => {
    const slice = await read(sealedSpan(range, plain, cipher.segmentBytes).sealed);
    if (slice.totalBytes === sealed) return slice.body;
    // A range that avoids the tail would verify on a truncated object.
    await discard(slice.body);
    throw integrityFailure('length');
  };
  return {
    plainBytes: plain,
    readRange: async (range, read) => begun(openRange(cipher, range, plain, await fetch(range, read))),
    readPiece: async (range, read) => openPiece(cipher, range, plain, await fetch(range, read)),
  };
};
