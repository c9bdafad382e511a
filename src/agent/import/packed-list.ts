const CHUNK_BYTES = 1024 * 1024;
const LINE_FEED = 10;

/**
 * A list of small things, of which there may be millions: lines of JSON in pieces of memory that no collector walks through, some
 * hundred bytes each. Only what JSON keeps can be in it.
 */
export const createPackedList = <T>() => {
  const full: Buffer[] = [];
  let last = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let at = 0;

  function* linesOf(chunk: Buffer): Generator<T> {
    for (let from = 0; from < chunk.length; ) {
      const to = chunk.indexOf(LINE_FEED, from);
      yield JSON.parse(chunk.toString('utf8', from, to)) as T;
      from = to + 1;
    }
  }

  return {
    add(item: T): void {
      const line = Buffer.from(`${JSON.stringify(item)}\n`);
      if (at + line.length > last.length) {
        full.push(last.subarray(0, at));
        last = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, line.length));
        at = 0;
      }
      at += line.copy(last, at);
    },
    /** In their order, each a copy. */
    *items(): Generator<T> {
      for (const chunk of full) yield* linesOf(chunk);
      yield* linesOf(last.subarray(0, at));
    },
  };
};
