import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate for 127.0.0.1 that vouches for itself, and its key, as files. */
export type Certificate = {
  readonly certFile: string;
  readonly keyFile: string;
  readonly pem: string;
  readonly serialNumber: string;
};

export const makeCertificate = (folder: string, name: string): Certificate => {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', certFile], { stdio: 'pipe' });
  const pem = readFileSync(certFile, 'utf8');
  return { certFile, keyFile, pem, serialNumber: new X509Certificate(pem).serialNumber };
};

/** As a tool that renews certificates does it: each file replaced whole, one after the other. */
export const replaceWith = (old: Certificate, { certFile, keyFile }: Partial<Certificate>): void => {
  if (certFile !== undefined) renameSync(certFile, old.certFile);
  if (keyFile !== undefined) renameSync(keyFile, old.keyFile);
};
