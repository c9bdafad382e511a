/** What @types/node leaves to the DOM's library. */
declare const WebAssembly: {
  readonly Memory: new (pages: {
    readonly initial: number;
    readonly maximum: number;
  }) => {
    readonly buffer: ArrayBuffer;
  };
};

/** Size of one page of WebAssembly's memory, by its specification. */
const PAGE_BYTES = 64 * 1024;

/** Begins where a page of memory begins. */
export type PageBuffer = Buffer<ArrayBuffer>;

export type AlignedBuffers = {
  /** `count` buffers with whatever bytes they had before, or null when so many are not free now: nobody waits for one. */
  take(count: number): readonly PageBuffer[] | null;
  giveBack(buffers: readonly PageBuffer[]): void;
};

const memoryOf = (bytes: number): ArrayBuffer | null => {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer;
  } catch {
    // A limit on address space (ulimit -v): whoever wants a buffer does without.
    return null;
  }
};

/**
 * `total` buffers of `bytes` bytes each (a multiple of 4,096) that begin where a page of memory begins, as writing past the
 * page cache demands (open(2), O_DIRECT). Node's own buffers begin anywhere; WebAssembly's memory is whole pages. It takes
 * up room only from the first use of each page on.
 */
export const createAlignedBuffers = (total: number, bytes: number): AlignedBuffers => {
  const memory = memoryOf(total * bytes);
  const idle: PageBuffer[] =
    memory === null ? [] : Array.from({ length: total }, (_, i) => Buffer.from(memory, i * bytes, bytes));
  return {
    take: (count) => (idle.length < count ? null : idle.splice(idle.length - count, count)),
    giveBack: (buffers) => {
      idle.push(...buffers);
    },
  };
};
