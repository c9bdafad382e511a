import { createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readWhole } from './reference-reader.ts';

/**
 * A recording out of its object, the copy of its envelope, a bundle of wrapped keys and the key folder, without a database
 * and without src/: written from docs/file-format.md (§2 to §5, §10), so that the two can be held against each other.
 */
const uuid = (text: string): Buffer => Buffer.from(text.replaceAll('-', ''), 'hex');
const label = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const prefixed = (text: string): Buffer =>
  Buffer.concat([Buffer.from([text.length >> 8, text.length]), Buffer.from(text)]);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const hkdf = (key: Buffer, salt: Buffer, ...info: readonly Buffer[]): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, Buffer.concat(info), 32));
const checkValue = (key: Buffer): Buffer => createHmac('sha256', key).update(label('cv/check/v1')).digest();

const demand = (fact: boolean, what: string): void => {
  if (!fact) throw new Error(what);
};

/** §3: nonce(12) ‖ ciphertext ‖ tag(16). */
const openBox = (key: Buffer, box: Buffer, ...aad: readonly Buffer[]): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, 12), { authTagLength: 16 });
  decipher.setAAD(Buffer.concat(aad));
  decipher.setAuthTag(box.subarray(-16));
  return Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()]);
};

/** §5.2, §5.3: a version of an organisation's key, out of the key folder. */
const organisationKey = (keysDir: string, organisation: string, version: number, keyId: string): Buffer => {
  const file = readFileSync(join(keysDir, 'root.key'));
  demand(file.length === 56 && file.subarray(0, 8).toString() === 'CVROOT1\n', 'no root key file');
  const root = file.subarray(8, 40);
  demand(file.subarray(40).equals(checkValue(root).subarray(0, 16)), 'the root key file is damaged');
  const name = `${organisation}.kek.${version}.key`;
  const { blob } = JSON.parse(readFileSync(join(keysDir, 'keyring', name), 'utf8')) as { blob: string };
  const wrapped = Buffer.from(blob, 'base64');
  demand(wrapped[0] === 1 && wrapped.subarray(1, 9).equals(checkValue(root).subarray(0, 8)), 'another root');
  const kek = openBox(
    root,
    wrapped.subarray(9),
    label('cv/root/v1'),
    uuid(organisation),
    prefixed('kek'),
    uint32(version),
  );
  demand(checkValue(kek).subarray(0, 8).toString('hex') === keyId, 'another key');
  return kek;
};

type BundleLine = {
  readonly recording: string;
  readonly generation: string;
  readonly organisation: string;
  readonly keyId: string;
  readonly version: number;
  readonly wrapped: string;
};

/** §10: the line of one object in a bundle that is whole. */
export const lineInBundle = (bundle: Buffer, generation: string): BundleLine => {
  const end = bundle.lastIndexOf('\n', -2) + 1;
  const lines = bundle.subarray(0, end).toString('latin1').split('\n').slice(1, -1);
  const closing = JSON.parse(bundle.subarray(end).toString('latin1')) as {
    end?: true;
    count: number;
    sha256: string;
  };
  demand(closing.end === true, 'the bundle was cut');
  demand(closing.count === lines.length, 'the bundle has not all its lines');
  demand(closing.sha256 === sha256(bundle.subarray(0, end)), 'the bundle is damaged');
  const found = lines
    .map((line) => JSON.parse(line) as BundleLine)
    .find((line) => line.generation === generation);
  if (found === undefined) throw new Error('the bundle does not know the object');
  return found;
};

export type Salvage = {
  readonly object: Buffer;
  /** The copy of the envelope beside it. */
  readonly copy: Buffer;
  readonly bundle: Buffer;
  readonly keysDir: string;
};

type Copy = {
  readonly segmentBytes: number;
  readonly organisation: string;
  readonly recording: string;
  readonly generation: string;
  readonly sealedSha256: string;
  readonly header: string;
  readonly keyCommitment: string;
};

export const recoverRecording = ({ object, copy, bundle, keysDir }: Salvage) => {
  const envelope = JSON.parse(copy.toString('latin1')) as Copy;
  const { organisation, recording, generation, segmentBytes } = envelope;
  demand(sha256(object) === envelope.sealedSha256, 'the object is not the one that was sealed');
  demand(object.subarray(0, 40).toString('hex') === envelope.header, 'another header');
  const line = lineInBundle(bundle, generation);
  demand(line.recording === recording && line.organisation === organisation, 'another recording');
  const kek = organisationKey(keysDir, organisation, line.version, line.keyId);
  const ids = [uuid(organisation), uuid(recording)];
  const wrapKey = hkdf(kek, Buffer.alloc(0), label('cv/wrap/v1'), ...ids);
  const commitment = Buffer.from(envelope.keyCommitment, 'hex');
  const wrapped = Buffer.from(line.wrapped, 'hex');
  demand(wrapped[0] === 1 && wrapped.length === 61, 'no wrapped key');
  const dek = openBox(wrapKey, wrapped.subarray(1), label('cv/dek/v1'), ...ids, uuid(generation), commitment);
  const aad = Buffer.concat([label('cv/rec/v1'), ...ids, uuid(generation), uint32(segmentBytes)]);
  const computed = hkdf(dek, object.subarray(1, 33), label('cv/commit/v1'), aad);
  demand(computed.equals(commitment), 'the key is not the one that sealed');
  return { recording, audio: readWhole(object, dek, aad, segmentBytes) };
};
