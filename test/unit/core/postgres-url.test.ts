import { describe, expect, test } from 'vitest';
import { parsePostgresUrl } from '../../../src/core/postgres-url.ts';

const faultsOf = (text: string): string => parsePostgresUrl(text).faults.join('; ');

describe('what is read', () => {
  test('every part, decoded once', () => {
    const { url, faults } = parsePostgresUrl(
      'postgresql://c%40ll:p%3A%2F%3F%25w@db.example.org:6432/v%20ault?sslmode=verify-full&sslrootcert=/etc/ca.pem',
    );
    expect(faults).toEqual([]);
    expect(url).toEqual({
      host: 'db.example.org',
      port: 6432,
      user: 'c@ll',
      password: 'p:/?%w',
      database: 'v ault',
      tls: { rootCertificateFile: '/etc/ca.pem', certificateFile: null, keyFile: null },
    });
  });

  test.each([
    ['postgres://u:p@localhost/db', 'localhost'],
    ['postgresql://u:p@LOCALHOST/db', 'LOCALHOST'],
    ['postgresql://u:p@127.0.0.1/db', '127.0.0.1'],
    ['postgresql://u:p@127.200.3.4/db?sslmode=disable', '127.200.3.4'],
    ['postgresql://u:p@[::1]:5433/db', '::1'],
    ['postgresql://u:p@[::ffff:127.0.0.1]/db', '::ffff:7f00:1'],
    ['postgresql://u@/db?host=/var/run/postgresql', '/var/run/postgresql'],
    ['postgresql://u:p@/db?host=%2Ftmp%2Fx', '/tmp/x'],
    ['postgresql://u@%2Fvar%2Frun%2Fpostgresql/db', '/var/run/postgresql'],
  ])('%s stays on this machine and needs no TLS', (text, host) => {
    const { url, faults } = parsePostgresUrl(text);
    expect(faults).toEqual([]);
    expect(url).toMatchObject({ host, tls: null });
  });

  test('the port is 5432 unless it is given', () => {
    expect(parsePostgresUrl('postgresql://u:p@localhost/db').url?.port).toBe(5432);
    expect(parsePostgresUrl('postgresql://u:p@localhost:1/db').url?.port).toBe(1);
  });
});

describe('ASVS 12.3 plain text towards another machine', () => {
  test.each([
    'postgresql://u:p@db.example.org/db',
    'postgresql://u:p@10.0.0.1/db?sslmode=disable',
    'postgresql://u:p@db/db?sslmode=prefer',
    'postgresql://u:p@db/db?sslmode=allow',
    'postgresql://u:p@db/db?sslmode=require',
    'postgresql://u:p@db/db?sslmode=verify-ca',
    'postgresql://u:p@db/db?sslmode=no-verify',
    'postgresql://u:p@db/db?sslmode=VERIFY-FULL',
    'postgresql://u:p@db/db?sslmode=',
    'postgresql://u:p@0.0.0.0/db',
    'postgresql://u:p@[::]/db',
    'postgresql://u:p@[::ffff:10.0.0.1]/db',
    'postgresql://u:p@127.1/db',
    'postgresql://u:p@0177.0.0.1/db',
    'postgresql://u:p@2130706433/db',
    'postgresql://u:p@0x7f000001/db',
    'postgresql://u:p@localhost.example.org/db',
    'postgresql://u:p@127.0.0.1.nip.io/db',
    'postgresql://localhost:p@evil.example/db',
    'postgresql://u:p@/db?host=db.example.org',
    'postgresql://u:p@localhost@evil.example/db',
  ])('%s is refused', (text) => {
    expect(faultsOf(text)).toMatch(/another machine/);
  });

  test('a URL that is also plain text is read all the same, so that other faults are found too', () => {
    expect(parsePostgresUrl('postgresql://u:short@db/x').url?.password).toBe('short');
  });
});

describe('what could be read in two ways', () => {
  test.each([
    ['postgresql://u:p@localhost,db.example/x', /several hosts/],
    ['postgresql://u:p@localhost:5432,db.example:5432/x', /not a URL/],
    ['postgresql://u:p@/x?host=localhost,db.example', /several hosts/],
    ['postgresql://u:p@/x?host=/tmp,db.example', /several hosts/],
    ['postgresql://u:p@localhost/x?host=db.example', /twice/],
    ['postgresql://u:p@localhost/x?sslmode=verify-full&sslmode=disable', /sslmode twice/],
    ['postgresql://u:p@localhost/x?sslmode=disable&%73slmode=verify-full', /sslmode twice/],
    ['postgresql://u:p@localhost/x?hostaddr=10.0.0.1', /not known/],
    ['postgresql://u:p@localhost/x?ssl=true', /not known/],
    ['postgresql://u:p@localhost/x?schema=public', /not known/],
    ['postgresql://u:p@localhost/x?SSLMODE=disable', /not known/],
    ['postgresql://u:p@localhost/x?options=-csearch_path%3Devil', /not known/],
    ['postgresql://u:p@localhost/x#?sslmode=disable', /#/],
    ['postgresql://u:p@local\thost/x', /control character/],
    ['postgresql://u:p@localhost\\@evil/x', /backslash/],
    ['postgresql://u:p@loc%00alhost/x', /control character/],
    ['postgresql://u:p@%6cocalhost,x/x', /several hosts/],
    ['postgresql://u:p%zz@localhost/x', /hexadecimal/],
    ['postgresql://u:p@/x?host=/tmp/../etc', /\.\./],
    ['postgresql://u:p@/x?host=relative/folder', /neither a name/],
    ['postgresql://u:p@localhost/x?sslmode=require', /in between/],
    ['postgresql://u:p@localhost/x?sslrootcert=/ca.pem', /certificates/],
  ])('%s is refused', (text, reason) => {
    expect(faultsOf(text)).toMatch(reason);
  });
});

describe('what is incomplete', () => {
  test.each([
    ['', /does not begin/],
    ['http://u:p@localhost/x', /does not begin/],
    ['POSTGRESQL://u:p@localhost/x', /does not begin/],
    ['host=localhost user=u', /space/],
    ['postgresql://', /not a URL|no host/],
    ['postgresql:///x', /no host/],
    ['postgresql://u:p@/x', /no host/],
    ['postgresql://localhost/x', /no user/],
    ['postgresql://:p@localhost/x', /no user/],
    ['postgresql://u:p@localhost', /one database/],
    ['postgresql://u:p@localhost/', /one database/],
    ['postgresql://u:p@localhost/a/b', /one database/],
    ['postgresql://u:p@localhost:0/x', /port 0/],
    ['postgresql://u:p@localhost:65536/x', /not a URL/],
  ])('%s is refused', (text, reason) => {
    expect(faultsOf(text)).toMatch(reason);
  });
});

test('no fault quotes the password', () => {
  for (const text of [
    'postgresql://u:s3cr3t-value@db/x',
    'postgresql://u:s3cr3t-value@db',
    'postgresql://u:s3cr3t-value%zz@localhost/x',
    'postgresql://u:s3cr3t-value@a,b/x',
    'postgresql://u:s3cr3t-value@localhost:99999/x',
    'postgresql://u@localhost/x?password=s3cr3t-value',
  ])
    expect(faultsOf(text)).not.toContain('s3cr3t');
});
