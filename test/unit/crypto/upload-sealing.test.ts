import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { ReadSealed } from '../../../src/crypto/sealed-object.ts';
import { createUploadSealing, type PartIdentity, type PartKey } from '../../../src/crypto/upload-sealing.ts';
import { createVaultKeys } from '../../support/vault-keys.ts';

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
const collect = async (chunks: AsyncIterable<Buffer>): Promise<Buffer> => {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
};

const reading =
  (object: Buffer): ReadSealed =>
  async ({ start, end }) => ({ body: once(object.subarray(start, end)), totalBytes: object.length });

const newVault = async () => {
  const vault = await createVaultKeys();
  const sealing = createUploadSealing({ keys: vault.keys });
  const { organisation } = vault;
  const place = (over: Partial<PartIdentity> = {}): PartIdentity => ({
    organisation,
    upload: randomUUID(),
    generation: randomUUID(),
    start: 0,
    ...over,
  });
  const sealed = async (plain: Buffer, identity = place()) => {
    const { body, ...key } = await sealing.sealPart(identity, once(plain));
    return { identity: { ...identity, bytes: plain.length }, key, object: await collect(body) };
  };
  const open = (identity: PartIdentity & { bytes: number }, key: PartKey, object: Buffer): Promise<Buffer> =>
    collect(sealing.openPart(identity, key, reading(object)));
  return { ...vault, vault, sealing, organisation, place, sealed, open };
};

test.each([1, 65_480, 65_481, 200_000])('a part of %i bytes opens to what it was', async (bytes) => {
  const { sealed, open } = await newVault();
  const plain = randomBytes(bytes);
  const { identity, key, object } = await sealed(plain);
  if (bytes > 16) expect(object.includes(plain.subarray(0, 16))).toBe(false);
  expect((await open(identity, key, object)).equals(plain)).toBe(true);
});

test('in no other place: upload, generation, first byte, organisation', async () => {
  const { sealed, open } = await newVault();
  const { identity, key, object } = await sealed(randomBytes(1_000));
  const other = await createVaultKeys();
  const places = [
    { ...identity, upload: randomUUID() },
    { ...identity, generation: randomUUID() },
    { ...identity, start: 1 },
    { ...identity, start: identity.start + 2 ** 40 },
  ];
  for (const one of places)
    await expect(open(one, key, object)).rejects.toMatchObject({ code: 'integrity_failure' });
  const foreign = { ...identity, organisation: other.organisation };
  await expect(open(foreign, key, object)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('not damaged, cut, lengthened, or with the key of another part', async () => {
  const { sealed, open, place } = await newVault();
  const { identity, key, object } = await sealed(randomBytes(100_000));
  const flipped = (at: number): Buffer => {
    const copy = Buffer.from(object);
    copy[at]! ^= 1;
    return copy;
  };
  const damaged = [
    ...[0, 20, 41, 70_000, object.length - 1].map(flipped),
    object.subarray(0, -1),
    object.subarray(0, 65_536),
    Buffer.concat([object, Buffer.alloc(1)]),
    Buffer.alloc(0),
  ];
  for (const one of damaged)
    await expect(open(identity, key, one)).rejects.toMatchObject({ code: 'integrity_failure' });
  const neighbour = await sealed(randomBytes(100_000), place({ upload: identity.upload, start: 100_000 }));
  await expect(open(identity, neighbour.key, neighbour.object)).rejects.toMatchObject({
    code: 'integrity_failure',
  });
  const blob = Buffer.from(key.wrap.blob);
  blob[30]! ^= 1;
  for (const wrap of [
    { ...key.wrap, blob },
    { ...key.wrap, blob: blob.subarray(0, 10) },
  ])
    await expect(open(identity, { ...key, wrap }, object)).rejects.toMatchObject({
      code: 'integrity_failure',
    });
  const renamed = { ...key, wrap: { ...key.wrap, keyId: 'another' } };
  await expect(open(identity, renamed, object)).rejects.toMatchObject({ code: 'wrong_key' });
});

test('a recording does not open as a part, whatever a row says of it', async () => {
  const { vault, open } = await newVault();
  const { envelope, sealed: object } = vault;
  const identity = {
    organisation: envelope.organisation,
    upload: envelope.recording,
    generation: envelope.generation,
    start: 0,
    bytes: envelope.plainBytes,
  };
  const key = { header: envelope.header, wrap: envelope.wrap };
  await expect(open(identity, key, object)).rejects.toMatchObject({ code: 'integrity_failure' });
});

test('what was said of the call opens for its own upload only, and is nowhere in what is kept', async () => {
  const { sealing, organisation } = await newVault();
  const identity = { organisation, upload: randomUUID() };
  const plain = Buffer.from('{"callerNumber":"070-174 06 15"}');
  const kept = await sealing.sealFacts(identity, plain);
  expect(kept.includes('174')).toBe(false);
  expect(await sealing.openFacts(identity, kept)).toEqual(plain);
  const elsewhere = { ...identity, upload: randomUUID() };
  await expect(sealing.openFacts(elsewhere, kept)).rejects.toMatchObject({ code: 'integrity_failure' });
  for (const bytes of [
    Buffer.alloc(0),
    kept.subarray(0, 5),
    kept.subarray(0, -1),
    Buffer.concat([Buffer.from([2]), kept.subarray(1)]),
  ])
    await expect(sealing.openFacts(identity, bytes)).rejects.toMatchObject({ code: 'integrity_failure' });
});

test('an older version of the organisation’s key still opens; one that is gone does not', async () => {
  const own = await newVault();
  const ring = own.sealing;
  const identity = { ...own.place(), bytes: 10 };
  const plain = randomBytes(10);
  const { body, ...key } = await ring.sealPart(identity, once(plain));
  const object = await collect(body);
  await own.ring.rotate(own.organisation, 'kek');
  expect(await collect(ring.openPart(identity, key, reading(object)))).toEqual(plain);
  await own.ring.destroyVersion(own.organisation, 'kek', 1);
  await expect(collect(ring.openPart(identity, key, reading(object)))).rejects.toMatchObject({
    code: 'wrong_key',
  });
});
