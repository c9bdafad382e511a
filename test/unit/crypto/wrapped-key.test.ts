import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { OrganisationId } from '../../../src/core/ids.ts';
import { unwrapDataKey, wrapDataKey } from '../../../src/crypto/data-key.ts';
import type { Envelope, WrappedKey } from '../../../src/crypto/envelope.ts';
import { integrityFaultOf } from '../../../src/crypto/integrity.ts';
import { randomKey } from '../../../src/crypto/secret.ts';
import { playbackReceipt } from '../../support/receipts.ts';
import { rejection } from '../../support/sealed-objects.ts';
import { createVaultKeys, type VaultKeys } from '../../support/vault-keys.ts';

/** docs/file-format.md §7, the rows about wrapped keys: each refused by the ring, with a genuine receipt in hand. */
const refused = async ({ ring, clock }: VaultKeys, envelope: Envelope) => {
  const receipt = playbackReceipt(envelope, clock.now());
  const errors = [
    await rejection(() => ring.openObject(envelope, receipt)),
    await rejection(() => ring.openObjectKey(envelope, receipt)),
    await rejection(() => ring.verifyObjectKey(envelope)),
    await rejection(() => ring.rewrapObjectKey(envelope)),
  ];
  const [first, ...others] = errors.map((error) => ({
    code: (error as { code?: unknown }).code,
    fault: integrityFaultOf(error)?.fault ?? null,
  }));
  for (const other of others) expect(other).toEqual(first);
  return first;
};

const withWrap = (envelope: Envelope, change: Partial<WrappedKey>): Envelope => ({
  ...envelope,
  wrap: { ...envelope.wrap, ...change },
});

const flipped = (bytes: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = copy[at]! ^ 1;
  return copy;
};

test('the wrapped key of another recording does not open', async () => {
  const vault = await createVaultKeys();
  const other = await vault.record();
  expect(await refused(vault, withWrap(vault.envelope, { blob: other.envelope.wrap.blob }))).toEqual({
    code: 'integrity_failure',
    fault: 'wrapped_key',
  });
});

test('the wrapped key of another generation of the same recording does not open', async () => {
  const vault = await createVaultKeys();
  const again = await vault.record({ recording: vault.envelope.recording });
  expect(again.envelope.generation).not.toBe(vault.envelope.generation);
  expect(await refused(vault, withWrap(vault.envelope, { blob: again.envelope.wrap.blob }))).toEqual({
    code: 'integrity_failure',
    fault: 'wrapped_key',
  });
});

test('an envelope moved to another organisation finds another key there', async () => {
  const vault = await createVaultKeys();
  const organisation = randomUUID() as OrganisationId;
  await vault.ring.createOrganisationKeys(organisation);
  const moved = { ...vault.envelope, organisation };
  expect(await refused(vault, moved)).toEqual({ code: 'wrong_key', fault: null });
  // With the other organisation's key named as well, the wrapped key does not open under it.
  const { wrap } = await vault.ring.newObjectKey(moved);
  expect(await refused(vault, withWrap(moved, { keyId: wrap.keyId }))).toEqual({
    code: 'integrity_failure',
    fault: 'wrapped_key',
  });
});

test('an envelope of an organisation without keys opens nothing', async () => {
  const vault = await createVaultKeys();
  const moved = { ...vault.envelope, organisation: randomUUID() as OrganisationId };
  expect(await refused(vault, moved)).toEqual({ code: 'wrong_key', fault: null });
});

test('the same recording in a vault with other keys is told apart from damage', async () => {
  const [here, elsewhere] = [await createVaultKeys(), await createVaultKeys()];
  await elsewhere.ring.createOrganisationKeys(here.organisation);
  expect(await refused(elsewhere, here.envelope)).toEqual({ code: 'wrong_key', fault: null });
});

test.each([
  ['a version that never was', { keyVersion: 2 }, 'wrong_key', null],
  ['version 0', { keyVersion: 0 }, 'wrong_key', null],
  ['a negative version', { keyVersion: -1 }, 'wrong_key', null],
  ['a version that is no number', { keyVersion: Number.NaN }, 'wrong_key', null],
  ['a version beyond all bounds', { keyVersion: 2 ** 53 }, 'wrong_key', null],
  ['another provider', { provider: 'other' }, 'wrong_key', null],
  ['another key id', { keyId: '0000000000000000' }, 'wrong_key', null],
  ['no blob', { blob: Buffer.alloc(0) }, 'integrity_failure', 'wrapped_key'],
  ['a blob of zeros', { blob: Buffer.alloc(61) }, 'integrity_failure', 'wrapped_key'],
] as const)('%s is refused', async (_name, change, code, fault) => {
  const vault = await createVaultKeys();
  expect(await refused(vault, withWrap(vault.envelope, change))).toEqual({ code, fault });
});

test('no bit of a wrapped key can be changed, and nothing added or cut off', async () => {
  const vault = await createVaultKeys();
  const { blob } = vault.envelope.wrap;
  const variants = [
    ...Array.from(blob, (_byte, at) => flipped(blob, at)),
    Buffer.concat([blob, Buffer.alloc(1)]),
    Buffer.from(blob.subarray(0, -1)),
    Buffer.from(blob.subarray(0, -12)),
  ];
  for (const variant of variants) {
    const error = await rejection(() =>
      vault.ring.verifyObjectKey(withWrap(vault.envelope, { blob: variant })),
    );
    expect(integrityFaultOf(error)).toEqual({ fault: 'wrapped_key', segment: null });
  }
});

test('another data key, wrapped correctly for this recording, is refused by the commitment', async () => {
  const vault = await createVaultKeys();
  const kek = await vault.keys.newest({ organisation: vault.organisation, purpose: 'kek' });
  const planted = wrapDataKey(kek, vault.envelope, vault.envelope.keyCommitment, randomKey());
  expect(await refused(vault, { ...vault.envelope, wrap: planted })).toEqual({
    code: 'integrity_failure',
    fault: 'key_commitment',
  });
});

test('a commitment exchanged with the data key is refused, for the wrapped key is bound to the first one', async () => {
  const vault = await createVaultKeys();
  const other = await vault.record({ recording: vault.envelope.recording });
  const changed = { ...vault.envelope, keyCommitment: other.envelope.keyCommitment };
  expect(await refused(vault, changed)).toEqual({ code: 'integrity_failure', fault: 'wrapped_key' });
});

test('a version that differs from the key it is opened with is never tried', async () => {
  const vault = await createVaultKeys();
  const kek = await vault.keys.newest({ organisation: vault.organisation, purpose: 'kek' });
  const { envelope } = vault;
  expect(unwrapDataKey(kek, envelope, envelope.wrap).equals(vault.key.dek)).toBe(true);
  expect(() => unwrapDataKey({ ...kek, version: 2 }, envelope, envelope.wrap)).toThrow();
});

test.each([
  ['format', { format: 2 }],
  ['segment size', { segmentBytes: 4096 }],
  ['pair of lengths', { plainBytes: 1 }],
  ['header', { header: Buffer.alloc(40) }],
])('an envelope with another %s gets no key out of the ring', async (_name, change) => {
  const vault = await createVaultKeys();
  expect(await refused(vault, { ...vault.envelope, ...change })).toEqual({
    code: 'integrity_failure',
    fault: 'envelope',
  });
});
