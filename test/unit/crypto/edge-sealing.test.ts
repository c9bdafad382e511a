import { createHash, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { OrganisationId } from '../../../src/core/ids.ts';
import { type EdgeManifest, readEdgeManifest } from '../../../src/crypto/edge-manifest.ts';
import { readSigningKey, sealAtEdge, signingKeyOf } from '../../../src/crypto/edge-sealing.ts';
import { openArriving, sealObject } from '../../../src/crypto/sealed-object.ts';
import { collected, inChunks, patternBytes } from '../../support/byte-streams.ts';
import { newIdentity } from '../../support/key-material.ts';
import { createVaultKeys, type VaultKeys } from '../../support/vault-keys.ts';

const signing = generateKeyPairSync('ed25519');
let vault: VaultKeys;
beforeEach(async () => {
  vault = await createVaultKeys();
});

const refused = expect.objectContaining({ code: 'integrity_failure' });

/** What a source sends of `length` bytes. */
const sealed = async (length: number, over: Partial<EdgeManifest> = {}) => {
  const plain = patternBytes(length);
  const { manifest, object } = sealAtEdge(
    newIdentity({ organisation: vault.organisation, ...over }),
    await vault.ring.edgeRecipient(vault.organisation),
    {
      source: inChunks(plain, 10_007),
      plainBytes: length,
      plainSha256: createHash('sha256').update(plain).digest(),
      mediaType: 'audio/wav',
      metadata: { callId: 'å' },
    },
    signing.privateKey,
  );
  return {
    plain,
    object: await collected(object),
    jws: manifest,
    manifest: readEdgeManifest(manifest, signing.publicKey),
  };
};
const opened = async (manifest: EdgeManifest, object: Buffer, cut = 9_001): Promise<Buffer> =>
  collected(
    openArriving(await vault.ring.adoptObjectKey(manifest), manifest.plainBytes, inChunks(object, cut)),
  );

describe('a recording sealed at the edge', () => {
  test.each([0, 1, 65_480, 65_481, 200_000])(
    '%i bytes: opens, and is sealed again to the same bytes',
    async (length) => {
      const { plain, object, manifest } = await sealed(length);
      expect(await opened(manifest, object)).toEqual(plain);
      const key = await vault.ring.adoptObjectKey(manifest);
      const sealing = sealObject(key, inChunks(plain, 5_000));
      expect((await collected(sealing.body)).equals(object)).toBe(true);
      await vault.ring.verifyObjectKey(sealing.envelope());
    },
  );

  test('no byte of it may be another, and none may be missing or follow', async () => {
    const { object, manifest } = await sealed(70_000);
    for (const at of [0, 1, 39, 40, 65_535, 65_536, object.length - 1]) {
      const changed = Buffer.from(object);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await expect(opened(manifest, changed)).rejects.toEqual(refused);
    }
    await expect(opened(manifest, object.subarray(0, -1))).rejects.toEqual(refused);
    await expect(opened(manifest, object.subarray(0, 65_536))).rejects.toEqual(refused);
    await expect(opened(manifest, Buffer.concat([object, Buffer.alloc(1)]))).rejects.toEqual(refused);
    const empty = await sealed(0);
    await expect(opened(empty.manifest, empty.object.subarray(1))).rejects.toEqual(refused);
    await expect(opened(empty.manifest, Buffer.concat([empty.object, Buffer.alloc(1)]))).rejects.toEqual(
      refused,
    );
    await expect(opened(empty.manifest, Buffer.alloc(0))).rejects.toEqual(refused);
  });

  test('its key belongs to this object of this organisation and no other', async () => {
    const { manifest } = await sealed(100);
    const other = await createVaultKeys();
    const elsewhere: Partial<EdgeManifest>[] = [
      { recording: newIdentity().recording },
      { generation: newIdentity().generation },
      { keyCommitment: Buffer.alloc(32) },
      { header: Buffer.from(manifest.header).fill(7, 1) },
      { sealedDek: Buffer.alloc(48) },
    ];
    for (const change of elsewhere)
      await expect(vault.ring.adoptObjectKey({ ...manifest, ...change })).rejects.toEqual(refused);
    await expect(
      other.ring.adoptObjectKey({ ...manifest, organisation: other.organisation }),
    ).rejects.toEqual(refused);
    for (const change of [{ keyVersion: 9 }, { organisation: randomUUID() as OrganisationId }])
      await expect(vault.ring.adoptObjectKey({ ...manifest, ...change })).rejects.toMatchObject({
        code: 'wrong_key',
      });
  });

  test('what was sealed before the edge key was rotated still opens', async () => {
    const before = await sealed(100);
    await vault.ring.rotate(vault.organisation, 'edge');
    vault.clock.advance(10_000);
    expect(await opened(before.manifest, before.object)).toEqual(before.plain);
  });
});

describe('the manifest', () => {
  /** Another payload under a genuine signature. */
  const resigned = (jws: string, change: (payload: Record<string, unknown>) => unknown): string => {
    const [head, payload = ''] = jws.split('.');
    const read = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    const text = `${head}.${Buffer.from(JSON.stringify(change(read))).toString('base64url')}`;
    return `${text}.${sign(null, Buffer.from(text), signing.privateKey).toString('base64url')}`;
  };

  test('says what was signed', async () => {
    const { manifest } = await sealed(10);
    expect(manifest).toMatchObject({ metadata: { callId: 'å' }, mediaType: 'audio/wav', plainBytes: 10 });
  });

  test('is nothing without the signature of this source', async () => {
    const { jws } = await sealed(10);
    const [head, payload, signature = ''] = jws.split('.') as [string, string, string];
    const forbidden = expect.objectContaining({ code: 'forbidden' });
    const invalid = expect.objectContaining({ code: 'invalid_request' });
    const stranger = generateKeyPairSync('ed25519').publicKey;
    expect(() => readEdgeManifest(jws, stranger)).toThrow(forbidden);
    expect(() => readEdgeManifest(`${head}.${payload}.`, signing.publicKey)).toThrow(forbidden);
    expect(() => readEdgeManifest(`${head}.${payload}A.${signature}`, signing.publicKey)).toThrow(forbidden);
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(() => readEdgeManifest(`${none}.${payload}.`, signing.publicKey)).toThrow(invalid);
    for (const text of [
      '',
      '.',
      '..',
      `${jws}.`,
      'x'.repeat(200_000),
      `${head}.${'A'.repeat(200_000)}.${signature}`,
    ])
      expect(() => readEdgeManifest(text, signing.publicKey)).toThrow(invalid);
  });

  test.each<[string, unknown]>([
    ['organisation', '../x'],
    ['recording', null],
    ['generation', 'A'.repeat(36)],
    ['keyVersion', 0],
    ['enc', 'AA'],
    ['sealedDek', `${'A'.repeat(64)}=`],
    ['header', 5],
    ['keyCommitment', undefined],
    ['plainBytes', -1],
    ['plainBytes', 1.5],
    ['plainSha256', 'x'],
    ['mediaType', 'a'.repeat(256)],
    ['algorithm', 2],
  ])('signed, but with a wrong %s: refused by name, without its value', async (name, value) => {
    const { jws } = await sealed(10);
    const wrong = resigned(jws, (payload) => ({ ...payload, [name]: value }));
    expect(() => readEdgeManifest(wrong, signing.publicKey)).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining(name) }),
    );
    expect(() =>
      readEdgeManifest(
        resigned(jws, () => [1]),
        signing.publicKey,
      ),
    ).toThrow(/JSON/);
  });
});

test('a signing key is read from its PEM, and nothing else is', () => {
  const pem = signing.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const { key, publicBytes } = readSigningKey(pem);
  expect(key.equals(signing.privateKey)).toBe(true);
  expect(signingKeyOf(publicBytes).equals(signing.publicKey)).toBe(true);
  const other = generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  for (const text of ['', 'secret', other, pem.slice(0, 60)]) {
    expect(() => readSigningKey(text)).toThrow(/Ed25519/);
    expect(() => readSigningKey(text)).not.toThrow(/secret/);
  }
});

// R the neutral point and S zero, R the base point and S one: without a check of their own, such keys take one or the other.
test.each([
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
])('nothing is signed under %s, a key of low order', (point) => {
  const key = signingKeyOf(Buffer.from(point, 'hex'));
  const neutral = Buffer.concat([Buffer.from([1]), Buffer.alloc(63)]);
  const base = Buffer.from(`58${'66'.repeat(31)}01${'00'.repeat(31)}`, 'hex');
  for (let i = 0; i < 64; i += 1)
    for (const forged of [neutral, base]) expect(verify(null, Buffer.from([i]), key, forged)).toBe(false);
});
