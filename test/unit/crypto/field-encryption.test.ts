import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Receipt } from '../../../src/audit/receipt.ts';
import type { OrganisationId, RecordingId } from '../../../src/core/ids.ts';
import { createFieldEncryption, type FieldPlace } from '../../../src/crypto/field-encryption.ts';
import { integrityFaultOf } from '../../../src/crypto/integrity.ts';
import { INSTALLATION } from '../../../src/crypto/key-store.ts';
import { playbackReceipt, receiptFor } from '../../support/receipts.ts';
import { rejection } from '../../support/sealed-objects.ts';
import { createVaultKeys } from '../../support/vault-keys.ts';

const NUMBER = Buffer.from('+46701740605');

const createFields = async () => {
  const vault = await createVaultKeys();
  const fields = createFieldEncryption({ keys: vault.keys, now: vault.clock.now });
  const recording = randomUUID() as RecordingId;
  const place: FieldPlace = {
    organisation: vault.organisation,
    recording,
    table: 'recording',
    column: 'facts',
    row: recording,
  };
  const named = { organisation: place.organisation, recording, at: vault.clock.now() };
  return {
    ...vault,
    fields,
    place,
    named,
    receipt: receiptFor({ ...named, action: 'recording.viewed', detail: {} }),
  };
};
type Fields = Awaited<ReturnType<typeof createFields>>;

test('a value comes back for a receipt that covers its recording', async () => {
  const { fields, place, receipt } = await createFields();
  const sealed = await fields.sealField(place, NUMBER);
  expect(sealed.length).toBe(NUMBER.length + 33);
  expect((await fields.openField(place, sealed, receipt)).equals(NUMBER)).toBe(true);
});

test('any bytes come back, also none, and are sealed differently every time', async () => {
  const { fields, place, receipt } = await createFields();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const [a, b] = [await fields.sealField(place, bytes), await fields.sealField(place, bytes)];
      expect(a.equals(b)).toBe(false);
      expect(await fields.openField(place, a, receipt)).toEqual(Buffer.from(bytes));
    }),
  );
});

const covering: readonly (readonly [string, (fields: Fields) => Receipt])[] = [
  ['of a playback', ({ place, named }) => playbackReceipt(place, named.at)],
  [
    'of a search that found the recording',
    ({ named, place }) =>
      receiptFor({
        ...named,
        recording: null,
        action: 'recordings.searched',
        detail: {
          count: 2,
          results: [randomUUID(), place.recording],
          criteria: ['caller'],
          indexVersion: 1,
          more: false,
        },
      }),
  ],
  [
    'of disaster recovery',
    ({ named }) =>
      receiptFor({ ...named, action: 'recording.key_opened', detail: { reason: 'disaster_recovery' } }),
  ],
];

test.each(covering)('a receipt %s opens it as well', async (_name, receiptOf) => {
  const fields = await createFields();
  const sealed = await fields.fields.sealField(fields.place, NUMBER);
  expect(await fields.fields.openField(fields.place, sealed, receiptOf(fields))).toEqual(NUMBER);
});

const refusals: readonly (readonly [string, (fields: Fields) => Receipt])[] = [
  ['forged', ({ receipt }) => ({ ...receipt })],
  [
    'for another recording',
    ({ named }) => receiptFor({ ...named, recording: randomUUID(), action: 'recording.viewed', detail: {} }),
  ],
  [
    'of another organisation',
    ({ named }) =>
      receiptFor({ ...named, organisation: randomUUID(), action: 'recording.viewed', detail: {} }),
  ],
  [
    'expired',
    ({ named }) => receiptFor({ ...named, at: named.at - 60_000, action: 'recording.viewed', detail: {} }),
  ],
  [
    'of a look that was denied',
    ({ named }) => receiptFor({ ...named, outcome: 'denied', action: 'recording.viewed', detail: {} }),
  ],
  [
    'of the upload',
    ({ named }) =>
      receiptFor({
        ...named,
        action: 'recording.stored',
        detail: { bytes: 1, sealedSha256: '', envelopeSha256: '', durationMs: null, flags: [] },
      }),
  ],
  [
    'of the erasure',
    ({ named }) =>
      receiptFor({
        ...named,
        action: 'recording.erased',
        detail: { reason: 'x', decision: null, tombstone: true },
      }),
  ],
  [
    'of a search that did not find it',
    ({ named }) =>
      receiptFor({
        ...named,
        action: 'recordings.searched',
        detail: { count: 1, results: [randomUUID()], criteria: [], indexVersion: 1, more: false },
      }),
  ],
];

test.each(refusals)('a receipt %s opens no value and asks for no key', async (_name, receiptOf) => {
  const fields = await createFields();
  const sealed = await fields.fields.sealField(fields.place, NUMBER);
  fields.clock.advance(0);
  const opened = fields.tap.opened;
  await expect(fields.fields.openField(fields.place, sealed, receiptOf(fields))).rejects.toMatchObject({
    code: 'invalid_receipt',
  });
  expect(fields.tap.opened).toBe(opened);
});

const elsewhere: readonly (readonly [string, (place: FieldPlace) => FieldPlace])[] = [
  ['row', (place) => ({ ...place, row: randomUUID() })],
  ['column', (place) => ({ ...place, column: 'peaks' })],
  ['table', (place) => ({ ...place, table: 'hold' })],
  ['recording', (place) => ({ ...place, recording: randomUUID() as RecordingId })],
  ['split of names', (place) => ({ ...place, table: 'recordingf', column: 'acts' })],
  ['split of names at the row', (place) => ({ ...place, column: `${place.column}${place.row}`, row: '' })],
];

test.each(elsewhere)('a value copied to another %s does not open there', async (_name, move) => {
  const { fields, place, named } = await createFields();
  const sealed = await fields.sealField(place, NUMBER);
  const there = move(place);
  const receipt = receiptFor({
    ...named,
    recording: there.recording,
    action: 'recording.viewed',
    detail: {},
  });
  const error = await rejection(() => fields.openField(there, sealed, receipt));
  expect(integrityFaultOf(error)?.fault).toBe('field');
});

test('a value copied to another organisation does not open there', async () => {
  const { fields, ring, place, clock } = await createFields();
  const organisation = randomUUID() as OrganisationId;
  await ring.createOrganisationKeys(organisation);
  const sealed = await fields.sealField(place, NUMBER);
  const there = { ...place, organisation };
  const error = await rejection(() => fields.openField(there, sealed, playbackReceipt(there, clock.now())));
  expect(integrityFaultOf(error)?.fault).toBe('field');
});

test('no bit of a sealed value can be changed, and no tag shortened', async () => {
  const { fields, place, receipt } = await createFields();
  const sealed = await fields.sealField(place, NUMBER);
  for (let at = 0; at < sealed.length; at += 1) {
    const copy = Buffer.from(sealed);
    copy[at] = copy[at]! ^ 1;
    // The four bytes of the key version name another key, which is not there; everything else is damage.
    const code = at >= 1 && at <= 4 ? 'wrong_key' : 'integrity_failure';
    await expect(fields.openField(place, copy, receipt)).rejects.toMatchObject({ code });
  }
  for (const length of [0, 1, 4, 5, 32, sealed.length - 12, sealed.length - 1])
    await expect(fields.openField(place, sealed.subarray(0, length), receipt)).rejects.toMatchObject({
      code: 'integrity_failure',
    });
});

test('values sealed before a rotation stay readable', async () => {
  const { fields, ring, place, receipt } = await createFields();
  const old = await fields.sealField(place, NUMBER);
  await ring.rotate(place.organisation, 'field');
  const young = await fields.sealField(place, NUMBER);
  expect([old.readUInt32BE(1), young.readUInt32BE(1)]).toEqual([1, 2]);
  expect(await fields.openField(place, old, receipt)).toEqual(NUMBER);
  expect(await fields.openField(place, young, receipt)).toEqual(NUMBER);
});

test('a blind index is equal for equal values of one column, and of nothing else', async () => {
  const { fields, ring, organisation } = await createFields();
  const other = randomUUID() as OrganisationId;
  await ring.createOrganisationKeys(other);
  await ring.createOrganisationKeys(INSTALLATION);
  const of = async (org: OrganisationId, column: string, value: string) => {
    const [first] = await fields.blindIndexes(org, column, value);
    expect(first?.index).toHaveLength(16);
    return first?.index.toString('hex');
  };
  const same = await of(organisation, 'caller', '+46701740605');
  expect(await of(organisation, 'caller', '+46701740605')).toBe(same);
  const others = [
    await of(organisation, 'caller', '+46701740606'),
    await of(organisation, 'called', '+46701740605'),
    await of(organisation, 'caller+', '46701740605'),
    await of(organisation, '', 'caller+46701740605'),
    await of(other, 'caller', '+46701740605'),
    await of(INSTALLATION, 'caller', '+46701740605'),
  ];
  expect(new Set([same, ...others]).size).toBe(7);
});

test('during a rotation there is one index and one digest per live version, newest first', async () => {
  const { fields, ring, organisation } = await createFields();
  const digest = Buffer.alloc(32, 7);
  const [before] = await fields.blindIndexes(organisation, 'caller', 'x');
  const [macBefore] = await fields.digestMacs(organisation, digest);
  await ring.rotate(organisation, 'index');
  const after = await fields.blindIndexes(organisation, 'caller', 'x');
  expect(after.map(({ version }) => version)).toEqual([2, 1]);
  expect(after[1]).toEqual(before);
  expect(after[0]?.index).not.toEqual(before?.index);
  const macs = await fields.digestMacs(organisation, digest);
  expect(macs.map(({ version }) => version)).toEqual([2, 1]);
  expect(macs[1]).toEqual(macBefore);
  expect(macs.every(({ mac }) => mac.length === 32 && !mac.equals(digest))).toBe(true);
});

test('a value too long to be indexed and a digest that is none are refused', async () => {
  const { fields, organisation } = await createFields();
  await expect(fields.blindIndexes(organisation, 'caller', 'x'.repeat(4097))).rejects.toThrow(RangeError);
  await expect(fields.digestMacs(organisation, Buffer.alloc(20))).rejects.toThrow(RangeError);
});
