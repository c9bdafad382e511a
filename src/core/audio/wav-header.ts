/** How samples lie in a WAV file: format tag (mmreg.h) and bytes of one. */
export type WavSamples = { readonly tag: 1 | 3 | 6 | 7; readonly bytes: number };

type Described = WavSamples & {
  readonly sampleRate: number;
  readonly channels: number;
  /** Samples per channel. */
  readonly frames: number;
};

const PCM = 1;
const UINT32_MAX = 0xffff_ffff;

/**
 * The head of a WAV file of plain samples, up to the first of them: 44 bytes for PCM, 58 for the others, which have an
 * extension and count their samples. Null beyond 4 GiB, which no such file holds.
 */
export const wavHeader = ({ tag, bytes, sampleRate, channels, frames }: Described): Buffer | null => {
  const dataBytes = frames * channels * bytes;
  const headBytes = tag === PCM ? 44 : 58;
  if (headBytes + dataBytes + 1 > UINT32_MAX) return null;
  const head = Buffer.alloc(headBytes);
  head.write('RIFF', 'latin1');
  head.writeUInt32LE(headBytes - 8 + dataBytes + (dataBytes % 2), 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(tag === PCM ? 16 : 18, 16);
  head.writeUInt16LE(tag, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt32LE(sampleRate * channels * bytes, 28);
  head.writeUInt16LE(channels * bytes, 32);
  head.writeUInt16LE(bytes * 8, 34);
  if (tag !== PCM) {
    head.write('fact', 38, 'latin1');
    head.writeUInt32LE(4, 42);
    head.writeUInt32LE(frames, 46);
  }
  head.write('data', headBytes - 8, 'latin1');
  head.writeUInt32LE(dataBytes, headBytes - 4);
  return head;
};
