import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import { createPartSource, PART_BYTES } from '../../../src/services/part-source.ts';

async function* chunksOf(bytes: Buffer, size: number, fault?: unknown): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
  if (fault !== undefined) throw fault;
}

const read = async (part: AsyncGenerator<Buffer>): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  // A chunk is the reader's only until it asks for the next.
  for await (const chunk of part) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
};

const allOf = async (body: AsyncIterable<Buffer>, missing: number) => {
  const source = createPartSource(body, missing);
  const parts: Buffer[] = [];
  for (let part = await source.next(); part !== null; part = await source.next())
    parts.push(await read(part));
  return { source, parts };
};

describe('a body is cut into parts', () => {
  const bytes = randomBytes(2 * PART_BYTES + 5);
  test.each([1_000, 65_536, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, bytes.length])(
    'in chunks of %i bytes: each whole but the last, and together the body',
    async (size) => {
      const { source, parts } = await allOf(chunksOf(bytes, size), bytes.length);
      expect(parts.map(({ length }) => length)).toEqual([PART_BYTES, PART_BYTES, 5]);
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
      expect(source.cut()).toBeNull();
    },
  );

  test('none of nothing; and empty chunks are none', async () => {
    async function* body(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(0);
      yield Buffer.from('a');
      yield Buffer.alloc(0);
    }
    expect((await allOf(chunksOf(Buffer.alloc(0), 1), 5)).parts).toEqual([]);
    expect((await allOf(body(), 5)).parts).toEqual([Buffer.from('a')]);
  });
});

describe('what is too long', () => {
  test.each([
    ['a byte more in the same chunk', 10, 11],
    ['a byte more in a chunk of its own', 10, 1],
    ['a byte behind a whole part', PART_BYTES, PART_BYTES],
  ])('%s: the part that would be the last does not end', async (_what, missing, size) => {
    const source = createPartSource(chunksOf(randomBytes(missing + 1), size), missing);
    const part = await source.next();
    await expect(read(part as AsyncGenerator<Buffer>)).rejects.toMatchObject({ code: 'too_large' });
  });

  test('anything when nothing is missing', async () => {
    const source = createPartSource(chunksOf(Buffer.from('x'), 1), 0);
    await expect(read((await source.next()) as AsyncGenerator<Buffer>)).rejects.toMatchObject({
      code: 'too_large',
    });
  });
});

describe('a body that breaks off', () => {
  test.each([
    [new AppError('client_closed', 'cut'), 'client_closed'],
    [new AppError('request_timeout', 'slow'), 'request_timeout'],
    [new AppError('upload_locked', 'stop'), 'upload_locked'],
    [new Error('ECONNRESET'), 'client_closed'],
  ])('%s: what came is a part, and it is told why', async (fault, code) => {
    const bytes = randomBytes(100_000);
    const { source, parts } = await allOf(chunksOf(bytes, 30_000, fault), 200_000);
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    expect(source.cut()).toMatchObject({ code });
  });
});
