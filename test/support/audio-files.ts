import { readFileSync } from 'node:fs';

/** Builds audio files by hand, right and wrong ones. All sizes in bytes. */
export type WavOptions = {
  readonly data?: Uint8Array;
  readonly tag?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly bits?: number;
  readonly blockAlign?: number;
  /** Bytes of the `fmt ` chunk after the first sixteen. */
  readonly extension?: Uint8Array;
  readonly magic?: 'RIFF' | 'RF64' | 'BW64';
  /** What the header says, where it shall not be true. */
  readonly riffSize?: number;
  readonly dataSize?: number;
  readonly before?: Uint8Array;
  readonly after?: Uint8Array;
};

export const riffChunk = (id: string, body: Uint8Array, size = body.length): Buffer => {
  const head = Buffer.alloc(8);
  head.write(id, 'latin1');
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
};

export const wavFile = (options: WavOptions = {}): Buffer => {
  const { data = Buffer.alloc(0), tag = 1, channels = 1, rate = 8000, bits = 16 } = options;
  const {
    extension = Buffer.alloc(0),
    magic = 'RIFF',
    before = Buffer.alloc(0),
    after = Buffer.alloc(0),
  } = options;
  const blockAlign = options.blockAlign ?? (channels * bits) / 8;
  const fmt = Buffer.alloc(16);
  fmt.writeUInt16LE(tag, 0);
  fmt.writeUInt16LE(channels, 2);
  fmt.writeUInt32LE(rate, 4);
  fmt.writeUInt32LE((rate * blockAlign) % 2 ** 32, 8);
  fmt.writeUInt16LE(blockAlign, 12);
  fmt.writeUInt16LE(bits, 14);
  const body = Buffer.concat([
    Buffer.from('WAVE'),
    riffChunk('fmt ', Buffer.concat([fmt, extension])),
    before,
    riffChunk('data', data, options.dataSize),
    after,
  ]);
  return riffChunk(magic, body, options.riffSize);
};

export const pcm16 = (samples: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(samples.length * 2);
  for (const [i, sample] of samples.entries()) bytes.writeInt16LE(sample, 2 * i);
  return bytes;
};

/** A second of telephone sound. */
export const oneSecond = pcm16(Array.from({ length: 8000 }, (_, i) => Math.round(8000 * Math.sin(i / 3))));

export const uint32LE = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** Side information that says that something is heard: 100 bits of sound, 50 pairs of lines in code book 7, gain 200. */
const AUDIBLE_SIDE = '000320cb2000380000';

/** MPEG-2.5 Layer III, 8 kHz, 16 kbit/s, mono: 144 bytes, 576 samples, 72 ms. */
export const MP3_FRAME_BYTES = 144;
export const MP3_FRAME_MS = 72;

export const mp3Frames = (count: number): Buffer => {
  const frame = Buffer.alloc(MP3_FRAME_BYTES);
  frame.writeUInt32BE(0xffe3_28c0);
  frame.write(AUDIBLE_SIDE, 4, 'hex');
  return Buffer.concat(Array.from({ length: count }, () => frame));
};

export type OggPage = {
  readonly body: Uint8Array;
  readonly flags?: number;
  readonly granule?: bigint;
  readonly serial?: number;
};

export const oggPage = ({ body, flags = 0, granule = 0n, serial = 1 }: OggPage): Buffer => {
  const full = Math.floor(body.length / 255);
  const table = Buffer.from([...Array<number>(full).fill(255), body.length % 255]);
  const head = Buffer.alloc(27);
  head.write('OggS', 'latin1');
  head.writeUInt8(flags, 5);
  head.writeBigInt64LE(granule, 6);
  head.writeUInt32LE(serial, 14);
  head.writeUInt8(table.length, 26);
  return Buffer.concat([head, table, body]);
};

export const OGG_FIRST = 2;
export const OGG_LAST = 4;

export const opusHead = (channels = 1, preSkip = 312): Buffer => {
  const head = Buffer.alloc(19);
  head.write('OpusHead', 'latin1');
  head.writeUInt8(1, 8);
  head.writeUInt8(channels, 9);
  head.writeUInt16LE(preSkip, 10);
  head.writeUInt32LE(8000, 12);
  return head;
};

/** A file made by foreign tools; test/fixtures/audio/make.sh says how. */
export const audioFixture = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/audio/${name}`, import.meta.url));
