import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { recoveryKeyOf } from '../../../src/crypto/recovery-key.ts';
import { patternBytes } from '../../support/byte-streams.ts';
import { protoFields, readWhole } from '../../support/reference-reader.ts';
import { sealBytes } from '../../support/sealed-objects.ts';

test.each([0, 1, 65_480, 65_481, 131_000, 200_000])(
  'a recovery key opens an object of %i bytes with nothing but the document at hand',
  async (length) => {
    const { key, sealed, envelope } = await sealBytes(patternBytes(length));
    const { dek, aad, segmentBytes } = recoveryKeyOf(envelope, key.dek);
    const opened = readWhole(sealed, Buffer.from(dek, 'hex'), Buffer.from(aad, 'hex'), segmentBytes);
    expect(opened.equals(patternBytes(length))).toBe(true);
  },
);

test('the keyset says the same key and parameters in the words of Tink', async () => {
  const { key, envelope } = await sealBytes(patternBytes(10));
  const { dek, keyset } = recoveryKeyOf(envelope, key.dek);
  const [only] = keyset.key;
  expect(only.outputPrefixType).toBe('RAW');
  expect(keyset.primaryKeyId).toBe(only.keyId);
  const [params, value] = protoFields(Buffer.from(only.keyData.value, 'base64'));
  expect(value).toEqual({ number: 3, value: Buffer.from(dek, 'hex') });
  expect(params?.number).toBe(2);
  expect(protoFields(params?.value as Buffer)).toEqual([
    { number: 1, value: 65_536 },
    { number: 2, value: 32 },
    { number: 3, value: 3 },
  ]);
});

test('the document shows the keyset that is made', async () => {
  const { key, envelope } = await sealBytes(patternBytes(10));
  const { keyset } = recoveryKeyOf(envelope, key.dek);
  const text = readFileSync(new URL('../../../docs/file-format.md', import.meta.url), 'utf8');
  const [, shown = ''] = /<!-- keyset -->\n```json\n([^`]*)```/.exec(text) ?? [];
  const value = keyset.key[0].keyData.value;
  expect(JSON.parse(shown.replace('<value>', value))).toEqual(keyset);
  const [, prefix = ''] = /<!-- key bytes -->\n```\n([^`]*)```/.exec(text) ?? [];
  const bytes = Buffer.from(prefix.replace(/<[^>]*>|\s/g, ''), 'hex');
  expect(Buffer.from(value, 'base64').subarray(0, bytes.length)).toEqual(bytes);
  expect(bytes).toHaveLength(12);
});
