import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunksBehind, type Piece, pieces } from '../../src/storage/object-body.ts';

const chunkArrays = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 100 });
const signal = new AbortController().signal;

test('chunksBehind is what follows, however the bytes are cut', () => {
  fc.assert(
    fc.property(chunkArrays, fc.nat(2500), (chunks, count) => {
      const whole = Buffer.concat(chunks);
      const rest = chunksBehind(chunks, count);
      expect(Buffer.concat(rest).equals(whole.subarray(count))).toBe(true);
      expect(rest.every(({ length }) => length > 0)).toBe(true);
    }),
  );
});

const gathered = async (
  chunks: readonly Uint8Array[],
  pieceBytes: number,
  bytes?: number,
): Promise<Piece[]> => {
  const source = (async function* () {
    yield* chunks;
  })();
  return Array.fromAsync(pieces(source, { bytes, signal, pieceBytes }));
};

test('pieces keep every byte in order, are no larger than they must be, and end with exactly one last', async () => {
  await fc.assert(
    fc.asyncProperty(chunkArrays, fc.integer({ min: 1, max: 200 }), async (chunks, pieceBytes) => {
      const whole = Buffer.concat(chunks);
      const got = await gathered(chunks, pieceBytes, whole.length);
      expect(Buffer.concat(got.flatMap((piece) => piece.chunks)).equals(whole)).toBe(true);
      expect(got.map(({ last }) => last)).toEqual(got.map((_, i) => i === got.length - 1));
      for (const piece of got) {
        expect(piece.bytes).toBe(Buffer.concat(piece.chunks).length);
        expect(piece.bytes - (piece.chunks.at(-1)?.length ?? 0)).toBeLessThan(pieceBytes);
        expect(piece.chunks.length).toBeLessThanOrEqual(64);
      }
    }),
  );
});

test('the last bytes stay back until the body has ended well', async () => {
  const seen: number[] = [];
  const broken = new Error('found out at the end');
  const source = (async function* () {
    for (let i = 0; i < 4; i += 1) yield Buffer.alloc(100, i);
    throw broken;
  })();
  const reading = async (): Promise<void> => {
    for await (const piece of pieces(source, { bytes: 400, signal, pieceBytes: 100 })) seen.push(piece.bytes);
  };
  await expect(reading()).rejects.toBe(broken);
  expect(seen).toEqual([100, 100, 100]);
});
