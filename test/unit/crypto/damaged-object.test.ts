import { expect, test } from 'vitest';
import type { SealFacts } from '../../../src/crypto/envelope.ts';
import { openObject } from '../../../src/crypto/sealed-object.ts';
import { collected, inChunks, patternBytes } from '../../support/byte-streams.ts';
import { faultOf, readAll, S, sealBytes, storeOf } from '../../support/sealed-objects.ts';

/** docs/file-format.md §7: what happens to the bytes of an object is found, and nothing of the damage is released. */
const plain = patternBytes(200_000);
const { key, sealed, envelope } = await sealBytes(plain);
const altered = (change: (bytes: Buffer) => void): Buffer => {
  const copy = Buffer.from(sealed);
  change(copy);
  return copy;
};
const swapped = Buffer.concat([
  sealed.subarray(0, S),
  sealed.subarray(2 * S, 3 * S),
  sealed.subarray(S, 2 * S),
  sealed.subarray(3 * S),
]);
const flip = (at: number) => altered((bytes) => bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at));

test.each([
  ['truncated at a segment boundary', sealed.subarray(0, 3 * S), 'length', null],
  ['truncated to its first segment', sealed.subarray(0, S), 'length', null],
  ['truncated in a segment', sealed.subarray(0, S + 1000), 'length', null],
  ['one byte short', sealed.subarray(0, -1), 'length', null],
  ['header only', sealed.subarray(0, 40), 'length', null],
  ['empty', sealed.subarray(0, 0), 'length', null],
  ['one byte longer', Buffer.concat([sealed, Buffer.from([0])]), 'length', null],
  ['one segment longer', Buffer.concat([sealed, sealed.subarray(S, 2 * S)]), 'length', null],
  ['two segments swapped', swapped, 'segment', 1],
  ['a bit of the first segment flipped', flip(40), 'segment', 0],
  ['a bit of a middle segment flipped', flip(S + 5), 'segment', 1],
  ['a bit of the last tag flipped', flip(sealed.length - 1), 'segment', 3],
  ['the header length flipped', flip(0), 'header', 0],
  ['the salt flipped', flip(1), 'header', 0],
  ['the nonce prefix flipped', flip(39), 'header', 0],
] as const)('%s', async (_name, object, fault, segment) => {
  expect(await faultOf(() => readAll(envelope, key, object))).toEqual({ fault, segment });
});

test('a range far from the missing tail does not succeed either', async () => {
  const { read, seen } = storeOf(sealed.subarray(0, 2 * S));
  const object = openObject(envelope, key.dek);
  expect(await faultOf(() => object.readRange({ start: 0, end: 10 }, read))).toEqual({
    fault: 'length',
    segment: null,
  });
  expect(seen.open).toBe(0);
});

test('an object and a row shortened together fail on the last flag', async () => {
  const cut: SealFacts = { ...envelope, sealedBytes: 2 * S, plainBytes: 65_480 + 65_520 };
  expect(await faultOf(() => readAll(cut, key, sealed.subarray(0, 2 * S)))).toEqual({
    fault: 'segment',
    segment: 1,
  });
});

test('a last tag of four bytes is not taken for a tag', async () => {
  const shortTag = sealed.subarray(0, -12);
  const cut: SealFacts = { ...envelope, sealedBytes: shortTag.length, plainBytes: plain.length - 12 };
  expect(await faultOf(() => readAll(cut, key, shortTag))).toEqual({ fault: 'segment', segment: 3 });
});

test('a store that sends too little or too much for a range is refused', async () => {
  const object = openObject(envelope, key.dek);
  const sending = (bytes: Uint8Array) => async () => ({
    body: inChunks(bytes, 65_536),
    totalBytes: sealed.length,
  });
  const range = { start: 70_000, end: 80_000 };
  const short = () => object.readRange(range, sending(sealed.subarray(S, 2 * S - 1)));
  expect(await faultOf(short)).toEqual({ fault: 'length', segment: 1 });
  const long = async () => collected(await object.readRange(range, sending(sealed.subarray(S, 2 * S + 1))));
  expect(await faultOf(long)).toEqual({ fault: 'length', segment: 2 });
  const elsewhere = () => object.readRange(range, sending(sealed.subarray(2 * S, 3 * S)));
  expect(await faultOf(elsewhere)).toEqual({ fault: 'segment', segment: 1 });
});

test('no byte of a segment that fails is released, and the first is verified before anything is said', async () => {
  const object = openObject(envelope, key.dek);
  const { read, seen } = storeOf(flip(2 * S + 9));
  const chunks = await object.readRange({ start: 0, end: plain.length }, read);
  let released = 0;
  expect(
    await faultOf(async () => {
      for await (const chunk of chunks) released += chunk.length;
    }),
  ).toEqual({ fault: 'segment', segment: 2 });
  expect(released).toBe(65_480 + 65_520);
  expect(seen.open).toBe(0);
  const first = storeOf(flip(50));
  expect(await faultOf(() => object.readRange({ start: 0, end: 10 }, first.read))).toEqual({
    fault: 'segment',
    segment: 0,
  });
  expect(first.seen.open).toBe(0);
});

test('a reader that turns away, before or after the first chunk, leaves nothing open', async () => {
  const object = openObject(envelope, key.dek);
  const { read, seen } = storeOf(sealed);
  const unread = await object.readRange({ start: 0, end: plain.length }, read);
  expect(seen.open).toBe(1);
  await unread.return?.();
  expect(seen.open).toBe(0);
  expect(await unread.next()).toEqual({ done: true, value: undefined });
  for await (const _chunk of await object.readRange({ start: 0, end: plain.length }, read)) break;
  expect(seen.open).toBe(0);
});

test('a range outside the message asks the store for nothing', async () => {
  const object = openObject(envelope, key.dek);
  const { read, seen } = storeOf(sealed);
  for (const range of [
    { start: 0, end: plain.length + 1 },
    { start: 5, end: 5 },
    { start: -1, end: 5 },
  ])
    await expect(object.readRange(range, read)).rejects.toThrow(RangeError);
  expect(seen.asked).toBe(0);
});

test('what the store throws is passed on', async () => {
  const object = openObject(envelope, key.dek);
  const gone = async () => {
    throw new Error('not found');
  };
  await expect(object.readRange({ start: 0, end: 1 }, gone)).rejects.toThrow('not found');
});
