import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createSalts } from '../../../src/audit/salts.ts';

test('every salt has 32 bytes and none is handed out twice, nor any part of one', () => {
  const nextSalt = createSalts(randomBytes);
  const salts = Array.from({ length: 1_000 }, () => nextSalt());
  expect(salts.every((salt) => salt.length === 32)).toBe(true);
  expect(new Set(salts.map((salt) => salt.toString('hex'))).size).toBe(1_000);
  const halves = salts.flatMap((salt) => [salt.toString('hex', 0, 16), salt.toString('hex', 16)]);
  expect(new Set(halves).size).toBe(2_000);
});

test('they are what the generator gave, in its order', () => {
  let call = 0;
  const nextSalt = createSalts((bytes) => Buffer.alloc(bytes, call++));
  const firsts = Array.from({ length: 300 }, () => nextSalt()[0]);
  expect(firsts).toEqual([...Array(128).fill(0), ...Array(128).fill(1), ...Array(44).fill(2)]);
});
