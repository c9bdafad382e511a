import { expect, test } from 'vitest';
import { parseKnownHead } from '../../../../src/core/audit/known-head.ts';

const root = '1a49d295230cce9aa150aacbf6c54ededc045e4db0f45e5b3ec79bc3be6ab82a';
const base64 = Buffer.from(root, 'hex').toString('base64');

test.each([`2:${root}`, `2:${root.toUpperCase()}`, `2:${base64}`, `2:${base64.slice(0, -1)}`])(
  '%s is a head',
  (text) => {
    expect(parseKnownHead(text)).toEqual({ size: 2, root });
  },
);

test.each([
  '',
  '2',
  '2:',
  `:${root}`,
  `0:${root}`,
  `-1:${root}`,
  `2.5:${root}`,
  `1e3:${root}`,
  `02:${root}`,
  ` 2:${root}`,
  `2:${root}\n`,
  `2:${root.slice(1)}`,
  `2:${root}0`,
  `2:${root.replace('1', 'g')}`,
  `2:${base64}=`,
  `2:${base64.slice(1)}`,
  // The same bytes but for two bits that nobody writes.
  `2:${base64.slice(0, 42)}r=`,
  `9999999999999999:${root}`,
  `${root}:2`,
])('%j is none', (text) => {
  expect(parseKnownHead(text)).toBeNull();
});
