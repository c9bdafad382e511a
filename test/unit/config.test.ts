import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Config, type RawEnvironment, readConfig, readEnvironment } from '../../src/config.ts';
import { names, rules } from '../../src/config-schema.ts';
import { formatNoteKey, keyTypes, noteKey } from '../../src/core/audit/note.ts';
import { isAppError } from '../../src/core/errors.ts';
import { makeCertificate } from '../support/certificates.ts';

let folder: string;
let tls: { TLS_CERT_FILE: string; TLS_KEY_FILE: string };

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'config-')));
  const { certFile, keyFile } = makeCertificate(folder, 'vault');
  tls = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
});
afterAll(() => rmSync(folder, { recursive: true }));

const SECRET = '9f2c41d07be35a68b1';
const FAR = `postgresql://callvault:${SECRET}@db.example.org/vault?sslmode=verify-full`;
const S3 = {
  S3_ENDPOINT: 'https://objects.example.org',
  S3_BUCKET: 'calls',
  S3_ACCESS_KEY_ID: 'AKIA123',
  S3_SECRET_ACCESS_KEY: SECRET,
};

/** Every fault of a configuration as `VARIABLE fault`; empty when it is accepted. */
const faultsOf = (env: RawEnvironment): readonly string[] => {
  try {
    readConfig({ DATA_DIR: join(folder, 'data'), ...env });
    return [];
  } catch (error) {
    if (!isAppError(error, 'config_invalid')) throw error;
    return (error.extras.faults ?? []).map(({ where, fault }) => `${where} ${fault}`);
  }
};

const accepted = (env: RawEnvironment): Config => readConfig({ DATA_DIR: join(folder, 'data'), ...env });

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

  test('counts for variables that are set to nothing', () => {
    expect(readConfig({ PORT: '', DATABASE_URL: '', S3_BUCKET: '', TLS_CERT_FILE: '' })).toEqual(
      readConfig({}),
    );
  });

  test('is frozen to the last leaf', () => {
    const config = accepted({ ...S3, TRUSTED_PROXY: '10.0.0.1' });
    for (const value of [config, config.s3, config.trustedProxies]) expect(Object.isFrozen(value)).toBe(true);
    expect(() => {
      (config as { host: string }).host = '0.0.0.0';
    }).toThrow(TypeError);
  });
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

describe('checkpoints', () => {
  test('lie in no folder that is named, and are locked for five years', () => {
    expect(accepted({})).toMatchObject({ checkpointDir: null, checkpointLockDays: 1827 });
    expect(accepted({ ...S3, S3_REGION: 'x', S3_CHECKPOINT_LOCK_DAYS: '3653' }).checkpointLockDays).toBe(
      3653,
    );
  });

  test('have a folder of their own, which is not that of the data or the keys', () => {
    expect(accepted({ CHECKPOINT_DIR: join(folder, 'elsewhere') }).checkpointDir).toBe(
      join(folder, 'elsewhere'),
    );
    expect(accepted({ CHECKPOINT_DIR: join(folder, 'data', 'own') }).checkpointDir).toBe(
      join(folder, 'data', 'own'),
    );
    for (const CHECKPOINT_DIR of ['data', 'data/.', 'data.keys', 'data.keys/keyring', 'other/../data'])
      expect(faultsOf({ CHECKPOINT_DIR: join(folder, CHECKPOINT_DIR) }), CHECKPOINT_DIR).toEqual([
        expect.stringMatching(/^CHECKPOINT_DIR is the folder of/),
      ]);
  });

  test.each(['0', '-1', '36501', '1.5', 'a year'])('S3_CHECKPOINT_LOCK_DAYS=%s is refused', (days) => {
    expect(faultsOf({ ...S3, S3_REGION: 'x', S3_CHECKPOINT_LOCK_DAYS: days })).toEqual([
      'S3_CHECKPOINT_LOCK_DAYS must be a whole number from 1 to 36500',
    ]);
  });

  test('a lock without a bucket is a fault: it would lock nothing', () => {
    expect(faultsOf({ S3_CHECKPOINT_LOCK_DAYS: '3653' })).toContainEqual(
      expect.stringMatching(/^S3_BUCKET is missing/),
    );
  });
});

describe('witnesses', () => {
  const raw = Buffer.alloc(32, 7);
  const keyOf = (name: string, type: (typeof keyTypes)[keyof typeof keyTypes] = keyTypes.cosignature) =>
    formatNoteKey(noteKey(name, type, raw));
  const [one, two] = [keyOf('witness.example/w1'), keyOf('witness.example/w2')];

  test('none, one, several: key and address', () => {
    expect(accepted({}).witnesses).toEqual([]);
    expect(
      accepted({ WITNESSES: `${one} https://a.example/w/, ${two}  http://127.0.0.1:8181` }).witnesses,
    ).toEqual([
      { key: one, url: 'https://a.example/w' },
      { key: two, url: 'http://127.0.0.1:8181' },
    ]);
  });

  test.each([
    ['no address', one],
    ['no key', 'https://a.example'],
    ['a damaged key', `${one.slice(0, -2)}A= https://a.example`],
    ['the key of a log', `${keyOf('a', keyTypes.ed25519)} https://a.example`],
    ['three words', `${one} https://a.example more`],
    ['an empty one', `${one} https://a.example,`],
    ['another machine in plain text', `${one} http://a.example`],
    ['a password', `${one} https://u:pass-canary@a.example`],
    ['a query', `${one} https://a.example/?x`],
    ['another scheme', `${one} ftp://a.example`],
    ['the same twice', `${one} https://a.example, ${one} https://b.example`],
  ])('%s is refused', (_what, WITNESSES) => {
    const faults = faultsOf({ WITNESSES });
    expect(faults).toEqual([expect.stringMatching(/^WITNESSES /)]);
    expect(faults[0]).not.toContain('canary');
  });
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

describe('PostgreSQL', () => {
  test('verified TLS beyond this machine becomes settings that verify', () => {
    const ca = tls.TLS_CERT_FILE;
    expect(accepted({ DATABASE_URL: `${FAR}&sslrootcert=${ca}` }).database).toEqual({
      host: 'db.example.org',
      port: 5432,
      user: 'callvault',
      password: SECRET,
      database: 'vault',
      ssl: { rejectUnauthorized: true, host: 'db.example.org', ca: readFileSync(ca, 'utf8') },
    });
  });

  test('on this machine there is no TLS to verify', () => {
    expect(
      accepted({ DATABASE_URL: `postgresql://c:${SECRET}@localhost/vault` }).database,
    ).not.toHaveProperty('ssl');
  });

  test.each([
    ['', /is missing/],
    ['postgres', /shorter/],
    ['postgrespostgres', /well-known/],
    ['changemechangeme', /well-known/],
  ])('password "%s" is refused', (password, reason) => {
    const auth = password === '' ? 'c' : `c:${password}`;
    expect(faultsOf({ DATABASE_URL: `postgresql://${auth}@localhost/vault` })).toEqual([
      expect.stringMatching(reason),
    ]);
  });

  test('a Unix socket or a client certificate can do without one', () => {
    expect(faultsOf({ DATABASE_URL: 'postgresql://c@/vault?host=/run/postgresql' })).toEqual([]);
    const { TLS_CERT_FILE: cert, TLS_KEY_FILE: key } = tls;
    const url = `postgresql://c@db.example.org/vault?sslmode=verify-full&sslcert=${cert}`;
    expect(faultsOf({ DATABASE_URL: `${url}&sslkey=${key}` })).toEqual([]);
    expect(faultsOf({ DATABASE_URL: url })).toEqual([
      expect.stringMatching(/only one of sslcert and sslkey/),
    ]);
  });

  test('a certificate that cannot be read is a fault', () => {
    expect(faultsOf({ DATABASE_URL: `${FAR}&sslrootcert=/none/ca.pem` })).toEqual([
      expect.stringMatching(/^DATABASE_URL names a file that cannot be read/),
    ]);
  });

  test('the migrating role is another one, on the same database, and not alone', () => {
    const owner = FAR.replace('callvault:', 'owner:');
    expect(faultsOf({ DATABASE_URL: FAR, MIGRATE_DATABASE_URL: owner })).toEqual([]);
    expect(faultsOf({ DATABASE_URL: FAR, MIGRATE_DATABASE_URL: FAR })).toEqual([
      expect.stringMatching(/names the role of/),
    ]);
    expect(
      faultsOf({ DATABASE_URL: FAR, MIGRATE_DATABASE_URL: owner.replace('/vault?', '/other?') }),
    ).toEqual([expect.stringMatching(/another database/)]);
    expect(faultsOf({ MIGRATE_DATABASE_URL: owner })).toEqual([
      expect.stringMatching(/without DATABASE_URL/),
    ]);
  });
});

describe('upkeep of the access log', () => {
  test('who removes old bodies of the log is neither who writes it nor who migrates, on the same database', () => {
    const owner = FAR.replace('callvault:', 'owner:');
    const pruner = FAR.replace('callvault:', 'pruner:');
    const both = { DATABASE_URL: FAR, MIGRATE_DATABASE_URL: owner };
    expect(faultsOf({ ...both, RETENTION_DATABASE_URL: pruner })).toEqual([]);
    for (const url of [FAR, owner])
      expect(faultsOf({ ...both, RETENTION_DATABASE_URL: url })).toEqual([
        expect.stringMatching(/^RETENTION_DATABASE_URL names the role of .* must be another/),
      ]);
    for (const env of [
      { ...both, RETENTION_DATABASE_URL: pruner.replace('/vault?', '/other?') },
      { RETENTION_DATABASE_URL: pruner },
    ])
      expect(faultsOf(env)).toEqual([
        expect.stringMatching(/^RETENTION_DATABASE_URL names another database/),
      ]);
  });

  test('bodies of the log are kept five years or longer; the hour of the night is one of the day', () => {
    expect(accepted({})).toMatchObject({ auditRetentionYears: 5, verifyAtHour: 3, retentionDatabase: null });
    expect(accepted({ AUDIT_RETENTION_YEARS: '10', VERIFY_AT_HOUR: '0' })).toMatchObject({
      auditRetentionYears: 10,
      verifyAtHour: 0,
    });
    for (const AUDIT_RETENTION_YEARS of ['4', '0', '-5', '5.5', '101', 'five'])
      expect(faultsOf({ AUDIT_RETENTION_YEARS })).toEqual([expect.stringMatching(/from 5 to 100/)]);
    for (const VERIFY_AT_HOUR of ['24', '-1', '3:00'])
      expect(faultsOf({ VERIFY_AT_HOUR })).toEqual([expect.stringMatching(/from 0 to 23/)]);
  });
});

describe('S3', () => {
  test('a whole set is taken', () => {
    expect(accepted(S3).s3).toEqual({
      endpoint: 'https://objects.example.org',
      region: 'us-east-1',
      bucket: 'calls',
      accessKeyId: 'AKIA123',
      secretAccessKey: SECRET,
      forcePathStyle: true,
    });
    const { S3_ENDPOINT: _, ...amazon } = S3;
    expect(accepted({ ...amazon, S3_REGION: 'eu-north-1' }).s3).toMatchObject({
      endpoint: null,
      forcePathStyle: false,
    });
  });

  test.each(Object.keys(S3).filter((name) => name !== 'S3_ENDPOINT'))(
    'without %s it is half a set',
    (missing) => {
      expect(faultsOf({ ...S3, [missing]: undefined })).toEqual([
        expect.stringMatching(`^${missing} is missing`),
      ]);
    },
  );

  test.each(['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_FORCE_PATH_STYLE'])(
    '%s alone is half a set',
    (name) => {
      const value =
        name === 'S3_ENDPOINT' ? S3.S3_ENDPOINT : name === 'S3_FORCE_PATH_STYLE' ? 'false' : 'eu-north-1';
      expect(faultsOf({ [name]: value })).toContainEqual(
        expect.stringMatching(/^S3_SECRET_ACCESS_KEY is missing/),
      );
    },
  );

  test.each(['http://127.0.0.1:7480', 'http://localhost:9000', 'http://[::1]:9000/', 'https://10.0.0.1'])(
    'endpoint %s is taken',
    (S3_ENDPOINT) => {
      expect(faultsOf({ ...S3, S3_ENDPOINT })).toEqual([]);
    },
  );

  test.each([
    ['http://objects.example.org', /plain text/],
    ['http://10.0.0.1:9000', /plain text/],
    ['http://0.0.0.0:9000', /plain text/],
    ['http://localhost.example.org', /plain text/],
    ['http://127.0.0.1.nip.io', /plain text/],
    ['http://[::ffff:10.0.0.1]', /plain text/],
    ['HTTP://objects.example.org', /plain text/],
    ['http:objects.example.org', /plain text/],
    ['http://127.0.0.1@evil.example', /user name/],
    ['https://u:p@objects.example.org', /user name/],
    ['https://objects.example.org/bucket', /path/],
    ['https://objects.example.org?x', /path/],
    ['ftp://objects.example.org', /neither/],
    ['s3://bucket', /neither/],
    ['objects.example.org', /not a URL/],
    ['http:\\\\127.0.0.1', /not a URL/],
    [' https://objects.example.org', /not a URL/],
  ])('ASVS 12.3 endpoint %s is refused', (S3_ENDPOINT, reason) => {
    expect(faultsOf({ ...S3, S3_ENDPOINT })).toEqual([expect.stringMatching(reason)]);
  });

  test.each(['minioadmin', 'minioadminminioadmin', 'short', 'aaaaaaaaaaaaaaaaaaaa'])(
    'secret "%s" is weak',
    (S3_SECRET_ACCESS_KEY) => {
      expect(faultsOf({ ...S3, S3_SECRET_ACCESS_KEY })).toEqual([
        expect.stringMatching(/^S3_SECRET_ACCESS_KEY is /),
      ]);
    },
  );
});

describe('secrets from files', () => {
  test('a file is read, without its last line end', () => {
    const file = join(folder, 'url');
    writeFileSync(file, `${FAR}\n`);
    expect(accepted({ DATABASE_URL_FILE: file }).database?.password).toBe(SECRET);
  });

  test('both at once, a missing file, an empty one, and one with two lines are faults', () => {
    const file = join(folder, 'secret');
    writeFileSync(file, 'one\ntwo');
    expect(faultsOf({ ...S3, S3_SECRET_ACCESS_KEY_FILE: file })[0]).toMatch(/both set/);
    const { S3_SECRET_ACCESS_KEY: _, ...rest } = S3;
    expect(faultsOf({ ...rest, S3_SECRET_ACCESS_KEY_FILE: file })).toEqual([
      'S3_SECRET_ACCESS_KEY must be printable ASCII',
    ]);
    writeFileSync(file, '');
    expect(faultsOf({ ...rest, S3_SECRET_ACCESS_KEY_FILE: file })).toEqual([
      'S3_SECRET_ACCESS_KEY must be printable ASCII',
    ]);
    expect(faultsOf({ ...rest, S3_SECRET_ACCESS_KEY_FILE: '/none' })).toEqual([
      expect.stringMatching(/^S3_SECRET_ACCESS_KEY_FILE names a file that cannot be read/),
    ]);
  });
});

describe('.env', () => {
  test('is read from a folder, and the environment wins over it', () => {
    writeFileSync(
      join(folder, '.env'),
      'PORT=9001\nHOST=from-the-file\nINSTALLATION_NAME="vault.example.org" # name\n',
    );
    vi.stubEnv('HOST', '127.0.0.2');
    const env = readEnvironment(folder);
    vi.unstubAllEnvs();
    expect([env.PORT, env.INSTALLATION_NAME]).toEqual(['9001', 'vault.example.org']);
    expect(env.HOST).toBe('127.0.0.2');
    expect(process.env.INSTALLATION_NAME).toBeUndefined();
    expect(readEnvironment(join(folder, 'nowhere')).PORT).toBeUndefined();
  });

  test('what is no setting is named by its line, and never repeated', () => {
    const env = join(folder, '.env');
    writeFileSync(env, '# ours\n\nPORT=9001\nexport HOST=127.0.0.1\ncorrect-horse-battery\n');
    expect(() => readEnvironment(folder)).toThrow(/\.env has no setting \(NAME=value\) in line 5/);
    expect(() => readEnvironment(folder)).not.toThrow(/horse/);
  });

  /** Every fault that `.env` with this in it leads to. */
  const saidOf = (text: string): readonly string[] => {
    writeFileSync(join(folder, '.env'), text, { mode: 0o600 });
    try {
      return faultsOf(readEnvironment(folder));
    } catch (error) {
      if (!isAppError(error, 'config_invalid')) throw error;
      return (error.extras.faults ?? []).map(({ where, fault }) => `${where} ${fault}`);
    }
  };

  test('holds nothing that nobody reads, for what was meant by it would not be in force', () => {
    const nothing = 'in .env is nothing that Callvault reads from there: ';
    const out = 'take it out, or put it into the environment of the program that it is for';
    expect(saidOf('PROT=9001\nFOO_BAR=1\nexport NODE_EXTRA_CA_CERTS=/x\nport=1\n')).toEqual([
      `FOO_BAR ${nothing}${out}`,
      `NODE_EXTRA_CA_CERTS ${nothing}${out}`,
      `PROT ${nothing}write PORT if that is what is meant, or ${out}`,
      `.env has a name in line 4 that is nothing that Callvault reads from there: ${out}`,
    ]);
    expect(saidOf('S3_BUCKETS=x\n')).toEqual([expect.stringMatching(/^S3_BUCKETS .* write S3_BUCKET if/)]);
    expect(
      saidOf('COMPOSE_PROJECT_NAME=x\nCALLVAULT_TOKEN=y\nKEY_FILE=/x\nS3_ACCESS_KEY_ID_FILE=\n'),
    ).toEqual([]);
  });

  test('a secret that lost its name is not taken for one', () => {
    const said = saidOf('correctHorseBatteryStaple==\nA="1\n2"\n').join();
    expect(said).toMatch(/nothing that Callvault reads/);
    expect(said).not.toMatch(/Horse/);
  });

  test('its faults come with those of the values', () => {
    expect(saidOf('FOO_BAR=1\nPORT=eighty\nno setting\n')).toEqual([
      expect.stringMatching(/^\.env has no setting .* line 3/),
      expect.stringMatching(/^FOO_BAR in \.env/),
      expect.stringMatching(/^PORT must be/),
    ]);
  });

  test('with a secret in it, it must be closed to other users', () => {
    const env = join(folder, '.env');
    writeFileSync(env, 'S3_SECRET_ACCESS_KEY=9f86d081884c7d659a2feaa0c55ad015\n', { mode: 0o600 });
    for (const mode of [0o644, 0o640, 0o604]) {
      chmodSync(env, mode);
      expect(() => readEnvironment(folder)).toThrow(/\.env holds S3_SECRET_ACCESS_KEY.*chmod 600/);
      expect(() => readEnvironment(folder)).not.toThrow(/9f86d0/);
    }
    chmodSync(env, 0o600);
    expect(readEnvironment(folder).S3_SECRET_ACCESS_KEY).toMatch(/^9f86/);
    writeFileSync(env, 'PORT=9001\n');
    chmodSync(env, 0o644);
    expect(readEnvironment(folder).PORT).toBe('9001');
  });
});

describe('.env.example', () => {
  const example = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8');
  const written = [...example.matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
    ([, name, value]) => [name, value] as const,
  );

  test('the example documents every variable once and no other', () => {
    expect(written.map(([name]) => name).sort()).toEqual([...names].sort());
  });

  test('the example shows defaults as they are', () => {
    for (const [name, value] of written) {
      const rule = rules[name as keyof typeof rules];
      if (rule.default !== undefined) expect(`${name}=${value}`).toBe(`${name}=${rule.default}`);
    }
  });

  test('the example says which secrets can come from a file', () => {
    const marked = [...example.matchAll(/\(or _FILE\)\n#([A-Z0-9_]+)=/g)].map(([, name]) => name);
    expect(marked.sort()).toEqual(names.filter((name) => rules[name].secret).sort());
  });

  test('the example as it is changes nothing', () => {
    expect(readConfig(parseEnv(example))).toEqual(readConfig({}));
  });
});
