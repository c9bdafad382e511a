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

const element = (id: string, ...body: readonly Uint8Array[]): Buffer => {
  const inside = Buffer.concat(body);
  // A length of four bytes, the first half byte of which says so.
  const size = Buffer.alloc(4);
  size.writeUInt32BE(0x1000_0000 | inside.length);
  return Buffer.concat([Buffer.from(id, 'hex'), size, inside]);
};

/** Opus in WebM without a stated length: seconds of 50 blocks of 80 bytes each, a cluster for every one. */
export const webmOpus = (seconds: number): Buffer => {
  const number = (value: number, bytes: number): Buffer => {
    const buffer = Buffer.alloc(bytes);
    buffer.writeUIntBE(value, 0, bytes);
    return buffer;
  };
  const rate = Buffer.alloc(4);
  rate.writeFloatBE(48_000);
  const entry = element(
    'ae',
    element('d7', number(1, 1)),
    element('83', number(2, 1)),
    element('86', Buffer.from('A_OPUS')),
    element('e1', element('b5', rate), element('9f', number(1, 1))),
  );
  const cluster = (second: number): Buffer =>
    element(
      '1f43b675',
      element('e7', number(second * 1000, 4)),
      ...Array.from({ length: 50 }, (_, n) =>
        element('a3', Buffer.from([0x81]), number(n * 20, 2), Buffer.from([0x80]), Buffer.alloc(80, 0x08)),
      ),
    );
  return Buffer.concat([
    element('1a45dfa3', element('4282', Buffer.from('webm'))),
    Buffer.from('1853806701ffffffffffffff', 'hex'),
    element('1654ae6b', entry),
    ...Array.from({ length: seconds }, (_, second) => cluster(second)),
  ]);
};
