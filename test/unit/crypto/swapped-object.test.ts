import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Envelope, objectAad, type SealFacts, VAULT_FORMAT } from '../../../src/crypto/envelope.ts';
import { keyCommitment } from '../../../src/crypto/key-commitment.ts';
import { openObject } from '../../../src/crypto/sealed-object.ts';
import { randomKey } from '../../../src/crypto/secret.ts';
import { segmentCipher } from '../../../src/crypto/segment-cipher.ts';
import { patternBytes } from '../../support/byte-streams.ts';
import { newIdentity } from '../../support/key-material.ts';
import { faultOf, freshKey, readAll, S, sealBytes, storeOf } from '../../support/sealed-objects.ts';
import { twoKeyObject } from '../../support/two-key-object.ts';

/** docs/file-format.md §7: an object opens as itself only, under the one key it was sealed with. */
const swaps = ['organisation', 'recording', 'generation'] as const;

test.each(swaps)('put under another %s, with its key, it fails', async (part) => {
  const { key, sealed, envelope } = await sealBytes(patternBytes(1000));
  const other = { ...envelope, [part]: newIdentity()[part] };
  // With the commitment it came with, the key is refused before a byte is read …
  expect(await faultOf(() => readAll(other, key, sealed))).toEqual({
    fault: 'key_commitment',
    segment: null,
  });
  // … and with a commitment made anew for the other name, the first segment is.
  const aad = objectAad(other, S);
  const forged = { ...other, keyCommitment: keyCommitment(key.dek, envelope.header, aad) };
  expect(await faultOf(() => readAll(forged, key, sealed))).toEqual({ fault: 'segment', segment: 0 });
});

test('an object exchanged for another of the same length fails', async () => {
  const first = await sealBytes(patternBytes(500));
  const second = await sealBytes(patternBytes(500));
  expect(await faultOf(() => readAll(first.envelope, first.key, second.sealed))).toEqual({
    fault: 'header',
    segment: 0,
  });
  // With the other header pinned as well, only the commitment is left to tell.
  const dressed = { ...first.envelope, header: second.envelope.header };
  expect(await faultOf(() => readAll(dressed, first.key, second.sealed))).toEqual({
    fault: 'key_commitment',
    segment: null,
  });
});

test('another data key is refused before the store is asked', async () => {
  const { sealed, envelope } = await sealBytes(patternBytes(500));
  const { read, seen } = storeOf(sealed);
  const fault = await faultOf(() => openObject(envelope, randomKey()).readRange({ start: 0, end: 1 }, read));
  expect(fault).toEqual({ fault: 'key_commitment', segment: null });
  expect(seen.asked).toBe(0);
});

test('an object built to open under two keys opens under the committed one only', async () => {
  const first = freshKey();
  const second = randomKey();
  const aad = objectAad(first, S);
  const texts = {
    firstText: Buffer.from('what was recorded, sixteen times'.padEnd(64)),
    secondText: Buffer.from('what somebody else wants to hear'.padEnd(64)),
  };
  const sealed = twoKeyObject({ first: first.dek, second, header: first.header, aad, ...texts });
  const opensWith = (dek: typeof second) =>
    segmentCipher({ dek, aad, header: first.header }).open(0, true, sealed.subarray(40));
  // The object is real: AES-GCM accepts it under both keys, with different messages.
  expect(opensWith(first.dek).subarray(0, 64)).toEqual(texts.firstText);
  expect(opensWith(second).subarray(64, 128)).toEqual(texts.secondText);
  expect(opensWith(first.dek).equals(opensWith(second))).toBe(false);

  const { organisation, recording, generation, header, keyCommitment: commitment } = first;
  const facts: SealFacts = {
    ...VAULT_FORMAT,
    ...{ organisation, recording, generation, header, keyCommitment: commitment },
    plainBytes: sealed.length - 56,
    sealedBytes: sealed.length,
    sealedSha256: createHash('sha256').update(sealed).digest(),
  };
  expect((await readAll(facts, first, sealed)).subarray(0, 64)).toEqual(texts.firstText);
  expect(await faultOf(() => readAll(facts, { ...first, dek: second }, sealed))).toEqual({
    fault: 'key_commitment',
    segment: null,
  });
});

test.each([
  ['format', { format: 2 }],
  ['segment size', { segmentBytes: 4096 }],
  ['lengths that contradict each other', { plainBytes: 501 }],
  ['a length no object has', { sealedBytes: 12, plainBytes: 0 }],
  ['a length that is no number', { plainBytes: Number.NaN, sealedBytes: Number.NaN }],
  ['a short commitment', { keyCommitment: Buffer.alloc(16) }],
  ['a short digest', { sealedSha256: Buffer.alloc(31) }],
  ['a header of another length', { header: Buffer.alloc(41, 40) }],
  ['a header that does not say 40', { header: Buffer.alloc(40) }],
  ['an id that is none', { recording: 'x' as Envelope['recording'] }],
  ['an upper-case id', { organisation: 'AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA' as Envelope['organisation'] }],
])('an envelope with another %s is refused before anything is computed', async (_name, change) => {
  const { key, envelope } = await sealBytes(patternBytes(500));
  const fault = await faultOf(async () => openObject({ ...envelope, ...change }, key.dek));
  expect(fault).toEqual({ fault: 'envelope', segment: null });
});
