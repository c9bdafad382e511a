import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';

/** Listening beyond this machine without a certificate: refused, unless a proxy that ends TLS is named. */
describe('HSLF-4 beyond this machine without a certificate', () => {
  test('is refused, with every other fault at once', async () => {
    const folder = await newVaultFolder({
      HOST: '0.0.0.0',
      PORT: '99999',
      TRUSTED_PROXY: '10.0.0.300',
      DATABASE_URL: 'postgresql://callvault@db.example.org/callvault',
      S3_ENDPOINT: 'http://objects.example.org',
      LOG_LEVEL: 'loud',
      FREE_DISK_FLOR: '1',
    });
    const { code, stdout, stderr } = await folder.cli('serve');
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    const named = stderr.split('\n').flatMap((line) => /^ {2}([A-Z_0-9]+) /.exec(line)?.[1] ?? []);
    expect(named).toEqual(
      expect.arrayContaining([
        'PORT',
        'TRUSTED_PROXY',
        'DATABASE_URL',
        'S3_ENDPOINT',
        'LOG_LEVEL',
        'FREE_DISK_FLOR',
      ]),
    );
    expect(stderr).toMatch(/^callvault: The configuration has \d+ faults; nothing was started\.\n/);
    await folder.remove();
  });

  test('is refused by itself, and on every address that is not loopback', async () => {
    const folder = await newVaultFolder();
    for (const HOST of ['0.0.0.0', '::', '10.1.2.3', 'vault.example.org']) {
      Object.assign(folder.env, { HOST });
      const { code, stderr } = await folder.cli('serve');
      expect(code).toBe(3);
      expect(stderr).toContain(`  HOST is ${HOST}, beyond this machine`);
    }
    await folder.remove();
  });
});

/** An address of this machine that others could reach; none on a machine without a network. */
const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

/** Everything that comes back on a connection from `address` to itself. */
const saidTo = async (address: string, at: number): Promise<string> => {
  const socket = connect({ host: address, port: at, localAddress: address });
  let said = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  socket.on('error', () => undefined);
  socket.write(
    'GET /healthz HTTP/1.1\r\nHost: vault\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n',
  );
  await new Promise((resolve) => socket.once('close', resolve));
  return said;
};

/** Of twelve guesses in a minute, where ten may be made. */
const limited = [...Array<number>(10).fill(401), 429, 429];

describe('HSLF-4 behind a proxy that ends TLS', () => {
  let folder: VaultFolder;
  let port: number;
  beforeAll(async () => {
    folder = await newVaultFolder({ HOST: '0.0.0.0', TRUSTED_PROXY: '127.0.0.2', REQUESTS_PER_MINUTE: '10' });
    port = Number(new URL((await folder.start()).url).port);
  });
  afterAll(() => folder?.remove());

  /** Status of a request that comes from `from` and says that it was forwarded for `client`. */
  const askFrom = (from: string, client: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = { 'x-forwarded-for': client, authorization: 'Bearer guessed' };
      const where = { host: '127.0.0.1', port, localAddress: from, path, headers, agent: false };
      request(where, (reply) => reply.resume().once('end', () => resolve(reply.statusCode ?? 0)))
        .once('error', reject)
        .end();
    });
  const askOften = async (
    from: string,
    client: (round: number) => string,
    path: (round: number) => string = () => '/v1/auth/me',
  ): Promise<number[]> => {
    const answers: number[] = [];
    for (let round = 0; round < 12; round += 1) answers.push(await askFrom(from, client(round), path(round)));
    return answers;
  };
  test('each of its clients has a limit of his own', async () => {
    expect(await askOften('127.0.0.2', () => '198.51.100.7')).toEqual(limited);
    expect(await askOften('127.0.0.2', (round) => `198.51.101.${round}`)).toEqual(Array(12).fill(401));
  });

  test('what a client wrote into the header himself moves nothing: the proxy’s own word counts', async () => {
    expect(await askOften('127.0.0.2', (round) => `203.0.113.${round}, 198.51.100.9`)).toEqual(limited);
  });

  test('a load balancer may ask as often as it likes, and takes nobody’s turn', async () => {
    const asked = await askOften(
      '127.0.0.2',
      () => '198.51.100.10',
      (round) => ['/healthz', '/readyz'][round % 2]!,
    );
    expect(asked).toEqual(Array(12).fill(200));
    expect(await askOften('127.0.0.2', () => '198.51.100.10')).toEqual(limited);
  });

  test('guesses of tokens and of addresses count together', async () => {
    const path = (round: number): string => (round % 2 === 0 ? '/v1/auth/me' : '/nothing');
    const answers = await askOften('127.0.0.2', () => '198.51.100.8', path);
    expect(answers).toEqual([401, 404, 401, 404, 401, 404, 401, 404, 401, 404, 429, 429]);
  });

  test('anybody else on this machine is who he is, whatever the header says', async () => {
    expect(await askOften('127.0.0.3', (round) => `198.51.102.${round}`)).toEqual(limited);
  });

  test.runIf(outside !== undefined)(
    `whoever comes past the proxy is hung up on without a word (${outside ?? 'not tried: this machine has no network'})`,
    async () => {
      expect(await saidTo(outside as string, port)).toBe('');
      expect(await saidTo('127.0.0.4', port)).toMatch(/^HTTP\/1\.1 200 /);
    },
  );

  test('who is listed is answered there', async () => {
    const address = outside ?? '127.0.0.2';
    const listed = await newVaultFolder({ HOST: '0.0.0.0', TRUSTED_PROXY: `${address}/32` });
    try {
      const { url } = await listed.start();
      expect(await saidTo(address, Number(new URL(url).port))).toMatch(/^HTTP\/1\.1 200 /);
    } finally {
      await listed.remove();
    }
  });
});
