import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  checkpointName,
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  sizeOfCheckpointName,
} from '../../../../src/core/audit/checkpoint.ts';
import { cosignedBytes, formatNote, keyTypes, noteKey } from '../../../../src/core/audit/note.ts';

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

describe('what is kept as a checkpoint', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const origin = 'example.com/behind-the-sofa';
  const key = noteKey(origin, keyTypes.ed25519, raw);
  const signed = (text: string, by = key, bytes = sign(null, Buffer.from(text), privateKey)): string =>
    formatNote({ text, signatures: [{ name: by.name, keyId: by.id, bytes }] });

  test('is opened when the log has signed it, whoever else has', () => {
    expect(openCheckpoint(signed(TEXT), { origin, keys: [key] })).toEqual(parseCheckpoint(TEXT));
    const more = `${signed(TEXT)}— witness.example AAAAAAAA\n`;
    expect(openCheckpoint(more, { origin, keys: [key] })).toEqual(parseCheckpoint(TEXT));
  });

  test.each([
    ['of another origin, by the same key', signed(TEXT.replace('sofa', 'couch'))],
    ['changed after it was signed', signed(TEXT).replace('20852163', '20852164')],
    ['with a wrong signature', signed(TEXT, key, Buffer.alloc(64))],
    ['signed by nobody we know', signed(TEXT, noteKey(origin, keyTypes.ed25519, Buffer.alloc(32)))],
    ['cosigned only', signed(TEXT, noteKey(origin, keyTypes.cosignature, raw))],
    ['that is no checkpoint', signed('hello\n')],
    ['that is no note', TEXT],
    ['of nothing', ''],
  ])('%s: is none', (_what, note) => {
    expect(openCheckpoint(note, { origin, keys: [key] })).toBeNull();
  });

  test('a key that cosigns does not count as the log', () => {
    const cosigner = noteKey(origin, keyTypes.cosignature, raw);
    const time = Buffer.alloc(8);
    const bytes = Buffer.concat([time, sign(null, cosignedBytes(TEXT, 0n), privateKey)]);
    expect(openCheckpoint(signed(TEXT, cosigner, bytes), { origin, keys: [cosigner] })).toBeNull();
  });

  test('has a name by which names in order are checkpoints in order', () => {
    const sizes = [1, 9, 10, 99, 100, 1e15, Number.MAX_SAFE_INTEGER];
    const names = sizes.map(checkpointName);
    expect(names.toSorted()).toEqual(names);
    expect(names.map(sizeOfCheckpointName)).toEqual(sizes);
  });

  test.each([
    '',
    '1',
    '0000000000000000',
    '00000000000000001',
    '9007199254740992',
    '000000000000000a',
    '-000000000000001',
  ])('%j is no such name', (name) => {
    expect(sizeOfCheckpointName(name)).toBeNull();
  });
});
