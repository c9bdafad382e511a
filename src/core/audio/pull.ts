/**
 * Lets a parser be written as if it read from a file, although the bytes are pushed at it while an upload flows.
 * A parser is a generator that asks for bytes with {@link take}, {@link peek}, {@link skip} and {@link pass}; between
 * chunks it rests. Held memory is bounded by one chunk and the largest `take` or `peek`, which parsers keep ≤ 64 KiB.
 */
export type Sink = (bytes: Buffer) => void;

type Want =
  | { readonly kind: 'take' | 'peek'; readonly bytes: number }
  | { readonly kind: 'pass'; readonly bytes: number; readonly to: Sink | null };

type Answer = Buffer | number;

export type Parser<R> = Generator<Want, R, Answer>;

/**
 * The next `bytes` bytes, consumed; fewer only at the end of the stream. Valid until the parser asks again: an upload gives the
 * memory of what was pushed back, and a view that is looked at later has no bytes, not even a length.
 */
export function* take(bytes: number): Parser<Buffer> {
  return (yield { kind: 'take', bytes }) as Buffer;
}

/** As {@link take}, not consumed. */
export function* peek(bytes: number): Parser<Buffer> {
  return (yield { kind: 'peek', bytes }) as Buffer;
}

/** Hands the next `bytes` bytes (Infinity: all that come) to `to` as they arrive; answers how many there were. */
export function* pass(bytes: number, to: Sink): Parser<number> {
  return (yield { kind: 'pass', bytes, to }) as number;
}

/** Leaves the next `bytes` bytes out; answers how many there were. */
export function* skip(bytes: number): Parser<number> {
  return (yield { kind: 'pass', bytes, to: null }) as number;
}

export type PullParser<R> = {
  /** Feeds the parser; what comes after its end is ignored. The chunk is not kept beyond the call. */
  push(chunk: Uint8Array): void;
  /** Ends the stream and answers the parser's result. */
  finish(): R;
};

const NOTHING = Buffer.alloc(0);

/** Runs a parser, which must come to its end once it is answered with nothing. */
export const createPullParser = <R>(parser: Parser<R>): PullParser<R> => {
  let held: Buffer = NOTHING;
  let at = 0;
  let passed = 0;
  let ended = false;
  let step = parser.next();

  const answerPass = (want: Want & { kind: 'pass' }): number | null => {
    const ready = Math.min(want.bytes - passed, held.length - at);
    if (ready > 0 && want.to !== null) want.to(held.subarray(at, at + ready));
    at += ready;
    passed += ready;
    if (passed < want.bytes && !ended) return null;
    const total = passed;
    passed = 0;
    return total;
  };

  const answer = (want: Want): Answer | null => {
    if (want.kind === 'pass') return answerPass(want);
    if (held.length - at < want.bytes && !ended) return null;
    const bytes = held.subarray(at, at + want.bytes);
    if (want.kind === 'take') at += bytes.length;
    return bytes;
  };

  const run = (): void => {
    while (!step.done) {
      const found = answer(step.value);
      if (found === null) return;
      step = parser.next(found);
    }
  };

  return {
    push(chunk) {
      if (step.done || ended) return;
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      at = 0;
      run();
      // A copy, for the chunk belongs to the caller; it is shorter than the one take or peek that waits for more.
      held = step.done || at === held.length ? NOTHING : Buffer.from(held.subarray(at));
      at = 0;
    },
    finish() {
      ended = true;
      run();
      return step.value as R;
    },
  };
};
