import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type Config, type RawEnvironment, readConfig } from '../../src/config.ts';
import { isAppError } from '../../src/core/errors.ts';
import { makeCertificate } from './certificates.ts';

export const SECRET = '9f2c41d07be35a68b1';
/** A database beyond this machine. */
export const FAR = `postgresql://callvault:${SECRET}@db.example.org/vault?sslmode=verify-full`;
/** A whole set of what S3 needs. */
export const S3 = {
  S3_ENDPOINT: 'https://objects.example.org',
  S3_BUCKET: 'calls',
  S3_ACCESS_KEY_ID: 'AKIA123',
  S3_SECRET_ACCESS_KEY: SECRET,
};

/** Settings read for a test file, with a folder of its own and a certificate in it, until its end. */
export const readsSettings = () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'config-')));
  afterAll(() => rmSync(folder, { recursive: true }));
  const { certFile, keyFile } = makeCertificate(folder, 'vault');
  const read = (env: RawEnvironment): Config => readConfig({ DATA_DIR: join(folder, 'data'), ...env });
  return {
    folder,
    tls: { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile },
    accepted: read,
    /** Every fault of a configuration as `VARIABLE fault`; empty when it is accepted. */
    faultsOf: (env: RawEnvironment): readonly string[] => {
      try {
        read(env);
        return [];
      } catch (error) {
        if (!isAppError(error, 'config_invalid')) throw error;
        return (error.extras.faults ?? []).map(({ where, fault }) => `${where} ${fault}`);
      }
    },
  };
};
