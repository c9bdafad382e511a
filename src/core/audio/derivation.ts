import { segmentBoundary } from '../playback-pieces.ts';
import type { ByteRange } from '../sealed-layout.ts';
import type { Codec, SoundPlace } from './facts.ts';
import { type PieceDecoder, pieceDecoderOf } from './piece-decoders.ts';
import { type WavSamples, wavHeader } from './wav-header.ts';

/**
 * A WAV file that every browser plays, made of an original that none does, while it is served. It is never stored: each of
 * its bytes is a function of its place and of the original alone, so any part of it can be made at any time, and is the same.
 */
export type Derivation = {
  readonly mediaType: string;
  readonly totalBytes: number;
  /** Which bytes of the original a part is made of: some at least, so that nothing is told of what does not verify. */
  sourceOf(range: ByteRange): ByteRange;
  /** Makes a part of these bytes, bit by bit, so that whoever serves it can attend to others in between. */
  render(range: ByteRange, source: Buffer): Iterable<Buffer>;
  /**
   * The last place up to `reach` at which a part ends well: one behind it begins without anything opened or made twice. It may
   * lie before the beginning of the part.
   */
  boundary(reach: number): number;
};

export type DerivedFacts = {
  readonly codec: Codec;
  readonly sampleRate: number;
  readonly channels: number;
  readonly place: Omit<SoundPlace, 'described'>;
};

/** Samples that a player takes as they are, once a header says what they are. */
const asTheyAre: Partial<Record<Codec, WavSamples>> = {
  pcm_u8: { tag: 1, bytes: 1 },
  pcm_s16: { tag: 1, bytes: 2 },
  pcm_s24: { tag: 1, bytes: 3 },
  pcm_s32: { tag: 1, bytes: 4 },
  pcm_f32: { tag: 3, bytes: 4 },
  alaw: { tag: 6, bytes: 1 },
  ulaw: { tag: 7, bytes: 1 },
  // Turned about on the way.
  pcm_s16be: { tag: 1, bytes: 2 },
};
const DECODED: WavSamples = { tag: 1, bytes: 2 };

/** The derivation of a recording, or null where none can be made: another codec, nothing to hear, more than a WAV file holds. */
export const derivationOf = ({ codec, sampleRate, channels, place }: DerivedFacts): Derivation | null => {
  const plain = asTheyAre[codec];
  const decoder = plain ? null : pieceDecoderOf({ codec, channels, ...place });
  if (place.samples === 0 || (plain === undefined && decoder === null)) return null;
  const samples = plain ?? DECODED;
  const header = wavHeader({ ...samples, sampleRate, channels, frames: place.samples });
  if (header === null) return null;
  const dataBytes = place.samples * channels * samples.bytes;
  if (plain) {
    const frameBytes = channels * samples.bytes;
    if (place.blockBytes !== frameBytes || place.blockSamples !== 1 || dataBytes > place.bytes) return null;
    return framed(header, dataBytes, plainData(place, codec === 'pcm_s16be'));
  }
  if (place.samples > (place.bytes / place.blockBytes) * place.blockSamples) return null;
  return framed(header, dataBytes, decodedData(place, channels, decoder!));
};

/** The sound of a derivation, without its header; ranges count from its first byte. */
type Data = Pick<Derivation, 'sourceOf' | 'render' | 'boundary'>;

const FIRST_BYTE: ByteRange = { start: 0, end: 1 };
const PAD = Buffer.alloc(1);

/** Header, sound, and the byte that makes it even (RIFF). */
const framed = (header: Buffer, dataBytes: number, data: Data): Derivation => {
  const end = header.length + dataBytes;
  const within = ({ start, end: to }: ByteRange): ByteRange => ({
    start: Math.max(0, start - header.length),
    end: Math.min(dataBytes, to - header.length),
  });
  return {
    mediaType: 'audio/wav',
    totalBytes: end + (dataBytes % 2),
    sourceOf(range) {
      const wanted = within(range);
      return data.sourceOf(wanted.end > wanted.start ? wanted : FIRST_BYTE);
    },
    *render(range, source) {
      if (range.start < header.length) yield header.subarray(range.start, range.end);
      const wanted = within(range);
      if (wanted.end > wanted.start) yield* data.render(wanted, source);
      if (range.end > end) yield PAD;
    },
    boundary: (reach) => header.length + data.boundary(reach - header.length),
  };
};

const SWAPPED_BYTES = 2;

const plainData = ({ start }: DerivedFacts['place'], swapped: boolean): Data => {
  const unit = swapped ? SWAPPED_BYTES : 1;
  const whole = (range: ByteRange): ByteRange => ({
    start: range.start - (range.start % unit),
    end: range.end + (range.end % unit),
  });
  return {
    sourceOf(range) {
      const { start: from, end } = whole(range);
      return { start: start + from, end: start + end };
    },
    *render(range, source) {
      if (!swapped) yield source;
      else
        yield Buffer.from(source)
          .swap16()
          .subarray(range.start - whole(range).start)
          .subarray(0, lengthOf(range));
    },
    boundary: (reach) => segmentBoundary(start + reach) - start,
  };
};

const lengthOf = ({ start, end }: ByteRange): number => end - start;

const decodedData = (place: DerivedFacts['place'], channels: number, decoder: PieceDecoder): Data => {
  const { pieceBlocks, leadBlocks } = decoder;
  const pieceBytes = pieceBlocks * place.blockSamples * channels * DECODED.bytes;
  const blocks = place.bytes / place.blockBytes;
  /** Blocks of the original that piece `n` is decoded from, its lead included. */
  const blocksOf = (n: number) => ({
    lead: Math.min(leadBlocks, n * pieceBlocks),
    first: Math.max(0, n * pieceBlocks - leadBlocks),
    end: Math.min(blocks, (n + 1) * pieceBlocks),
  });
  const piecesOf = ({ start, end }: ByteRange) => ({
    first: Math.floor(start / pieceBytes),
    last: Math.floor((end - 1) / pieceBytes),
  });
  const sourceOf = (range: ByteRange): ByteRange => {
    const { first, last } = piecesOf(range);
    return {
      start: place.start + blocksOf(first).first * place.blockBytes,
      end: place.start + blocksOf(last).end * place.blockBytes,
    };
  };
  return {
    sourceOf,
    *render(range, source) {
      const { first, last } = piecesOf(range);
      const base = blocksOf(first).first;
      for (let n = first; n <= last; n += 1) {
        const { lead, first: from, end } = blocksOf(n);
        const input = source.subarray((from - base) * place.blockBytes, (end - base) * place.blockBytes);
        const samples = decoder.decode(input, lead);
        const bytes = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
        yield bytes.subarray(Math.max(0, range.start - n * pieceBytes), range.end - n * pieceBytes);
      }
    },
    boundary: (reach) => Math.floor(reach / pieceBytes) * pieceBytes,
  };
};
