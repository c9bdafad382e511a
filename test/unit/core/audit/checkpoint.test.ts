import { expect, test } from 'vitest';
import { formatCheckpoint, parseCheckpoint } from '../../../../src/core/audit/checkpoint.ts';

/** The example of C2SP tlog-checkpoint. */
const TEXT = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';

test('a known checkpoint is read and written as it is', () => {
  const checkpoint = parseCheckpoint(TEXT)!;
  expect(checkpoint).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163 });
  expect(checkpoint.root.toString('hex')).toMatch(/^0ac5186a91863e8e/);
  expect(formatCheckpoint(checkpoint)).toBe(TEXT);
});

test('extension lines are allowed and mean nothing', () => {
  expect(parseCheckpoint(`${TEXT}extension\n`)).toEqual(parseCheckpoint(TEXT));
});

test.each([
  ['nothing', ''],
  ['no origin', TEXT.replace(/^[^\n]+/, '')],
  ['white space in the origin', TEXT.replace('behind-the', 'behind the')],
  ['no size', TEXT.replace('20852163', '')],
  ['a leading zero', TEXT.replace('2085', '02085')],
  ['a sign', TEXT.replace('2085', '+2085')],
  ['hexadecimal', TEXT.replace('20852163', '0x10')],
  ['beyond what can be counted', TEXT.replace('20852163', '9007199254740992')],
  ['a short root', TEXT.replace('CsUYapGG', '')],
  ['a root that is not canonical', TEXT.replace('q2I=', 'q2J=')],
  ['no line feed at the end', TEXT.slice(0, -1)],
  ['an empty line', `${TEXT}\n`],
])('%s: no checkpoint', (_what, text) => {
  expect(parseCheckpoint(text)).toBeNull();
});

test.each([
  [{ origin: 'a b', size: 1, root: Buffer.alloc(32) }],
  [{ origin: 'a', size: -1, root: Buffer.alloc(32) }],
  [{ origin: 'a', size: 0.5, root: Buffer.alloc(32) }],
  [{ origin: 'a', size: 1, root: Buffer.alloc(31) }],
])('%o is not written', (checkpoint) => {
  expect(() => formatCheckpoint(checkpoint)).toThrow(RangeError);
});
