import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificate, makeCertificate, replaceWith } from '../support/certificates.ts';
import { until } from '../support/child.ts';
import { freePort } from '../support/free-port.ts';
import { adminCreateOf } from '../support/scene.ts';
import { newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';

/** A vault with a certificate of its own, listening on every address. */
let certificates: string;
type Answer = {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
};

let folder: VaultFolder;
let vault: RunningVault;
let port: number;
let own: Certificate;
/** What clients trust: every certificate that the vault is to have. */
const trusted: string[] = [];
const make = (name: string): Certificate => {
  const made = makeCertificate(certificates, name);
  trusted.push(made.pem);
  return made;
};

beforeAll(async () => {
  certificates = mkdtempSync(join(tmpdir(), 'tls-'));
  own = make('first');
  folder = await newVaultFolder({
    HOST: '0.0.0.0',
    PORT: await freePort(),
    TLS_CERT_FILE: own.certFile,
    TLS_KEY_FILE: own.keyFile,
  });
  vault = await folder.start();
  port = Number(new URL(vault.url).port);
});
afterAll(async () => {
  await folder?.remove();
  rmSync(certificates, { recursive: true });
});

const ask = (method: string, path: string, json?: unknown): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = json === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request(
      { host: '127.0.0.1', port, method, path, headers, ca: trusted, agent: false },
      (reply) => {
        let text = '';
        reply.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        reply.once('end', () => resolve({ status: reply.statusCode ?? 0, headers: reply.headers, text }));
      },
    );
    outgoing.once('error', reject);
    outgoing.end(json === undefined ? undefined : JSON.stringify(json));
  });

/** Serial number of the certificate that a new connection sees, or the error. */
const serial = (options: ConnectionOptions = {}): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca: trusted, ...options });
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });

const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;

describe('HSLF-4 connections', () => {
  test('says so, and serves by https', async () => {
    expect(vault.url).toMatch(/^https:/);
    expect(await ask('GET', '/healthz')).toMatchObject({ status: 200 });
    const { userId, password } = await adminCreateOf(folder)('a@example.org', 'Region T');
    const login = await ask('POST', '/v1/auth/login', { email: 'a@example.org', password });
    expect(login).toMatchObject({ status: 200 });
    expect(JSON.parse(login.text)).toMatchObject({ user: { id: userId } });
    expect(login.headers['strict-transport-security']).toMatch(/max-age=\d{8}/);
  });

  test('`doctor --ready` finds it', async () => {
    const { code, stdout } = await folder.cli('doctor', '--ready');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ready\n' });
  });

  test('a client that speaks plain HTTP is answered nothing but a refusal, and hung up on', async () => {
    const socket = connectPlain(port, '127.0.0.1');
    socket.write('GET /healthz HTTP/1.1\r\nHost: vault\r\n\r\n');
    let said = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
    });
    await once(socket, 'close');
    expect(said).not.toMatch(/HTTP\/1\.1 2/);
    expect(await serial()).toBe(own.serialNumber);
  });

  test('a client that says nothing at all keeps nobody else out', async () => {
    const silent = Array.from({ length: 50 }, () => connectPlain(port, '127.0.0.1'));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    expect(await ask('GET', '/healthz')).toMatchObject({ status: 200 });
    for (const socket of silent) socket.destroy();
  });

  test('TLS before 1.2 is refused, 1.2 and 1.3 are not', async () => {
    expect(await serial(old)).toMatch(/ERR_SSL|ECONNRESET/);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
      expect(await serial({ minVersion: version, maxVersion: version })).toBe(own.serialNumber);
  });
});

describe('certificates on disk', () => {
  test('a new certificate is taken up while it runs, and connections that stand stay', async () => {
    const standing = connect({ host: '127.0.0.1', port, ca: trusted });
    await once(standing, 'secureConnect');
    const second = make('second');
    replaceWith(own, second);
    await until(async () => (await serial()) === second.serialNumber);
    // The line comes by another way than the handshake does.
    await until(() => vault.output().includes('the TLS certificate was reloaded'));
    standing.write('GET /healthz HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n');
    const [answer] = (await once(standing, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
    standing.destroy();
    expect(await serial(old)).toMatch(/ERR_SSL|ECONNRESET/);
  });

  const refusals = (): number => vault.output().split('the old one stays').length - 1;
  /** What the newest refusal says: the sentences of a refused start. */
  const reasons = (): unknown => {
    const line = vault
      .output()
      .split('\n')
      .findLast((one) => one.includes('the old one stays'));
    return (JSON.parse(line ?? '{}') as { faults?: unknown }).faults;
  };

  test('a certificate without its key is not; the log says so, and the old one stays until the key comes', async () => {
    const before = await serial();
    const refused = refusals();
    const third = make('third');
    replaceWith(own, { certFile: third.certFile });
    await until(() => refusals() > refused);
    expect(reasons()).toEqual([
      'TLS_CERT_FILE and TLS_KEY_FILE are not a certificate chain and its own unencrypted key, both in PEM',
    ]);
    expect(await serial()).toBe(before);
    expect(await ask('GET', '/healthz')).toMatchObject({ status: 200 });
    replaceWith(own, { keyFile: third.keyFile });
    await until(async () => (await serial()) === third.serialNumber);
  });

  test('a key that others can read is refused then too', async () => {
    const before = await serial();
    const refused = refusals();
    const fourth = make('fourth');
    chmodSync(fourth.keyFile, 0o644);
    replaceWith(own, fourth);
    await until(() => refusals() > refused);
    expect(reasons()).toEqual([
      'TLS_KEY_FILE names a file that every user of this machine can read: run chmod 600 on it',
    ]);
    expect(await serial()).toBe(before);
    chmodSync(own.keyFile, 0o600);
    await until(async () => (await serial()) === fourth.serialNumber);
  });

  test('no line of the log holds a key', () => {
    expect(vault.output()).not.toMatch(/PRIVATE KEY|BEGIN/);
  });
});
