import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate for 127.0.0.1 that vouches for itself, and its key, as files. */
export type Certificate = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly pem: string;
  readonly serialNumber: string;
};

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8 = 0x0c;
const UTC_TIME = 0x17;
const context = (number: number): number => 0xa0 + number;

/** One DER element; the lengths here stay below 64 KiB. */
const der = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
};

/** Object identifiers, encoded: id-ecdsa-with-SHA256, commonName, subjectAltName, basicConstraints. */
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const ECDSA_SHA256 = der(SEQUENCE, oid('2a8648ce3d040302'));
const COMMON_NAME = oid('550403');
const ALT_NAME = oid('551d11');
const CONSTRAINTS = oid('551d13');
const TRUE = Buffer.from([0x01, 0x01, 0xff]);
/** iPAddress 127.0.0.1 (RFC 5280 §4.2.1.6). */
const LOOPBACK = Buffer.from([0x87, 4, 127, 0, 0, 1]);

const nameOf = (text: string): Buffer =>
  der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8, Buffer.from(text)))));

const timeOf = (millis: number): Buffer => {
  const digits = new Date(millis).toISOString().replace(/\D/g, '').slice(2, 14);
  return der(UTC_TIME, Buffer.from(`${digits}Z`));
};

const DAY = 86_400_000;

/** X.509 v3 (RFC 5280 §4.1), P-256, from an hour ago until in two days. */
const makePem = (name: string): { readonly cert: string; readonly key: string } => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const extensions = der(
    SEQUENCE,
    der(SEQUENCE, CONSTRAINTS, TRUE, der(OCTET_STRING, der(SEQUENCE, TRUE))),
    der(SEQUENCE, ALT_NAME, der(OCTET_STRING, der(SEQUENCE, LOOPBACK))),
  );
  const body = der(
    SEQUENCE,
    der(context(0), der(INTEGER, Buffer.from([2]))),
    // The leading 1 keeps the number positive and at its full length.
    der(INTEGER, Buffer.from([1]), randomBytes(15)),
    ECDSA_SHA256,
    nameOf(name),
    der(SEQUENCE, timeOf(Date.now() - DAY / 24), timeOf(Date.now() + 2 * DAY)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(context(3), extensions),
  );
  const signature = der(BIT_STRING, Buffer.from([0]), sign('sha256', body, privateKey));
  const text = der(SEQUENCE, body, ECDSA_SHA256, signature).toString('base64');
  const lines = text.match(/.{1,64}/g)?.join('\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
};

/** Makes both with nothing but Node: a machine that runs the tests need not have openssl. */
export const makeCertificate = (folder: string, name: string): Certificate => {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const { cert, key } = makePem(name);
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key, { mode: 0o600 });
  const pem = readFileSync(certFile, 'utf8');
  return { certFile, keyFile, pem, serialNumber: new X509Certificate(pem).serialNumber };
};

/** As a tool that renews certificates does it: each file replaced whole, one after the other. */
export const replaceWith = (old: Certificate, { certFile, keyFile }: Partial<Certificate>): void => {
  if (certFile !== undefined) renameSync(certFile, old.certFile);
  if (keyFile !== undefined) renameSync(keyFile, old.keyFile);
};
