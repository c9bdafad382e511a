import { generateKeyPairSync } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Delivery } from '../../../src/agent/delivery.ts';
import type { OpenVaultOptions } from '../../../src/agent/open-vault.ts';
import { createWatchClient } from '../../../src/agent/watch-client.ts';
import type { OrganisationId } from '../../../src/core/ids.ts';

const url = 'https://vault.example.se';
const upload = { open: () => Readable.from([]), bytes: 0, sha256: 'ab'.repeat(32), metadata: {} };
const stored: Delivery = { outcome: 'stored', id: 'x', created: true };
const later = (code: string): Delivery => ({
  outcome: 'later',
  code,
  reason: code,
  retryAfter: null,
  stopped: true,
});

/** A vault that takes the key `good` alone, and one that answers `code` to others. */
const vaultOf = (code: string, read: () => Promise<OpenVaultOptions>) => {
  const tried: string[] = [];
  const closed: string[] = [];
  const client = createWatchClient(
    { url, apiKey: 'bad' },
    {
      read,
      open: ({ apiKey }) => ({
        upload: async () => {
          tried.push(apiKey);
          return apiKey === 'good' ? stored : later(code);
        },
        close: () => void closed.push(apiKey),
      }),
    },
  );
  return { client, tried, closed };
};

test.each(['unauthenticated', 'forbidden', 'edge_key_refused', 'http_401', 'http_403'])(
  '%s: another key is taken up, and the delivery goes by it',
  async (code) => {
    const { client, tried, closed } = vaultOf(code, async () => ({ url, apiKey: 'good' }));
    expect(await client.upload(upload)).toEqual(stored);
    expect(await client.upload(upload)).toEqual(stored);
    expect(tried).toEqual(['bad', 'good', 'good']);
    client.close();
    expect(closed).toEqual(['bad', 'good']);
  },
);

test.each(['unreachable', 'storage_full', 'http_404'])(
  '%s says nothing of the key: it is not read',
  async (code) => {
    const { client, tried } = vaultOf(code, () => Promise.reject(new Error('read')));
    expect(await client.upload(upload)).toEqual(later(code));
    expect(tried).toEqual(['bad']);
  },
);

test('the same key, or a file that is gone or half written, changes nothing', async () => {
  for (const read of [async () => ({ url, apiKey: 'bad' }), () => Promise.reject(new Error('gone'))]) {
    const { client, tried } = vaultOf('unauthenticated', read);
    expect(await client.upload(upload)).toEqual(later('unauthenticated'));
    expect(tried).toEqual(['bad']);
  }
});

test('another key that is not taken either is tried once', async () => {
  let count = 0;
  const { client, tried } = vaultOf('unauthenticated', async () => {
    count += 1;
    return { url, apiKey: `bad${count}` };
  });
  expect(await client.upload(upload)).toEqual(later('unauthenticated'));
  expect(tried).toEqual(['bad', 'bad1']);
});

test('several that are refused at once open one client, not several', async () => {
  const { client, tried, closed } = vaultOf('unauthenticated', async () => ({ url, apiKey: 'good' }));
  expect(await Promise.all([1, 2, 3].map(() => client.upload(upload)))).toEqual([stored, stored, stored]);
  expect(tried.filter((key) => key === 'good')).toHaveLength(3);
  client.close();
  expect(closed).toEqual(['bad', 'good']);
});

test('another signing key is another key; the same one, read anew, is not', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const again = generateKeyPairSync('ed25519').privateKey;
  let opened = 0;
  const open = () => {
    opened += 1;
    return { upload: async () => later('forbidden'), close: () => undefined };
  };
  const settings = { url, apiKey: 'good', signingKey: privateKey };
  await createWatchClient(settings, { open, read: async () => ({ ...settings }) }).upload(upload);
  expect(opened).toBe(1);
  await createWatchClient(settings, { open, read: async () => ({ ...settings, signingKey: again }) }).upload(
    upload,
  );
  expect(opened).toBe(3);
});

test('another key to seal to is another key', async () => {
  const signingKey = generateKeyPairSync('ed25519').privateKey;
  const keyOf = (keyVersion: number) => ({
    organisation: '00000000-0000-4000-8000-000000000000' as OrganisationId,
    keyVersion,
    publicKey: Buffer.alloc(32, 9),
  });
  const told = (version: number): OpenVaultOptions => ({
    url,
    apiKey: 'a',
    signingKey,
    edgeKey: keyOf(version),
  });
  const tried: unknown[] = [];
  let next = told(1);
  const client = createWatchClient(told(1), {
    read: async () => next,
    open: ({ edgeKey }) => ({
      upload: async () => {
        tried.push(edgeKey?.keyVersion);
        return edgeKey?.keyVersion === 2 ? stored : later('edge_key_refused');
      },
      close: () => undefined,
    }),
  });
  expect(await client.upload(upload)).toEqual(later('edge_key_refused'));
  next = told(2);
  expect(await client.upload(upload)).toEqual(stored);
  expect(tried).toEqual([1, 1, 2]);
});
