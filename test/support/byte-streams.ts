/** Bytes as streams of every awkward cut, and back. */
export async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Buffer, void, void> {
  for (let offset = 0; offset < bytes.length; offset += size)
    yield Buffer.from(bytes.subarray(offset, offset + size));
}

/** Hands out one buffer again and again, as a reader with a reused buffer does: who keeps a chunk keeps garbage. */
export async function* inReusedBuffer(bytes: Uint8Array, size: number): AsyncGenerator<Buffer, void, void> {
  const buffer = Buffer.alloc(size);
  for (let offset = 0; offset < bytes.length; offset += size) {
    const part = bytes.subarray(offset, offset + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    buffer.fill(0xee);
  }
}

/** Copies every chunk: it may be its consumer's only until the next one is asked for. */
export const collected = async (chunks: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(Uint8Array.prototype.slice.call(chunk));
  return Buffer.concat(parts);
};

/** The pattern of the Tink vectors: byte i = (7i + (i >> 8)) & 255. */
export const patternBytes = (length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 7 + (i >> 8)) & 255;
  return bytes;
};
