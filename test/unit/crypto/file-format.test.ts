import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomUUID,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createFieldEncryption, type FieldPlace } from '../../../src/crypto/field-encryption.ts';
import { segmentCipher } from '../../../src/crypto/segment-cipher.ts';
import { createUploadSealing } from '../../../src/crypto/upload-sealing.ts';
import { createVaultKeys } from '../../support/vault-keys.ts';

/**
 * docs/file-format.md computed by hand, from what lies on disk: each formula is written out here once more, with
 * node:crypto alone, so that neither the document nor the code can move without the other.
 */
const uuid = (id: string): Buffer => Buffer.from(id.replaceAll('-', ''), 'hex');
const u32 = (value: number): Buffer => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);
const lp = (text: string): Buffer => Buffer.from([text.length >> 8, text.length & 255, ...Buffer.from(text)]);
const join = (label: string, ...parts: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from(`${label}\0`), ...parts]);
const hkdf = (key: Uint8Array, salt: Uint8Array, info: Uint8Array): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, info, 32));
const hmac = (key: Uint8Array, input: Uint8Array): Buffer => createHmac('sha256', key).update(input).digest();
const NONE = Buffer.alloc(0);

const openBox = (key: Uint8Array, aad: Uint8Array, box: Uint8Array): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, 12), { authTagLength: 16 });
  decipher.setAAD(aad).setAuthTag(box.subarray(-16));
  return Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()]);
};

/** From the root key file to one stored key, with nothing but the two files. */
const unwrapFromDisk = async (vault: Awaited<ReturnType<typeof createVaultKeys>>, purpose: string) => {
  const root = await readFile(vault.folder.rootKeyFile);
  const rootKey = root.subarray(8, 40);
  expect(root.subarray(40)).toEqual(hmac(rootKey, join('cv/check/v1')).subarray(0, 16));
  const name = `${vault.folder.keyringFolder}/${vault.organisation}.${purpose}.1.key`;
  const entry = JSON.parse((await readFile(name)).toString()) as Record<string, string>;
  const blob = Buffer.from(entry.blob!, 'base64');
  expect(blob).toHaveLength(69);
  expect(blob.subarray(0, 9)).toEqual(
    Buffer.concat([Buffer.from([1]), Buffer.from(entry.rootKeyId!, 'hex')]),
  );
  expect(entry.rootKeyId).toBe(hmac(rootKey, join('cv/check/v1')).toString('hex', 0, 8));
  const aad = join('cv/root/v1', uuid(vault.organisation), lp(purpose), u32(1));
  const key = openBox(rootKey, aad, blob.subarray(9));
  expect(entry.keyId).toBe(hmac(key, join('cv/check/v1')).toString('hex', 0, 8));
  return key;
};

test('§5: from the root key file down to the sound', async () => {
  const vault = await createVaultKeys();
  const kek = await unwrapFromDisk(vault, 'kek');
  const { organisation, recording, generation, header, keyCommitment, wrap } = vault.envelope;
  const wrapKey = hkdf(kek, NONE, join('cv/wrap/v1', uuid(organisation), uuid(recording)));
  expect(wrap.blob).toHaveLength(61);
  expect(wrap.blob[0]).toBe(1);
  const wrapAad = join('cv/dek/v1', uuid(organisation), uuid(recording), uuid(generation), keyCommitment);
  const dek = openBox(wrapKey, wrapAad, wrap.blob.subarray(1));
  const aad = join('cv/rec/v1', uuid(organisation), uuid(recording), uuid(generation), u32(65_536));
  const salt = header.subarray(1, 33);
  expect(hkdf(dek, salt, join('cv/commit/v1', aad))).toEqual(keyCommitment);
  const nonce = Buffer.concat([header.subarray(33), u32(0), Buffer.from([1])]);
  const box = Buffer.concat([nonce, vault.sealed.subarray(40)]);
  expect(openBox(hkdf(dek, salt, aad), NONE, box)).toHaveLength(1000);
});

test('§6: a field, a blind index and a keyed digest', async () => {
  const vault = await createVaultKeys();
  const fields = createFieldEncryption({ keys: vault.keys, now: vault.clock.now });
  const { organisation, recording } = vault.envelope;
  const place: FieldPlace = { organisation, recording, table: 'recording', column: 'facts', row: 'row' };
  const sealed = await fields.sealField(place, Buffer.from('value'));
  expect(sealed.subarray(0, 5)).toEqual(Buffer.from([1, 0, 0, 0, 1]));
  const fieldKey = await unwrapFromDisk(vault, 'field');
  const columnKey = hkdf(fieldKey, NONE, join('cv/field/v1', lp('recording'), lp('facts')));
  const names = [lp('recording'), lp('facts'), lp('row')];
  const aad = join('cv/cell/v1', uuid(organisation), uuid(recording), ...names);
  expect(openBox(columnKey, aad, sealed.subarray(5)).toString()).toBe('value');

  const indexKey = await unwrapFromDisk(vault, 'index');
  const [index] = await fields.blindIndexes(organisation, 'caller', '+46701740605');
  const input = join('cv/index/v1', uuid(organisation), lp('caller'), lp('+46701740605'));
  expect(index?.index).toEqual(hmac(indexKey, input).subarray(0, 16));
  const digest = Buffer.alloc(32, 9);
  const [digestMac] = await fields.digestMacs(organisation, digest);
  expect(digestMac?.mac).toEqual(hmac(indexKey, join('cv/digest/v1', uuid(organisation), digest)));
});

test('§12: a part of an upload, and what its source said of the call', async () => {
  const vault = await createVaultKeys();
  const sealing = createUploadSealing({ keys: vault.keys });
  const { organisation } = vault;
  const [upload, generation, start] = [randomUUID(), randomUUID(), 0x0102030405];
  const place = { organisation, upload, generation, start };
  const plain = Buffer.from('a part');
  const chunks: Buffer[] = [];
  const { header, wrap, body } = await sealing.sealPart(place, [plain] as never);
  for await (const chunk of body) chunks.push(chunk);
  const object = Buffer.concat(chunks);
  const kek = await unwrapFromDisk(vault, 'kek');
  const uploadKey = hkdf(kek, NONE, join('cv/upload/v1', uuid(organisation), uuid(upload)));
  const at = Buffer.from([0, 0, 0, 1, 2, 3, 4, 5]);
  const where = [uuid(organisation), uuid(upload), uuid(generation), at];
  expect(wrap.blob[0]).toBe(1);
  const dek = openBox(uploadKey, join('cv/part-dek/v1', ...where, header), wrap.blob.subarray(1));
  expect(object.subarray(0, 40)).toEqual(header);
  const nonce = Buffer.concat([header.subarray(33), u32(0), Buffer.from([1])]);
  const key = hkdf(dek, header.subarray(1, 33), join('cv/part/v1', ...where, u32(65_536)));
  expect(openBox(key, NONE, Buffer.concat([nonce, object.subarray(40)]))).toEqual(plain);

  const facts = await sealing.sealFacts({ organisation, upload }, plain);
  expect(facts.subarray(0, 5)).toEqual(Buffer.from([1, 0, 0, 0, 1]));
  const aad = join('cv/upload-facts/v1', uuid(organisation), uuid(upload));
  expect(openBox(uploadKey, aad, facts.subarray(5))).toEqual(plain);
});

test.each([0, 1, 255, 256, 65_535, 65_536, 0x01020304, 2 ** 32 - 2])(
  '§2: the nonce of segment %i counts in 32 bits',
  (index) => {
    const [dek, aad] = [Buffer.alloc(32, 1), Buffer.from('aad')];
    const header = Buffer.concat([Buffer.from([40]), Buffer.alloc(32, 2), Buffer.alloc(7, 3)]);
    const key = hkdf(dek, header.subarray(1, 33), aad);
    for (const last of [false, true]) {
      const nonce = Buffer.concat([Buffer.alloc(7, 3), u32(index), Buffer.from([last ? 1 : 0])]);
      const gcm = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
      const expected = [Buffer.concat([gcm.update('plain'), gcm.final()]), gcm.getAuthTag()];
      const cipher = segmentCipher({ dek: createSecretKey(dek), aad, header });
      expect(cipher.seal(index, last, Buffer.from('plain'))).toEqual(expected);
      expect(cipher.open(index, last, Buffer.concat(expected)).toString()).toBe('plain');
      expect(() => cipher.open(index, !last, Buffer.concat(expected))).toThrow();
    }
  },
);
