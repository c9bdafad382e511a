import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { commitmentOf, leafOf, logEntryOf } from '../../../../src/core/audit/commitment.ts';
import { leafHash } from '../../../../src/core/audit/merkle.ts';

const salt = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('the formula: SHA-256(0x02 ‖ salt ‖ body), entry 0x01 ‖ c, leaf SHA-256(0x00 ‖ entry)', () => {
  const body = '{"name":"Åsa 🩺"}';
  const commitment = commitmentOf(salt, body);
  expect(commitment.toString('hex')).toBe(
    sha256(Buffer.concat([Buffer.of(2), salt, Buffer.from(body, 'utf8')])),
  );
  expect(logEntryOf(commitment)).toEqual(Buffer.concat([Buffer.of(1), commitment]));
  expect(leafOf(commitment).toString('hex')).toBe(sha256(Buffer.concat([Buffer.of(0, 1), commitment])));
  expect(leafOf(commitment)).toEqual(leafHash(logEntryOf(commitment)));
});

test('bodies of all lengths, long after short and short after long', () => {
  for (const length of [0, 1, 100, 5_000, 60_000, 3, 8_159, 8_160, 0]) {
    const body = 'å'.repeat(length);
    expect(commitmentOf(salt, body).toString('hex')).toBe(
      sha256(Buffer.concat([Buffer.of(2), salt, Buffer.from(body, 'utf8')])),
    );
  }
});

test.each([0, 31, 33, 64])(
  'a salt of %i bytes is refused: a byte could move between salt and body',
  (bytes) => {
    expect(() => commitmentOf(Buffer.alloc(bytes), '')).toThrow(RangeError);
  },
);

test.each([0, 31, 33])('a commitment of %i bytes has no leaf', (bytes) => {
  expect(() => leafOf(Buffer.alloc(bytes))).toThrow(RangeError);
});

test('hashes already given do not change when others are made', () => {
  const first = commitmentOf(salt, 'first');
  const kept = first.toString('hex');
  commitmentOf(salt, 'second');
  leafOf(first);
  expect(first.toString('hex')).toBe(kept);
});
