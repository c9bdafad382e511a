/** One FLAC frame header (RFC 9639 §9.1). */
export type FlacFrame = {
  /** Samples per channel before this frame: exact for variable block sizes; for fixed ones the number of the frame. */
  readonly number: number;
  readonly variable: boolean;
  readonly samples: number;
  /** Codes of sample rate and sample size, which do not change within a stream. */
  readonly kind: number;
};

/** Longest header: sync 2, sizes and channels 2, number 7, block size 2, rate 2, CRC 1. */
export const MAX_HEADER_BYTES = 16;

const crc8Table = Uint8Array.from({ length: 256 }, (_, value) => {
  let crc = value;
  for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
  return crc;
});

/** Reads the header at `at`, or null where there is none: sync, reserved bits and the CRC over all of it must hold. */
export const parseFlacFrame = (bytes: Buffer, at: number): FlacFrame | null => {
  if (at + 6 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xfe) !== 0xf8) return null;
  const blockCode = bytes[at + 2]! >> 4;
  const rateCode = bytes[at + 2]! & 15;
  const isReserved =
    blockCode === 0 || rateCode === 15 || bytes[at + 3]! >> 4 > 10 || (bytes[at + 3]! & 1) === 1;
  if (isReserved) return null;
  const number = readNumber(bytes, at + 4);
  if (number === null) return null;
  const extraAt = at + 4 + number.bytes;
  const blockBytes = blockCode === 6 ? 1 : blockCode === 7 ? 2 : 0;
  const crcAt = extraAt + blockBytes + (rateCode === 12 ? 1 : rateCode > 12 ? 2 : 0);
  if (crcAt >= bytes.length || crc8(bytes, at, crcAt) !== bytes[crcAt]) return null;
  const samples = blockBytes === 0 ? blockSamples(blockCode) : bytes.readUIntBE(extraAt, blockBytes) + 1;
  const kind = (rateCode << 3) | ((bytes[at + 3]! >> 1) & 7);
  return { number: number.value, variable: (bytes[at + 1]! & 1) === 1, samples, kind };
};

const blockSamples = (code: number): number => {
  if (code === 1) return 192;
  return code < 6 ? 144 << code : 1 << code;
};

/** A number in the manner of UTF-8, up to 36 bits in 7 bytes. */
const readNumber = (bytes: Buffer, at: number): { readonly value: number; readonly bytes: number } | null => {
  const first = bytes[at]!;
  if (first < 0x80) return { value: first, bytes: 1 };
  const length = Math.clz32(~(first << 24));
  if (length < 2 || length > 7 || at + length > bytes.length) return null;
  let value = first & (0x7f >> length);
  for (let i = 1; i < length; i += 1) {
    const next = bytes[at + i]!;
    if ((next & 0xc0) !== 0x80) return null;
    value = value * 64 + (next & 0x3f);
  }
  return { value, bytes: length };
};

const crc8 = (bytes: Buffer, from: number, to: number): number => {
  let crc = 0;
  for (let i = from; i < to; i += 1) crc = crc8Table[crc ^ bytes[i]!]!;
  return crc;
};
