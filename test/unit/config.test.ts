import { chmodSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { names } from '../../src/config-schema.ts';
import { makeCertificate } from '../support/certificates.ts';
import { readsSettings, S3 } from '../support/settings.ts';

const { accepted, faultsOf, folder, tls } = readsSettings();

describe('the default', () => {
  test('is this machine alone, with everything of its own', () => {
    expect(readConfig({})).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      metricsPort: null,
      tls: null,
      trustedProxies: [],
      database: null,
      migrateDatabase: null,
      s3: null,
      dataDir: join(realpathSync('.'), 'data'),
      keysDir: join(realpathSync('.'), 'data.keys'),
      keyFile: join(realpathSync('.'), 'data.keys', 'root.key'),
    });
  });

  test('is frozen to the last leaf', () => {
    const config = accepted({ ...S3, TRUSTED_PROXY: '10.0.0.1' });
    for (const value of [config, config.s3, config.trustedProxies]) expect(Object.isFrozen(value)).toBe(true);
    expect(() => {
      (config as { host: string }).host = '0.0.0.0';
    }).toThrow(TypeError);
  });
});

test('a variable that is set to nothing is refused, once, and never taken for absent', () => {
  const empty = 'is set but empty: give it a value or leave it out';
  for (const name of names) expect(faultsOf({ [name]: '' })).toContain(`${name} ${empty}`);
  expect(faultsOf({ DATABASE_URL: '' })).toEqual([`DATABASE_URL ${empty}`]);
  expect(faultsOf({ DATABASE_URL_FILE: '' })).toEqual([`DATABASE_URL_FILE ${empty}`]);
  expect(faultsOf({ CHECKPOINT_DIR: '' })).toEqual([`CHECKPOINT_DIR ${empty}`]);
  expect(faultsOf({ ...S3, S3_ENDPOINT: '' })).toEqual([`S3_ENDPOINT ${empty}`]);
  expect(faultsOf({ ...S3, S3_BUCKET: '' })).toEqual([`S3_BUCKET ${empty}`]);
});

test('all faults come at once, each with its variable', () => {
  const faults = faultsOf({
    HOST: '0.0.0.0',
    PORT: '80a',
    LOG_LEVEL: 'loud',
    DATABASE_URL: 'postgresql://callvault:short@db.example.org/vault',
    S3_BUCKET: 'calls',
    TLS_CERT_FILE: join(folder, 'cert.pem'),
    KEYS_DIR: join(folder, 'data', 'keys'),
  });
  const named = new Set(faults.map((fault) => fault.split(' ')[0]));
  for (const name of [
    'HOST',
    'PORT',
    'LOG_LEVEL',
    'DATABASE_URL',
    'S3_REGION',
    'S3_ACCESS_KEY_ID',
    'TLS_KEY_FILE',
    'KEYS_DIR',
  ])
    expect(named).toContain(name);
  expect(faults.filter((fault) => fault.startsWith('DATABASE_URL'))).toHaveLength(2);
});

test('no fault quotes a secret', () => {
  const said = faultsOf({
    DATABASE_URL: 'postgresql://u:pass-canary-1@db/x#',
    MIGRATE_DATABASE_URL: 'postgresql://u:pass-canary-2@db/x?a=b',
    S3_SECRET_ACCESS_KEY: 'canary',
    S3_ACCESS_KEY_ID: 'canary with a space',
  }).join('\n');
  expect(said).not.toBe('');
  expect(said).not.toContain('canary');
});

describe('numbers and words', () => {
  test.each([
    '-1',
    '65536',
    '80.0',
    '8e3',
    '0x50',
    ' 80',
    '80 ',
    '٨٠',
    '08',
    'NaN',
    'Infinity',
    '99999999999999999999',
  ])('PORT=%s is refused', (PORT) => {
    expect(faultsOf({ PORT })).toEqual(['PORT must be a whole number from 0 to 65535']);
  });

  test.each(['0', '1', '65535'])('PORT=%s is taken', (PORT) => {
    expect(accepted({ PORT }).port).toBe(Number(PORT));
  });

  test.each([
    ['LOG_LEVEL', 'silent'],
    ['LOG_LEVEL', 'INFO'],
    ['INSTALLATION_NAME', 'Vault'],
    ['INSTALLATION_NAME', '-vault'],
    ['INSTALLATION_NAME', 'a'.repeat(64)],
    ['INSTALLATION_NAME', 'vault\n'],
    ['S3_FORCE_PATH_STYLE', 'yes'],
    ['SESSION_HOURS', '0'],
    ['HOST', 'exa mple'],
    ['DATA_DIR', 'a\0b'],
  ])('%s=%s is refused', (name, value) => {
    expect(faultsOf({ ...S3, [name]: value }).map((fault) => fault.split(' ')[0])).toEqual([name]);
  });

  test.each([
    ['S3_BUCKETS', 'S3_BUCKET'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['DATABSE_URL', 'DATABASE_URL'],
    ['DATABASE_URL_FILES', 'DATABASE_URL_FILE'],
    ['CALLVAULT_DATA_DIR', 'DATA_DIR'],
  ])('%s is recognised as a slip for %s', (written, meant) => {
    expect(faultsOf({ [written]: 'x' })).toEqual([expect.stringMatching(`^${written} .* write ${meant} if`)]);
  });

  test('variables of other programs are none of our business', () => {
    expect(
      faultsOf({
        PATH: '/bin',
        HOME: '/root',
        HOSTNAME: 'h',
        SSL_CERT_FILE: '/x',
        S3_PORT_9000_TCP: 'tcp://x',
        REPORT: '1',
      }),
    ).toEqual([]);
  });
});

test('where Node is told to believe any certificate, nothing starts', () => {
  expect(faultsOf({ ...S3, NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toEqual([
    expect.stringMatching(/^NODE_TLS_REJECT_UNAUTHORIZED is 0, .* NODE_EXTRA_CA_CERTS$/),
  ]);
  // Node itself heeds nothing but 0.
  for (const value of ['', '1', 'false'])
    expect(faultsOf({ ...S3, NODE_TLS_REJECT_UNAUTHORIZED: value })).toEqual([]);
});

describe('listening beyond this machine', () => {
  test.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    'vault.example.org',
    '127.1',
    'localhost.example.org',
    '2130706433',
  ])('HOST=%s needs TLS or a named proxy', (HOST) => {
    expect(faultsOf({ HOST })).toEqual([expect.stringMatching(/^HOST is .* plain text/)]);
    expect(faultsOf({ HOST, ...tls })).toEqual([]);
    expect(faultsOf({ HOST, TRUSTED_PROXY: '10.0.0.5, 10.1.0.0/24' })).toEqual([]);
  });

  test.each(['localhost', '127.0.0.1', '127.0.0.2', '::1'])('HOST=%s does not', (HOST) => {
    expect(faultsOf({ HOST })).toEqual([]);
  });

  test.each([
    'true',
    '*',
    '1',
    '0.0.0.0/0',
    '::/0',
    'proxy.internal',
    'loopback',
    '10.0.0.1,',
    '10.0.0.1;10.0.0.2',
  ])('TRUSTED_PROXY=%s is no list of addresses', (TRUSTED_PROXY) => {
    expect(faultsOf({ HOST: '0.0.0.0', TRUSTED_PROXY })).toContainEqual(
      expect.stringMatching(/^TRUSTED_PROXY /),
    );
  });

  test('metrics want a port of their own', () => {
    expect(faultsOf({ METRICS_PORT: '8080' })).toEqual([expect.stringMatching(/^METRICS_PORT is the same/)]);
    expect(faultsOf({ PORT: '0', METRICS_PORT: '0' })).toEqual([]);
  });
});

describe('TLS', () => {
  test('takes both files or none', () => {
    expect(faultsOf({ TLS_CERT_FILE: tls.TLS_CERT_FILE })).toEqual([
      expect.stringMatching(/^TLS_KEY_FILE is missing/),
    ]);
    expect(faultsOf({ TLS_KEY_FILE: tls.TLS_KEY_FILE })).toEqual([
      expect.stringMatching(/^TLS_CERT_FILE is missing/),
    ]);
    expect(accepted(tls).tls).toEqual({ certFile: tls.TLS_CERT_FILE, keyFile: tls.TLS_KEY_FILE });
  });

  test('a pair that cannot be read is what is wrong, and not that there is none', () => {
    const none = { TLS_CERT_FILE: join(folder, 'none.pem'), TLS_KEY_FILE: join(folder, 'none.key') };
    for (const HOST of ['::', '0.0.0.0'])
      expect(faultsOf({ HOST, ...none }).map((fault) => fault.split(' ')[0])).toEqual([
        'TLS_CERT_FILE',
        'TLS_KEY_FILE',
      ]);
    expect(faultsOf({ HOST: '::', ...tls, TLS_CERT_FILE: 'a\0b' })).toEqual([
      'TLS_CERT_FILE must be a path without control characters',
    ]);
  });

  test('half a pair does not let it listen beyond this machine', () => {
    const named = faultsOf({ HOST: '0.0.0.0', TLS_CERT_FILE: tls.TLS_CERT_FILE }).map(
      (fault) => fault.split(' ')[0],
    );
    expect(named).toEqual(['TLS_KEY_FILE', 'HOST']);
  });

  test('wants files that can be read, belong together and are certificate and key', () => {
    expect(faultsOf({ ...tls, TLS_CERT_FILE: join(folder, 'none.pem') })).toEqual([
      expect.stringMatching(/^TLS_CERT_FILE names a file that cannot be read \(ENOENT\)/),
    ]);
    expect(faultsOf({ TLS_CERT_FILE: tls.TLS_KEY_FILE, TLS_KEY_FILE: tls.TLS_KEY_FILE })).toHaveLength(1);
    const { keyFile: other } = makeCertificate(folder, 'other');
    expect(faultsOf({ ...tls, TLS_KEY_FILE: other })).toEqual([
      expect.stringMatching(/^TLS_CERT_FILE and TLS_KEY_FILE/),
    ]);
  });

  test('wants the key closed to other users', () => {
    chmodSync(tls.TLS_KEY_FILE, 0o644);
    expect(faultsOf(tls)).toEqual([expect.stringMatching(/^TLS_KEY_FILE names a file that every user/)]);
    chmodSync(tls.TLS_KEY_FILE, 0o660);
    expect(faultsOf(tls)).toEqual([expect.stringMatching(/^TLS_KEY_FILE .*chmod g-w/)]);
    chmodSync(tls.TLS_KEY_FILE, 0o640);
    expect(faultsOf(tls)).toEqual([]);
    chmodSync(tls.TLS_KEY_FILE, 0o600);
    expect(faultsOf(tls)).toEqual([]);
  });
});

describe('keys and data stay apart', () => {
  const setting = (KEYS_DIR: string, DATA_DIR = join(folder, 'data')) => faultsOf({ DATA_DIR, KEYS_DIR });

  test('the keys are not in the data folder, by any spelling', () => {
    mkdirSync(join(folder, 'data', 'inner'), { recursive: true });
    symlinkSync(join(folder, 'data', 'inner'), join(folder, 'link-in'));
    symlinkSync(join(folder, 'data', 'not-yet'), join(folder, 'dangling'));
    symlinkSync('dangling', join(folder, 'chain'));
    for (const path of [
      'data',
      'data/keys',
      'data/./keys',
      'other/../data/keys',
      'link-in',
      'link-in/keys',
      'dangling',
      'chain/k',
    ])
      expect(setting(join(folder, path)), path).toEqual([
        expect.stringMatching(/^KEYS_DIR lies inside DATA_DIR/),
      ]);
  });

  test('the data folder is not in that of the keys', () => {
    expect(setting(folder)).toEqual([expect.stringMatching(/^DATA_DIR lies inside KEYS_DIR/)]);
    symlinkSync(folder, join(folder, 'up'));
    expect(setting(join(folder, 'up'))).toEqual([expect.stringMatching(/^DATA_DIR lies inside KEYS_DIR/)]);
    symlinkSync(join(folder, 'safe', 'data'), join(folder, 'data-link'));
    expect(setting(join(folder, 'safe'), join(folder, 'data-link'))).toEqual([
      expect.stringMatching(/^DATA_DIR lies inside KEYS_DIR/),
    ]);
  });

  test('the root key is not in the data folder either', () => {
    expect(faultsOf({ KEY_FILE: join(folder, 'data', 'root.key') })).toEqual([
      expect.stringMatching(/^KEY_FILE lies inside DATA_DIR/),
    ]);
    expect(accepted({ KEY_FILE: join(folder, 'mounted.key') }).keyFile).toBe(join(folder, 'mounted.key'));
  });

  test('a loop of links is a fault, not a hang', () => {
    symlinkSync(join(folder, 'loop-b'), join(folder, 'loop-a'));
    symlinkSync(join(folder, 'loop-a'), join(folder, 'loop-b'));
    expect(setting(join(folder, 'loop-a'))).toEqual([expect.stringMatching(/^KEYS_DIR .*ELOOP/)]);
  });

  test('neighbours with like names are apart', () => {
    for (const path of ['data.keys', 'data-keys', 'dat', 'keys/data', '..data'])
      expect(setting(join(folder, path)), path).toEqual([]);
  });
});
