import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createOutboundMedia } from '../../src/http/outbound-media.ts';
import { fetchMedia } from '../../src/services/provider-media.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { type Provider, startProvider } from '../support/telephony-provider.ts';

/** A provider that is slow, stops or sends the vault elsewhere must not hold it, nor become a way into its network. */
let folder: string;
let certificate: Certificate;
let provider: Provider;
const audio = Buffer.alloc(100_000, 1);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cv-media-'));
  certificate = makeCertificate(folder, 'provider');
  provider = await startProvider(certificate, audio);
});
beforeEach(() => provider.behave());
afterAll(async () => {
  provider?.close();
  await rm(folder, { recursive: true, force: true });
});

type Deps = Parameters<typeof createOutboundMedia>[0];
const get = async (options: Partial<Deps> = {}, signal = new AbortController().signal): Promise<Buffer> => {
  const allowed = new Set([provider.host]);
  const ask = createOutboundMedia({ allowed, ca: certificate.pem, idleMs: 2_000, now: Date.now, ...options });
  const asked = { url: `https://${provider.host}/x.wav`, user: 'user', password: 'word' };
  const { body } = await fetchMedia(ask, asked, signal);
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
};
const failure = (why: string) => ({ code: 'fetch_failed', message: expect.stringContaining(`(${why})`) });

test('the bytes come as they are', async () => {
  expect((await get()).equals(audio)).toBe(true);
});

test('a provider that does not answer, or stops half-way, is given up', async () => {
  provider.behave(() => undefined);
  await expect(get()).rejects.toMatchObject(failure('timeout'));
  provider.behave((response) => void response.writeHead(200).write('begun'));
  await expect(get()).rejects.toMatchObject(failure('cut_off'));
});

test('one that sends a byte now and then is given up when the time is over', async () => {
  provider.behave((response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 50);
    response.once('close', () => clearInterval(timer));
  });
  const began = performance.now();
  await expect(get({}, AbortSignal.timeout(4_000))).rejects.toMatchObject(failure('cut_off'));
  expect(performance.now() - began).toBeLessThan(20_000);
});

test('a name to which it redirects is resolved once, and not asked when one of its addresses is private', async () => {
  let questions = 0;
  const resolve = async () => {
    questions += 1;
    return [
      { address: '192.0.9.1', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ];
  };
  const { port } = new URL(`https://${provider.host}`);
  const location = `https://media.example:${port}/x.wav`;
  provider.behave((response) => void response.writeHead(307, { location }).end());
  const before = provider.connections();
  await expect(get({ resolve })).rejects.toMatchObject(failure('refused_address'));
  expect(questions).toBe(1);
  expect(provider.connections()).toBe(before + 1);
});

test('a certificate that nobody vouches for is not believed', async () => {
  const { pem } = makeCertificate(folder, 'other');
  await expect(get({ ca: pem })).rejects.toMatchObject(failure('tls'));
});
