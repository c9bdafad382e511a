import { createHash, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { OrganisationId } from '../../../src/core/ids.ts';
import { isEd25519PublicKey } from '../../../src/crypto/ed25519.ts';
import { type EdgeFacts, type EdgeManifest, readEdgeManifest } from '../../../src/crypto/edge-manifest.ts';
import {
  isEdgeRecipient,
  openEdgeFacts,
  readSigningKey,
  sealAtEdge,
  signingKeyOf,
} from '../../../src/crypto/edge-sealing.ts';
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
const sealed = async (length: number, over: Partial<EdgeManifest> = {}, facts: Partial<EdgeFacts> = {}) => {
  const plain = patternBytes(length);
  const { manifest, object } = sealAtEdge(
    newIdentity({ organisation: vault.organisation, ...over }),
    await vault.ring.edgeRecipient(vault.organisation),
    {
      source: inChunks(plain, 10_007),
      plainBytes: length,
      plainSha256: createHash('sha256').update(plain).digest(),
      mediaType: 'audio/wav',
      metadata: { callId: 'å', callerNumber: '0701740605' },
      ...facts,
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

/** Another payload under a genuine signature. */
const resigned = (jws: string, change: (payload: Record<string, unknown>) => unknown): string => {
  const [head, payload = ''] = jws.split('.');
  const read = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
  const text = `${head}.${Buffer.from(JSON.stringify(change(read))).toString('base64url')}`;
  return `${text}.${sign(null, Buffer.from(text), signing.privateKey).toString('base64url')}`;
};

describe('the manifest', () => {
  test('says what was signed', async () => {
    const { manifest } = await sealed(10);
    expect(manifest.plainBytes).toBe(10);
    const { dek } = await vault.ring.adoptObjectKey(manifest);
    expect(openEdgeFacts(dek, manifest)).toEqual({
      plainSha256: createHash('sha256').update(patternBytes(10)).digest(),
      metadata: { callId: 'å', callerNumber: '0701740605' },
      mediaType: 'audio/wav',
    });
  });

  test('shows whoever sees it no more than which object of which organisation it is, and how long', async () => {
    const { jws } = await sealed(10);
    const seen = JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString()) as object;
    expect(Object.keys(seen).toSorted()).toEqual([
      'algorithm',
      'enc',
      'generation',
      'header',
      'keyCommitment',
      'keyVersion',
      'organisation',
      'plainBytes',
      'recording',
      'sealedDek',
      'sealedFacts',
    ]);
    expect(Buffer.from(JSON.stringify(seen)).toString('latin1')).not.toMatch(/0701740605|audio/);
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
});

describe('a manifest that is signed', () => {
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
    ['sealedFacts', ''],
    ['sealedFacts', 'AA=='],
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

describe('the manifest, opened,', () => {
  test('has facts that open for this object alone, and not changed', async () => {
    const { manifest } = await sealed(10);
    const other = await sealed(10);
    const { dek } = await vault.ring.adoptObjectKey(manifest);
    const changed = Buffer.from(manifest.sealedFacts);
    changed[20] = (changed[20] ?? 0) ^ 1;
    for (const wrong of [
      { sealedFacts: other.manifest.sealedFacts },
      { sealedFacts: changed },
      { sealedFacts: Buffer.alloc(5) },
      { recording: newIdentity().recording },
      { generation: newIdentity().generation },
      { header: Buffer.from(manifest.header).fill(7, 1) },
    ])
      expect(() => openEdgeFacts(dek, { ...manifest, ...wrong })).toThrow(refused);
  });

  test.each<[string, Partial<EdgeFacts>]>([
    ['mediaType', { mediaType: 'a'.repeat(256) }],
    ['mediaType', { mediaType: 5 as unknown as string }],
    ['plainSha256', { plainSha256: Buffer.alloc(31) }],
  ])('sealed and signed, but with a wrong %s: refused by name', async (name, facts) => {
    const { manifest } = await sealed(10, {}, facts);
    const { dek } = await vault.ring.adoptObjectKey(manifest);
    expect(() => openEdgeFacts(dek, manifest)).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining(name) }),
    );
  });

  test('has room for the longest metadata', async () => {
    const { manifest } = await sealed(10, {}, { metadata: { callId: 'x', queue: 'å'.repeat(32_000) } });
    const { dek } = await vault.ring.adoptObjectKey(manifest);
    expect(openEdgeFacts(dek, manifest).metadata).toMatchObject({ callId: 'x' });
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

test('a signing key under a passphrase is told as such', () => {
  for (const type of ['pkcs8', 'sec1'] as const) {
    const key =
      type === 'pkcs8' ? signing.privateKey : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const pem = key.export({ format: 'pem', type, cipher: 'aes-256-cbc', passphrase: 'secret' }).toString();
    expect(() => readSigningKey(pem)).toThrow(/passphrase/);
  }
});

test('a key to seal to agrees on a secret; one of low order does not', () => {
  const own = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  expect(isEdgeRecipient(own)).toBe(true);
  for (const bytes of [
    Buffer.alloc(32),
    Buffer.alloc(32).fill(1, 0, 1),
    Buffer.alloc(31, 9),
    Buffer.alloc(0),
  ])
    expect(isEdgeRecipient(bytes)).toBe(false);
});

describe('a public key of Ed25519', () => {
  const ofY = (y: number): Buffer => Buffer.from([y, ...Buffer.alloc(31)]);
  test('is what generates one', () => {
    for (let i = 0; i < 50; i += 1)
      expect(
        isEd25519PublicKey(
          generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
        ),
      ).toBe(true);
  });
  // Reckoned by another program.
  test.each([3, 4, 5, 6, 9, 10])('y = %i: a point', (y) => expect(isEd25519PublicKey(ofY(y))).toBe(true));
  test.each([2, 7, 8, 11])('y = %i: no point', (y) => expect(isEd25519PublicKey(ofY(y))).toBe(false));
  test.each([
    ['too short', 'aa'.repeat(31)],
    ['too long', 'aa'.repeat(33)],
    ['nothing', ''],
    ['more than the prime', 'ff'.repeat(32)],
    ['the prime and three, another spelling of a point', `f0${'ff'.repeat(30)}7f`],
    ['zero with a sign', `${'00'.repeat(31)}80`],
    ['one with a sign', `01${'00'.repeat(30)}80`],
  ])('%s: none', (_, hex) => expect(isEd25519PublicKey(Buffer.from(hex, 'hex'))).toBe(false));
});

// R the neutral point and S zero, R the base point and S one: without a check of their own, such keys take one or the other.
test.each([
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
])('nothing is signed under %s, a key of low order', (point) => {
  expect(isEd25519PublicKey(Buffer.from(point, 'hex'))).toBe(false);
  const key = signingKeyOf(Buffer.from(point, 'hex'));
  const neutral = Buffer.concat([Buffer.from([1]), Buffer.alloc(63)]);
  const base = Buffer.from(`58${'66'.repeat(31)}01${'00'.repeat(31)}`, 'hex');
  for (let i = 0; i < 64; i += 1)
    for (const forged of [neutral, base]) expect(verify(null, Buffer.from([i]), key, forged)).toBe(false);
});
