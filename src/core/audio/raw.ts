import type { RawFormat } from './declared-type.ts';
import type { AudioScan } from './facts.ts';
import { type Parser, peek } from './pull.ts';
import { SNIFF_BYTES } from './sniff.ts';
import { plainSound } from './sound.ts';

const GSM_FRAME_BYTES = 33;
/** First half of the first byte of every frame of GSM 06.10. */
const GSM_MARK = 0xd;

/**
 * Sound without a container, read as its sender declares it; null when the bytes cannot be that. Of all kinds only GSM
 * frames can be told from anything else.
 */
export function* raw({ codec, sampleRate, channels }: RawFormat): Parser<AudioScan | null> {
  if (codec === 'gsm610' && !isGsm(yield* peek(SNIFF_BYTES))) return null;
  return yield* plainSound({ container: 'raw', codec, sampleRate, channels, start: 0, declaredBytes: null });
}

const isGsm = (head: Buffer): boolean => {
  for (let at = 0; at < head.length; at += GSM_FRAME_BYTES) if (head[at]! >> 4 !== GSM_MARK) return false;
  return true;
};
