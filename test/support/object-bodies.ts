import { createHash } from 'node:crypto';
import { inChunks } from './byte-streams.ts';

const CHUNK = 65_536;

/** Prime, so that a slice taken from a wrong offset never looks right. */
const PERIOD = 65_537;
const block = Buffer.concat(
  Array.from({ length: Math.ceil(PERIOD / 32) }, (_, i) => createHash('sha256').update(`${i}`).digest()),
).subarray(0, PERIOD);

/** `length` bytes that look random and are the same in every run. */
export const sampleBytes = (length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let offset = 0; offset < length; offset += PERIOD) block.copy(bytes, offset);
  return bytes;
};

/**
 * The bytes as the sealing stream hands them out: a header, then ciphertext and tag of each segment in turns, each in memory
 * of its own, for it then belongs to the store.
 */
export async function* asSealed(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  const cuts = [40, 65_480, 16];
  for (let offset = 0, i = 0; offset < bytes.length; i += 1) {
    const size = i < cuts.length ? cuts[i]! : i % 2 === 1 ? 65_520 : 16;
    yield Buffer.from(bytes.subarray(offset, offset + size));
    offset += size;
  }
}

/** `count` bytes, then an error. */
export async function* failingAfter(count: number, error: unknown): AsyncGenerator<Uint8Array, void, void> {
  yield* inChunks(sampleBytes(count), CHUNK);
  throw error;
}

/** A body that hands out `count` bytes and then waits for ever; tells when it waits, and when it was closed. */
export const stallingAfter = (count: number) => {
  const stalled = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const chunks = inChunks(sampleBytes(count), CHUNK);
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        const step = await chunks.next();
        if (step.done !== true) return step;
        stalled.resolve();
        return new Promise(() => undefined);
      },
      return: async () => {
        closed.resolve();
        return { done: true, value: undefined };
      },
    }),
  };
  return { body, stalled: stalled.promise, closed: closed.promise };
};
