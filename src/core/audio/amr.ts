import { type AudioScan, bareScan, millisecondsOf } from './facts.ts';
import { type Parser, pass, peek, skip } from './pull.ts';

/** Bytes of a frame by its type, the byte that tells the type included (RFC 4867 §5.3, 3GPP TS 26.101, 26.201). */
const narrow = [13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1];
const wide = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1];

const kinds = [
  { magic: '#!AMR-WB\n', codec: 'amr_wb', sampleRate: 16_000, frameBytes: wide },
  { magic: '#!AMR\n', codec: 'amr_nb', sampleRate: 8000, frameBytes: narrow },
] as const;
const MAX_MAGIC_CHARS = 9;
const FRAMES_PER_SECOND = 50;

/** AMR, narrow and wide: frames of 20 ms, counted. A type that does not exist is passed over byte by byte. */
export function* amr(): Parser<AudioScan> {
  const head = (yield* peek(MAX_MAGIC_CHARS)).toString('latin1');
  const kind = kinds.find(({ magic }) => head.startsWith(magic));
  if (kind === undefined) {
    // Several channels (`#!AMR_MC1.0`), or a magic cut short.
    yield* skip(Number.POSITIVE_INFINITY);
    return bareScan('amr', ['unknown_codec']);
  }
  yield* skip(kind.magic.length);
  const counter = createCounter(kind.frameBytes);
  yield* pass(Number.POSITIVE_INFINITY, counter.push);
  const { frames, cut, gaps } = counter.finish();
  return {
    ...bareScan('amr', [
      ...(frames === 0 ? ['empty' as const] : []),
      ...(cut ? ['truncated' as const] : []),
      ...(gaps ? ['gaps' as const] : []),
    ]),
    codec: kind.codec,
    sampleRate: kind.sampleRate,
    channels: 1,
    durationMs: millisecondsOf(frames, FRAMES_PER_SECOND),
  };
}

/** Frames can be a single byte (nothing was said), so they are counted in a loop and not asked for one by one. */
const createCounter = (frameBytes: readonly number[]) => {
  let frames = 0;
  /** Of the frame that a chunk has cut. */
  let missing = 0;
  let gaps = false;
  return {
    push(bytes: Buffer): void {
      let at = missing;
      while (at < bytes.length) {
        const length = frameBytes[(bytes[at]! >> 3) & 15]!;
        if (length === 0) gaps = true;
        else frames += 1;
        at += length || 1;
      }
      missing = at - bytes.length;
    },
    finish: () => ({ frames: missing > 0 ? frames - 1 : frames, cut: missing > 0, gaps }),
  };
};
