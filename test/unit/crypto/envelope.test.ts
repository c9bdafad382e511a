import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { GenerationId, OrganisationId, RecordingId } from '../../../src/core/ids.ts';
import {
  decodeEnvelope,
  encodeEnvelope,
  envelopeSha256,
  objectAad,
  type SealFacts,
  VAULT_FORMAT,
} from '../../../src/crypto/envelope.ts';
import { integrityFaultOf } from '../../../src/crypto/integrity.ts';

const facts: SealFacts = {
  ...VAULT_FORMAT,
  organisation: '00112233-4455-4677-8899-aabbccddeeff' as OrganisationId,
  recording: '11111111-2222-4333-8444-555555555555' as RecordingId,
  generation: '66666666-7777-4888-8999-aaaaaaaaaaaa' as GenerationId,
  plainBytes: 100_000,
  sealedBytes: 100_072,
  sealedSha256: Buffer.alloc(32, 0xab),
  header: Buffer.concat([Buffer.from([40]), Buffer.alloc(39, 0x01)]),
  keyCommitment: Buffer.alloc(32, 0xcd),
};

/** Written out as docs/file-format.md §4 says it: the bytes are what the access log vouches for, for ever. */
const LINE =
  '{"format":1,"algorithm":"tink-aes256gcm-hkdfsha256","segmentBytes":65536,' +
  '"organisation":"00112233-4455-4677-8899-aabbccddeeff","recording":"11111111-2222-4333-8444-555555555555",' +
  '"generation":"66666666-7777-4888-8999-aaaaaaaaaaaa","plainBytes":100000,"sealedBytes":100072,' +
  `"sealedSha256":"${'ab'.repeat(32)}","header":"28${'01'.repeat(39)}","keyCommitment":"${'cd'.repeat(32)}"}\n`;

test('the canonical bytes are these', () => {
  expect(encodeEnvelope(facts).toString()).toBe(LINE);
  expect(envelopeSha256(facts)).toBe(createHash('sha256').update(LINE).digest('hex'));
});

test('the wrapped key is not in them', () => {
  const wrap = { provider: 'keyring', keyId: 'aa', keyVersion: 1, blob: Buffer.alloc(61) };
  expect(encodeEnvelope({ ...facts, ...{ wrap } }).toString()).toBe(LINE);
});

test('what was encoded is decoded', () => {
  expect(decodeEnvelope(Buffer.from(LINE))).toEqual(facts);
});

test.each([
  ['nothing', ''],
  ['not JSON', 'envelope'],
  ['JSON that is no object', '1'],
  ['null', 'null'],
  ['a list', '[]'],
  ['no final newline', LINE.trimEnd()],
  ['white space', LINE.replace(':1,', ': 1,')],
  ['another order', LINE.replace('"format":1,', '').replace('}', ',"format":1}')],
  ['an unknown name', LINE.replace('}', ',"more":1}')],
  ['a name twice', LINE.replace('"format":1,', '"format":1,"format":1,')],
  ['upper-case hex', LINE.replace('abab', 'ABab')],
  ['odd hex', LINE.replace('"cd', '"c')],
  ['a number as text', LINE.replace('100000', '"100000"')],
  ['an exponent', LINE.replace('100000', '1e5')],
  ['another format', LINE.replace('"format":1', '"format":2')],
  ['another segment size', LINE.replace('65536', '4096')],
  ['another algorithm', LINE.replace('tink', 'knit')],
  ['lengths that contradict each other', LINE.replace('100072', '100073')],
  ['a wrapped key smuggled in', LINE.replace('}', ',"wrap":"AAAA"}')],
  ['more than it can be', `${LINE.trimEnd()}${' '.repeat(2000)}\n`],
])('%s is not an envelope', (_name, text) => {
  let refusal: unknown = null;
  try {
    decodeEnvelope(Buffer.from(text));
  } catch (error) {
    refusal = error;
  }
  expect(integrityFaultOf(refusal)).toEqual({ fault: 'envelope', segment: null });
});

test('the associated data has fixed width and names everything once', () => {
  expect(objectAad(facts, 65_536).toString('hex')).toBe(
    `${Buffer.from('cv/rec/v1\0').toString('hex')}00112233445546778899aabbccddeeff` +
      '1111111122224333844455555555555566666666777748888999aaaaaaaaaaaa00010000',
  );
});
