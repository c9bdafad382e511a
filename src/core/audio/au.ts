import { type AudioScan, bareScan, type Codec, isPlausible } from './facts.ts';
import { type Parser, skip, take } from './pull.ts';
import { plainSound } from './sound.ts';

const HEADER_BYTES = 24;
const UNKNOWN = 0xffff_ffff;
/** Encodings of Sun's header that telephony systems write. */
const encodings: Readonly<Record<number, Codec>> = { 1: 'ulaw', 3: 'pcm_s16be', 27: 'alaw' };

/** Sun's AU: a header of six numbers, most significant byte first, each attacker-controlled, and then samples. */
export function* au(): Parser<AudioScan> {
  const head = yield* take(HEADER_BYTES);
  if (head.length < HEADER_BYTES) return bareScan('au', ['header_invalid', 'empty']);
  const [start, bytes, encoding, sampleRate, channels] = [4, 8, 12, 16, 20].map((at) =>
    head.readUInt32BE(at),
  ) as [number, number, number, number, number];
  const codec = encodings[encoding];
  const invalid = start < HEADER_BYTES || !isPlausible(sampleRate, channels);
  if (invalid || codec === undefined) {
    yield* skip(Number.POSITIVE_INFINITY);
    return bareScan('au', [invalid ? 'header_invalid' : 'unknown_codec']);
  }
  const before = start - HEADER_BYTES;
  if ((yield* skip(before)) < before) return bareScan('au', ['empty', 'truncated']);
  const declaredBytes = bytes === UNKNOWN ? null : bytes;
  const scan = yield* plainSound({ container: 'au', codec, sampleRate, channels, start, declaredBytes });
  return declaredBytes === null ? { ...scan, flags: [...scan.flags, 'length_unknown'] } : scan;
}
