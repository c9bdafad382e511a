import { expect, test } from 'vitest';
import { decodeCursor, encodeCursor } from '../../../src/core/keyset.ts';

const position = { at: new Date(1_795_000_000_123), id: '0b5ad5cc-63cf-4f0f-9d6c-3a5fb5f4c001' };

test('a cursor leads back to its row, and fits where cursors are accepted', () => {
  const cursor = encodeCursor(position);
  expect(decodeCursor(cursor)).toEqual(position);
  expect(cursor).toMatch(/^[A-Za-z0-9_-]{1,200}$/);
});

test.each([
  '',
  'x',
  Buffer.from(`1.${'0'.repeat(36)}`).toString('base64url'),
  Buffer.from(`1e9.${position.id}`).toString('base64url'),
  Buffer.from(`1.${position.id}x`).toString('base64url'),
  Buffer.from(`1.${position.id.toUpperCase()}`).toString('base64url'),
  Buffer.from(`${'9'.repeat(16)}.${position.id}`).toString('base64url'),
  'A'.repeat(100_000),
])('no other text is a cursor', (cursor) => {
  expect(decodeCursor(cursor)).toBeNull();
});
