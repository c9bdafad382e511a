import { expect, test } from 'vitest';
import { repeatedName } from '../../../src/core/repeated-name.ts';

test.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1,"b":{"c":1},"\\u0061":[]}', 'a'],
  ['{ "x" : "\\"x\\":" , "y" : [ {"x":1} ] , "x" : null }', 'x'],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"":1,"":2}', ''],
])('%s names %j twice', (text, name) => {
  JSON.parse(text);
  expect(repeatedName(text)).toBe(name);
});

test.each([
  '{}',
  '{"a":"a","b":"a"}',
  '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
  '{"a":{"b":1,"b":2}}',
  '{"a":"\\\\","b":"{\\"a\\":1,"}',
  '[{"a":1},{"a":1}]',
  '"a"',
  '7',
])('%s names nothing twice in its outermost object', (text) => {
  JSON.parse(text);
  expect(repeatedName(text)).toBeNull();
});

test('a hostile text of 64 KiB costs no more than it is long', () => {
  const texts = [
    `{"a":"${'\\\\'.repeat(32_000)}"}`,
    `{"a":${'['.repeat(3_000)}${']'.repeat(3_000)}}`,
    `{${'"a":1,'.repeat(1).slice(0, -1)}}`,
  ];
  for (const text of texts) expect(repeatedName(text)).toBeNull();
});
