/** What @types/node leaves to the DOM's library. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer };
      readonly loudest: (at: number, end: number) => void;
      readonly greatest: (at: number, end: number, flipped: number) => void;
    };
  };
};

const PAGES = 5;
/** Bytes that are looked at in one step. */
export const VECTOR_BYTES = 16;

/** An export or a name in the module: its length, then its letters. */
const named = (name: string): number[] => [name.length, ...Buffer.from(name, 'latin1')];
const section = (id: number, content: readonly number[]): number[] => [id, content.length, ...content];

/**
 * (local $most v128) (local $v v128), of a function whose parameters are $at, $end and others up to `params`: for each vector of
 * memory from $at to $end, whole ones and one at least, $most = `step`($v, $most). It is left in the first 16 bytes.
 * WebAssembly 2.0, §5.4.
 */
const overVectors = (params: number, step: (most: number, v: number) => readonly number[]): number[] => {
  const [most, v] = [params, params + 1];
  const body = [
    ...[0x01, 0x02, 0x7b], // two locals, v128
    ...[0x03, 0x40], // loop
    ...[0x20, 0x00, 0xfd, 0x00, 0x00, 0x00, 0x21, v], // $v = v128.load $at, which need not be aligned
    ...step(most, v),
    ...[0x21, most],
    ...[0x20, 0x00, 0x41, 0x10, 0x6a, 0x22, 0x00], // $at += 16
    ...[0x20, 0x01, 0x49, 0x0d, 0x00, 0x0b], // again while $at < $end
    ...[0x41, 0x00, 0x20, most, 0xfd, 0x0b, 0x00, 0x00], // memory[0] = $most
    0x0b,
  ];
  return [body.length, ...body];
};

/** The greater of $most and the magnitude of eight 16-bit samples, which is each xor its own sign. */
const loudest = overVectors(2, (most, v) => [
  ...[0x20, v, 0x20, v, 0x41, 0x0f, 0xfd, 0x8c, 0x01, 0xfd, 0x51], // $v v128.xor ($v i16x8.shr_s 15)
  ...[0x20, most, 0xfd, 0x98, 0x01], // i16x8.max_s $most
]);

/** The greater of $most and the low seven bits of sixteen bytes, after the bits of $flipped were inverted in each. */
const greatest = overVectors(3, (most, v) => [
  ...[0x20, v, 0x20, 0x02, 0xfd, 0x0f, 0xfd, 0x51], // $v v128.xor (i8x16.splat $flipped)
  ...[0x41, 0xff, 0x00, 0xfd, 0x0f, 0xfd, 0x4e], // v128.and (i8x16.splat 127)
  ...[0x20, most, 0xfd, 0x79], // i8x16.max_u $most
]);

const program = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // "\0asm", version 1
  ...section(1, [2, 0x60, 2, 0x7f, 0x7f, 0, 0x60, 3, 0x7f, 0x7f, 0x7f, 0]), // (i32, i32) → nothing, (i32, i32, i32) → nothing
  ...section(3, [2, 0, 1]), // a function of each
  ...section(5, [1, 0, PAGES]), // one memory
  ...section(7, [3, ...named('memory'), 2, 0, ...named('loudest'), 0, 0, ...named('greatest'), 0, 1]),
  ...section(10, [2, ...loudest, ...greatest]),
]);

export type SampleVectors = {
  /** Bytes that fit. */
  readonly capacity: number;
  /** Takes a copy of samples, at most `capacity` bytes, for the calls up to the next `load`. */
  load(bytes: Uint8Array): void;
  /**
   * Of `vectors` vectors of eight little-endian 16-bit samples, one at least, from byte `offset` on: the greatest magnitude in
   * each place; of a negative sample that is its one's complement. The array is written anew by the next call.
   */
  loudest(offset: number, vectors: number): Int16Array;
  /** The same of sixteen bytes, of which the low seven bits count, after those of `flipped` were inverted in each. */
  greatest(offset: number, vectors: number, flipped: number): Uint8Array;
};

/**
 * Sixteen bytes of samples at a time, which JavaScript cannot: measured, a third of what its loops take, and nearly every byte
 * of an upload passes here. Null where the machine has no such instructions, or WebAssembly is forbidden.
 */
export const createSampleVectors = (): SampleVectors | null => {
  try {
    const { exports: run } = new WebAssembly.Instance(new WebAssembly.Module(program));
    const { buffer } = run.memory;
    const samples = new Uint8Array(buffer, VECTOR_BYTES);
    const words = new Int16Array(buffer, 0, VECTOR_BYTES / 2);
    const bytes = new Uint8Array(buffer, 0, VECTOR_BYTES);
    const end = (offset: number, vectors: number): number => offset + (vectors + 1) * VECTOR_BYTES;
    return {
      // What is left of the last page may be read past the end of the samples, by less than a vector.
      capacity: samples.length - VECTOR_BYTES,
      load: (chunk) => samples.set(chunk),
      loudest: (offset, vectors) => {
        run.loudest(VECTOR_BYTES + offset, end(offset, vectors));
        return words;
      },
      greatest: (offset, vectors, flipped) => {
        run.greatest(VECTOR_BYTES + offset, end(offset, vectors), flipped);
        return bytes;
      },
    };
  } catch {
    return null;
  }
};
