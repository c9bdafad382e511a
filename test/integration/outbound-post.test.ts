import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createOutboundPost, type PostResult } from '../../src/http/outbound-post.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { type Receiver, startReceiver } from '../support/webhook-receiver.ts';

/** An administrator names an address; it must not become a way into the machine, its network or its cloud. */
let folder: string;
let certificate: Certificate;
let receiver: Receiver;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-post-'));
  certificate = makeCertificate(folder, 'receiver');
  receiver = await startReceiver(certificate);
});
beforeEach(() => receiver.behave());
afterAll(async () => {
  receiver?.close();
  await rm(folder, { recursive: true, force: true });
});

const LOOPBACK = { address: '127.0.0.1', family: 4 };
const ELSEWHERE = { address: '192.0.9.1', family: 4 };
const never = new AbortController().signal;
const ask = (
  url: string,
  options: Partial<Parameters<typeof createOutboundPost>[0]> = {},
): Promise<PostResult> =>
  createOutboundPost({ allowed: new Set(), ca: certificate.pem, timeoutMs: 3_000, ...options })(
    url,
    '{"x":"å"}',
    { 'content-type': 'application/json' },
    never,
  );
const port = () => new URL(receiver.url).port;

test('a receiver that the operator permits is asked, with the body as it is', async () => {
  const before = receiver.received.length;
  expect(await ask(receiver.url, { allowed: new Set([receiver.host]) })).toEqual({ status: 204 });
  expect(receiver.received[before]?.body).toBe('{"x":"å"}');
});

test('a name is resolved once, and its other meaning a moment later is never asked for', async () => {
  const answers = [[ELSEWHERE], [LOOPBACK], [LOOPBACK]];
  let questions = 0;
  const before = receiver.connections();
  const result = await ask(`https://rebinding.example:${port()}/`, {
    resolve: async () => answers[questions++] ?? [],
  });
  expect(result).toHaveProperty('fault');
  expect(questions).toBe(1);
  expect(receiver.connections()).toBe(before);
});

test('the connection goes to the address that was judged', async () => {
  const before = receiver.connections();
  const host = `inside.example:${port()}`;
  // The certificate is of 127.0.0.1: that the name does not match shows who was asked, and that names are checked.
  const resolve = async () => [LOOPBACK];
  expect(await ask(`https://${host}/`, { allowed: new Set([host]), resolve })).toEqual({ fault: 'tls' });
  expect(receiver.connections()).toBe(before + 1);
});

test.each([
  ['loopback', [LOOPBACK]],
  ['a public address and a private one', [ELSEWHERE, LOOPBACK]],
  ['the cloud’s metadata', [{ address: '169.254.169.254', family: 4 }]],
  ['IPv4 in IPv6', [{ address: '::ffff:127.0.0.1', family: 6 }]],
])('a name that leads to %s is not asked', async (_what, addresses) => {
  const before = receiver.connections();
  const url = `https://somewhere.example:${port()}/`;
  expect(await ask(url, { resolve: async () => addresses })).toEqual({ fault: 'refused_address' });
  expect(receiver.connections()).toBe(before);
});

test.each(['https://127.0.0.1', 'https://[::ffff:127.0.0.1]', 'https://2130706433', 'http://8.8.8.8'])(
  '%s is not asked',
  async (origin) => {
    const before = receiver.connections();
    expect(await ask(`${origin}:${port()}/`)).toEqual({ fault: 'refused_address' });
    expect(receiver.connections()).toBe(before);
  },
);

test('a certificate that nobody vouches for, a name nobody knows, and a port nobody listens on are told apart', async () => {
  const allowed = new Set([receiver.host, '127.0.0.1:1']);
  expect(await ask(receiver.url, { allowed, ca: makeCertificate(folder, 'other').pem })).toEqual({
    fault: 'tls',
  });
  expect(await ask('https://nobody.example/', { resolve: async () => [] })).toEqual({ fault: 'unresolved' });
  expect(await ask('https://127.0.0.1:1/', { allowed })).toEqual({ fault: 'connection' });
});

test.each<[string, Parameters<Receiver['behave']>[0], PostResult]>([
  ['never answers', () => undefined, { fault: 'timeout' }],
  ['hangs up', (response) => void response.destroy(), { fault: 'connection' }],
  ['redirects', (response) => void response.writeHead(307, { location: '/' }).end(), { status: 307 }],
  [
    'answers without end',
    (response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'.repeat(65_536)), 1);
      response.once('close', () => clearInterval(timer));
    },
    { status: 200 },
  ],
])('one that %s is done with in time', async (_what, behave, result) => {
  receiver.behave(behave);
  const began = performance.now();
  expect(await ask(receiver.url, { allowed: new Set([receiver.host]) })).toEqual(result);
  expect(performance.now() - began).toBeLessThan(20_000);
});

test('a name that takes for ever to resolve is given up', async () => {
  const resolve = () => new Promise<never>(() => undefined);
  expect(await ask('https://slow.example/', { resolve })).toEqual({ fault: 'timeout' });
});
