import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Receipt } from '../../../src/audit/receipt.ts';
import type { RecordingId } from '../../../src/core/ids.ts';
import type { Envelope } from '../../../src/crypto/envelope.ts';
import { integrityFaultOf } from '../../../src/crypto/integrity.ts';
import { keysDenied, keysUnavailable } from '../../../src/crypto/key-store.ts';
import { collected, patternBytes } from '../../support/byte-streams.ts';
import { newIdentity } from '../../support/key-material.ts';
import { playbackReceipt, receiptFor } from '../../support/receipts.ts';
import { rejection, storeOf } from '../../support/sealed-objects.ts';
import { createVaultKeys, type VaultKeys } from '../../support/vault-keys.ts';

const MINUTE = 60_000;

const play = async ({ ring, sealed }: VaultKeys, envelope: Envelope, receipt: Receipt): Promise<Buffer> => {
  const object = await ring.openObject(envelope, receipt);
  return collected(await object.readRange({ start: 0, end: object.plainBytes }, storeOf(sealed).read));
};

test('what was sealed plays with a receipt, and again', async () => {
  const vault = await createVaultKeys();
  for (const _time of [1, 2])
    expect((await play(vault, vault.envelope, vault.receipt)).equals(patternBytes(1000))).toBe(true);
});

test('the data key is handed out for disaster recovery, and is the one that sealed', async () => {
  const { ring, clock, envelope, key } = await createVaultKeys();
  const receipt = receiptFor({
    action: 'recording.key_opened',
    organisation: envelope.organisation,
    recording: envelope.recording,
    at: clock.now(),
    detail: { reason: 'disaster_recovery' },
  });
  expect((await ring.openObjectKey(envelope, receipt)).equals(key.dek)).toBe(true);
});

const refusals: readonly (readonly [string, (vault: VaultKeys) => Receipt])[] = [
  ['forged: same shape, not of the log', ({ receipt }) => ({ ...receipt })],
  ['forged: inherits from a genuine one', ({ receipt }) => Object.create(receipt) as Receipt],
  ['forged: a proxy of a genuine one', ({ receipt }) => new Proxy(receipt, {})],
  ['made through JSON', ({ receipt }) => JSON.parse(JSON.stringify(receipt)) as Receipt],
  ['nothing', () => null as unknown as Receipt],
  [
    'for another recording',
    ({ envelope, clock }) => playbackReceipt({ ...envelope, recording: randomUUID() }, clock.now()),
  ],
  [
    'of another organisation',
    ({ envelope, clock }) => playbackReceipt({ ...envelope, organisation: randomUUID() }, clock.now()),
  ],
  ['expired', ({ envelope, clock }) => playbackReceipt(envelope, clock.now(), clock.now())],
  [
    'for looking only',
    ({ envelope, clock }) =>
      receiptFor({ ...named(envelope), action: 'recording.viewed', at: clock.now(), detail: {} }),
  ],
  [
    'for a search that found it',
    ({ envelope, clock }) =>
      receiptFor({
        action: 'recordings.searched',
        organisation: envelope.organisation,
        at: clock.now(),
        detail: { count: 1, results: [envelope.recording], criteria: [], indexVersion: 1, more: false },
      }),
  ],
  [
    'of a playback that was denied',
    ({ envelope, clock }) =>
      receiptFor({
        ...named(envelope),
        action: 'playback.denied',
        at: clock.now(),
        detail: { reason: 'unit' },
      }),
  ],
  [
    'of a playback whose entry says failed',
    ({ envelope, clock }) =>
      receiptFor({
        ...named(envelope),
        action: 'playback.opened',
        outcome: 'failed',
        at: clock.now(),
        detail: { playback: randomUUID(), reason: null, expiresAt: clock.now() + MINUTE },
      }),
  ],
];

const named = ({ organisation, recording }: Envelope) => ({ organisation, recording });

test.each(refusals)(
  'a receipt %s opens nothing, neither from disk nor from memory',
  async (_name, receiptOf) => {
    const vault = await createVaultKeys();
    const { ring, tap, envelope } = vault;
    const opened = tap.opened;
    const receipt = receiptOf(vault);
    const refused = { code: 'invalid_receipt' };
    await expect(ring.openObject(envelope, receipt)).rejects.toMatchObject(refused);
    await expect(ring.openObjectKey(envelope, receipt)).rejects.toMatchObject(refused);
    expect(tap.opened).toBe(opened);
    await play(vault, envelope, vault.receipt);
    await expect(ring.openObject(envelope, receipt)).rejects.toMatchObject(refused);
  },
);

test('a receipt that expires while the object is in memory opens it no longer', async () => {
  const vault = await createVaultKeys();
  const { ring, clock, envelope } = vault;
  const receipt = playbackReceipt(envelope, clock.now(), clock.now() + MINUTE);
  await ring.openObject(envelope, receipt);
  clock.advance(MINUTE - 1);
  await ring.openObject(envelope, receipt);
  clock.advance(1);
  await expect(ring.openObject(envelope, receipt)).rejects.toMatchObject({ code: 'invalid_receipt' });
});

test('an envelope that names a recording the receipt covers cannot bring another one along', async () => {
  const vault = await createVaultKeys();
  const other = await vault.record();
  const dressed = { ...other.envelope, recording: vault.envelope.recording as RecordingId };
  await expect(vault.ring.openObject(dressed, vault.receipt)).rejects.toMatchObject({
    code: 'integrity_failure',
  });
  // The same when the covered recording is already in memory.
  await vault.ring.openObject(vault.envelope, vault.receipt);
  await expect(vault.ring.openObject(dressed, vault.receipt)).rejects.toMatchObject({
    code: 'integrity_failure',
  });
});

test('an opened object stays in memory for five minutes and not longer', async () => {
  const { ring, clock, envelope, receipt } = await createVaultKeys();
  const first = await ring.openObject(envelope, receipt);
  clock.advance(5 * MINUTE - 1);
  expect(await ring.openObject(envelope, receipt)).toBe(first);
  clock.advance(2);
  expect(await ring.openObject(envelope, receipt)).not.toBe(first);
});

test('an envelope altered by its owner afterwards does not change what is in memory', async () => {
  const { ring, envelope, receipt } = await createVaultKeys();
  const mine = structuredClone(envelope);
  const first = await ring.openObject(mine, receipt);
  Buffer.from(mine.wrap.blob.buffer).fill(0);
  expect(await ring.openObject(envelope, receipt)).toBe(first);
});

test('after eviction the object is opened from its wrapped key again, which may be gone', async () => {
  const { ring, envelope, receipt } = await createVaultKeys();
  const first = await ring.openObject(envelope, receipt);
  ring.evict(envelope.recording);
  expect(await ring.openObject(envelope, receipt)).not.toBe(first);
  ring.evict(envelope.recording);
  const erased = { ...envelope, wrap: { ...envelope.wrap, blob: Buffer.alloc(61) } };
  await expect(ring.openObject(erased, receipt)).rejects.toMatchObject({ code: 'integrity_failure' });
});

test('an eviction while the object is being opened is not undone by it', async () => {
  const { ring, clock, tap, envelope, receipt } = await createVaultKeys();
  clock.advance(16 * MINUTE);
  let letGo: () => void = () => undefined;
  tap.gate = new Promise((resolve) => {
    letGo = resolve;
  });
  const opening = ring.openObject(envelope, receipt);
  ring.evict(envelope.recording);
  letGo();
  tap.gate = null;
  const opened = await opening;
  expect(await ring.openObject(envelope, receipt)).not.toBe(opened);
});

test('every object has a data key and a wrapped form of its own', async () => {
  const { ring, organisation } = await createVaultKeys();
  const identity = newIdentity({ organisation });
  const keys = [await ring.newObjectKey(identity), await ring.newObjectKey(identity)] as const;
  expect(keys[0].dek.equals(keys[1].dek)).toBe(false);
  expect(keys[0].header).not.toEqual(keys[1].header);
  expect(keys[0].wrap.blob).not.toEqual(keys[1].wrap.blob);
});

test('without organisation keys nothing is sealed', async () => {
  const { ring } = await createVaultKeys();
  await expect(ring.newObjectKey(newIdentity())).rejects.toMatchObject({ code: 'wrong_key' });
});

test('a scrubber verifies an object without a receipt, and gets nothing but the verdict', async () => {
  const { ring, envelope, sealed } = await createVaultKeys();
  expect(await ring.verifyObject(envelope, storeOf(sealed).read)).toBeUndefined();
  const damaged = Buffer.from(sealed);
  damaged[500] = damaged[500]! ^ 1;
  const error = await rejection(() => ring.verifyObject(envelope, storeOf(damaged).read));
  expect(integrityFaultOf(error)).toEqual({ fault: 'segment', segment: 0 });
});

test('a recording lives in memory by its latest envelope', async () => {
  const { ring, envelope, receipt, record } = await createVaultKeys();
  await ring.openObject(envelope, receipt);
  const again = await record({ recording: envelope.recording });
  const object = await ring.openObject(again.envelope, receipt);
  expect(await ring.openObject(again.envelope, receipt)).toBe(object);
});

test('what is in memory serves through an outage, and not after a refusal', async () => {
  const { ring, tap, envelope, receipt } = await createVaultKeys();
  await ring.openObject(envelope, receipt);
  tap.failure = keysUnavailable(new Error('connection refused'));
  await expect(ring.check()).rejects.toMatchObject({ code: 'keys_unavailable' });
  await ring.openObject(envelope, receipt);
  tap.failure = keysDenied(new Error('access denied'));
  await expect(ring.check()).rejects.toMatchObject({ code: 'keys_unavailable' });
  await expect(ring.openObject(envelope, receipt)).rejects.toMatchObject({ code: 'keys_unavailable' });
  tap.failure = null;
  await ring.check();
  await ring.openObject(envelope, receipt);
});

test('the check lets go of what is past its time, even if the clock is set back afterwards', async () => {
  const { ring, clock, tap, envelope } = await createVaultKeys();
  const receipt = playbackReceipt(envelope, clock.now(), clock.now() + 100 * MINUTE);
  const first = await ring.openObject(envelope, receipt);
  clock.advance(5 * MINUTE + 1);
  await ring.check();
  clock.advance(-4 * MINUTE);
  expect(await ring.openObject(envelope, receipt)).not.toBe(first);
  clock.advance(70 * MINUTE);
  await ring.check();
  clock.advance(-65 * MINUTE);
  const opened = tap.opened;
  await ring.openObject(envelope, receipt);
  expect(tap.opened).toBe(opened + 1);
});
