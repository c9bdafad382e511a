import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { declaredDigest, namesDigest } from '../../../src/http/content-digest.ts';

const sum = createHash('sha256').update('a').digest();
const right = `sha-256=:${sum.toString('base64')}:`;
const other = `sha-256=:${createHash('sha256').digest('base64')}:`;
const read = (headers: Record<string, string>) => declaredDigest((name) => headers[name]);

test('a SHA-256 is found in either header, beside other algorithms', () => {
  for (const headers of [
    { 'content-digest': right },
    { 'repr-digest': right },
    { 'content-digest': right, 'repr-digest': right },
    { 'content-digest': `md5=:AAAA:, ${right}, sha-512=:AAAA:` },
  ])
    expect(read(headers)).toEqual(sum);
  expect(read({ 'content-type': 'audio/wav', trailer: 'Expires' })).toBeNull();
});

test.each([
  { 'content-digest': '' },
  { 'content-digest': 'garbage' },
  { 'content-digest': 'md5=:AAAA:' },
  { 'content-digest': 'sha-2567=:AAAA:' },
  { 'content-digest': 'sha-256=AAAA' },
  { 'content-digest': `${right}, ${right}` },
  { 'content-digest': right, 'repr-digest': other },
  { 'content-digest': right, 'repr-digest': 'sha-512=:AAAA:' },
  { 'content-digest': right, digest: 'SHA-256=AAAA' },
  { 'content-digest': right, 'content-md5': 'AAAA' },
  { 'repr-digest': 'md5=:AAAA:' },
  { trailer: 'Expires, Content-Digest' },
  { 'content-digest': ' '.repeat(2000) },
])('what cannot be checked is refused: %j', (headers) => {
  expect(() => read(headers)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  expect(namesDigest((name) => (headers as Record<string, string>)[name])).toBe(true);
});
