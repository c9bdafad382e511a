import { wavFile } from './audio-files.ts';

const RATE = 8000;

/**
 * A call of telephone quality (WAV, PCM 16 bit, 8 kHz) made of noise that `seed` decides: no two stretches are alike, so a
 * byte from the wrong place is seen.
 */
export const generatedCall = (seconds: number, seed = 1): Buffer => {
  const data = Buffer.alloc(seconds * RATE * 2);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let at = 0; at < data.length; at += 2) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data.writeInt16LE((state << 16) >> 16, at);
  }
  return wavFile({ data, rate: RATE });
};
