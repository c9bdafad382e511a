/** One MPEG-1/2/2.5 Layer III frame header (ISO/IEC 11172-3 §2.4.1.3, 13818-3). */
export type Mp3Header = {
  readonly frameBytes: number;
  /** Samples per channel in the frame. */
  readonly samples: number;
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Equal for all frames of one recording: version, layer, sample rate, mono or not. */
  readonly key: number;
};

/** Longest frame: 320 kbit/s at 32 kHz, padded. */
export const MAX_FRAME_BYTES = 1441;
export const HEADER_BYTES = 4;

const MPEG_1 = 3;
const RESERVED_VERSION = 1;
const RESERVED_EMPHASIS = 2;
const MONO = 3;
/** Version, layer and sample rate. */
const KEY_BITS = 0x001e_0c00;

const kbitsMpeg1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const kbitsMpeg2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const ratesMpeg1 = [44_100, 48_000, 32_000];
/** MPEG-2.5, reserved, MPEG-2, MPEG-1. */
const rateDivisor = [4, 1, 2, 1];

/** Reads the header at `at`, or null where there is none. Bytes of free bitrate, which nobody records, count as none. */
export const parseMp3Header = (bytes: Buffer, at: number): Mp3Header | null => {
  if (at + HEADER_BYTES > bytes.length) return null;
  // Sync and Layer III.
  if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xe6) !== 0xe2) return null;
  const word = bytes.readUInt32BE(at);
  const version = (word >>> 19) & 3;
  if (version === RESERVED_VERSION || (word & 3) === RESERVED_EMPHASIS) return null;
  const kbits = (version === MPEG_1 ? kbitsMpeg1 : kbitsMpeg2)[(word >>> 12) & 15];
  const mpeg1Rate = ratesMpeg1[(word >>> 10) & 3];
  if (!kbits || mpeg1Rate === undefined) return null;
  const sampleRate = mpeg1Rate / rateDivisor[version]!;
  const samples = version === MPEG_1 ? 1152 : 576;
  const mono = ((word >>> 6) & 3) === MONO;
  return {
    frameBytes: Math.floor((samples * 125 * kbits) / sampleRate) + ((word >>> 9) & 1),
    samples,
    sampleRate,
    channels: mono ? 1 : 2,
    key: (word & KEY_BITS) | (mono ? 1 : 0),
  };
};

/** What an encoder noted in the first frame instead of audio. Samples are per channel. */
export type Mp3Info = {
  readonly frames: number | null;
  /** Samples the encoder put before and after the recording. */
  readonly delay: number;
  readonly padding: number;
};

/** Where the Xing/Info note begins: behind the side information, whose length depends on version and channels. */
const infoAt = ({ samples, channels }: Mp3Header): number =>
  HEADER_BYTES + (samples === 1152 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17);

const VBRI_AT = 36;
/** Lengths of the optional fields of the note, by flag bit: frames, bytes, table of contents, quality. */
const infoFields = [4, 4, 100, 4];

/** The note in a first frame, or null when the frame is audio. Attacker-controlled; every offset is checked. */
export const parseMp3Info = (frame: Buffer, header: Mp3Header): Mp3Info | null => {
  const at = infoAt(header);
  const name = frame.toString('latin1', at, at + 4);
  if ((name === 'Xing' || name === 'Info') && frame.length >= at + 12) return readInfo(frame, at);
  if (frame.toString('latin1', VBRI_AT, VBRI_AT + 4) === 'VBRI' && frame.length >= VBRI_AT + 18) {
    return { frames: frame.readUInt32BE(VBRI_AT + 14), delay: 0, padding: 0 };
  }
  return null;
};

const readInfo = (frame: Buffer, at: number): Mp3Info => {
  const flags = frame.readUInt32BE(at + 4);
  const frames = flags & 1 ? frame.readUInt32BE(at + 8) : null;
  const encoderAt = infoFields.reduce(
    (next, bytes, bit) => (flags & (1 << bit) ? next + bytes : next),
    at + 8,
  );
  const named = /^(LAME|Lav[cf])/.test(frame.toString('latin1', encoderAt, encoderAt + 4));
  if (!named || frame.length < encoderAt + 24) return { frames, delay: 0, padding: 0 };
  const gaps = frame.readUIntBE(encoderAt + 21, 3);
  return { frames, delay: gaps >>> 12, padding: gaps & 0xfff };
};
