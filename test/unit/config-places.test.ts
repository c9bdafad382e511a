import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatNoteKey, keyTypes, noteKey } from '../../src/core/audit/note.ts';
import { FAR, readsSettings, S3, SECRET } from '../support/settings.ts';

/** Where database, objects, checkpoints and witnesses are. */
const { accepted, faultsOf, folder, tls } = readsSettings();

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
