import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { type Compose, faultsOf, resolveCompose } from '../support/compose.ts';

/** What deploy/prepare.sh makes for the services of docker-compose.yml: certificates that verify, passwords that reach one. */
const ROOT = join(import.meta.dirname, '../..');
let compose: Compose;
let folder: string;

beforeAll(() => {
  compose = resolveCompose();
  folder = compose.folder;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const preparedOf = (name: string): string => compose.preparedOf(name);
const environmentOf = (name: string): Record<string, string> => compose.environmentOf(name);

describe('what is prepared', () => {
  const everything = (name: string): string =>
    readdirSync(preparedOf(name))
      .map((file) => readFileSync(join(preparedOf(name), file), 'latin1'))
      .join('\n');

  test('reaches the service it is for and no other', () => {
    const owner = readFileSync(join(preparedOf('database'), 'owner.password'), 'utf8');
    expect(everything('migrate')).toContain(owner);
    for (const name of ['vault', 'objects']) expect(everything(name)).not.toContain(owner);
    const { password } = readConfig(environmentOf('vault')).database as { password: string };
    for (const name of ['database', 'objects']) expect(everything(name)).not.toContain(password);
    for (const name of ['database', 'objects', 'vault'])
      expect(readdirSync(preparedOf(name)).filter((file) => file.endsWith('.key'))).toEqual([`${name}.key`]);
    const everywhere = ['database', 'objects', 'migrate', 'vault'].map(preparedOf);
    expect(new Set(everywhere).size).toBe(4);
    expect(everywhere.flatMap((one) => readdirSync(one))).not.toContain('ca.key');
  });

  test('belongs to the user that its service runs as, and to nobody else', () => {
    const image = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
    const ours = Number(/--uid (\d+)/.exec(image)?.[1]);
    const users = { database: 999, objects: 1000, migrate: ours, vault: ours };
    const self = process.getuid?.() as number;
    for (const [name, user] of Object.entries(users))
      for (const file of ['.', ...readdirSync(preparedOf(name))]) {
        const { mode, uid } = statSync(join(preparedOf(name), file));
        expect([`${name}/${file}`, mode & 0o077, uid]).toEqual([
          `${name}/${file}`,
          0,
          self === 0 ? user : self,
        ]);
      }
  });

  test('fits the object store: the vault’s key is the one it knows', () => {
    const { identities } = JSON.parse(readFileSync(join(preparedOf('objects'), 'objects.json'), 'utf8')) as {
      identities: { credentials: { accessKey: string; secretKey: string }[] }[];
    };
    const { s3 } = readConfig(environmentOf('vault'));
    expect(identities).toHaveLength(1);
    expect(identities[0]?.credentials).toEqual([
      { accessKey: s3?.accessKeyId, secretKey: s3?.secretAccessKey },
    ]);
  });

  /** What a client that verifies says to a server with these files: null, or its error. */
  const greet = async (server: string, name: string): Promise<string | null> => {
    const [key, cert] = ['key', 'crt'].map((end) => readFileSync(join(folder, server, `${server}.${end}`)));
    const ca = readFileSync(join(folder, 'vault/ca.crt'));
    const listener = createServer({ key, cert }, (socket) => socket.end());
    listener.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const { port } = listener.address() as AddressInfo;
    const said = await new Promise<string | null>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, servername: name, ca });
      socket.once('secureConnect', () => {
        resolve(null);
        socket.destroy();
      });
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    await new Promise((resolve) => listener.close(resolve));
    return said;
  };

  test.each(['database', 'objects', 'vault'])(
    'proves that %s is who it says, and nobody else',
    async (name) => {
      expect(await greet(name, name)).toBeNull();
      expect(await greet(name, name === 'vault' ? 'database' : 'vault')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    },
  );
});

describe('preparing again', () => {
  const digests = () =>
    Object.fromEntries(
      ['database', 'objects', 'migrate', 'vault'].flatMap((place) =>
        readdirSync(join(folder, place)).map((file) => [
          `${place}/${file}`,
          createHash('sha256')
            .update(readFileSync(join(folder, place, file)))
            .digest('hex'),
        ]),
      ),
    );
  const changed = (before: Record<string, string>): readonly string[] =>
    Object.entries(digests())
      .flatMap(([name, digest]) => (before[name] === digest ? [] : [name]))
      .sort();

  const CERTIFICATES = [
    'database/database.crt',
    'database/database.key',
    'migrate/ca.crt',
    'objects/objects.crt',
    'objects/objects.key',
    'vault/ca.crt',
    'vault/vault.crt',
    'vault/vault.key',
  ];

  test('changes nothing', () => {
    const before = digests();
    compose.prepare();
    expect(changed(before)).toEqual([]);
  });

  test('renews certificates that end within a month, and keeps every password', () => {
    const before = digests();
    const path = join(folder, 'objects/objects.crt');
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-key',
        join(folder, 'objects/objects.key'),
        '-days',
        '29',
        '-subj',
        '/CN=objects',
        '-out',
        path,
      ],
      { stdio: 'pipe' },
    );
    compose.prepare();
    expect(changed(before)).toEqual(CERTIFICATES);
    const { validToDate } = new X509Certificate(readFileSync(path));
    expect(validToDate.getTime() - Date.now()).toBeGreaterThan(800 * 86_400_000);
    expect(faultsOf(environmentOf('vault'))).toEqual([]);
  });

  test('mends certificates of another authority, as a run that was cut short leaves them', () => {
    const before = digests();
    writeFileSync(join(folder, 'vault/ca.crt'), '');
    compose.prepare();
    expect(changed(before)).toEqual(CERTIFICATES);
  });
});
